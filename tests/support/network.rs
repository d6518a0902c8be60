// SPDX-License-Identifier: Apache-2.0
//! A network in memory, for a hub: its clock moves only where nothing is ready, its streams take
//! and bring what a test lets them, and calls fail where a test says so.
//!
//! Two things fail a test by themselves. A hub *spins* if it waits again and again while nothing
//! comes of it; it *hangs* if it waits for ever while a test still expects something.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use zephyr_websocket::Transport;
use zephyr_websocket::hub::{Network, Readiness, Waiting};

use super::random::Random;

/// How often a hub may wait while nothing comes of it, before it spins.
const VAIN_WAITS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TimedOut,
    Interrupted,
    OutOfMemory,
    /// EMFILE.
    OutOfDescriptors,
    Reset,
    Unsupported,
    /// No fault: the clock is where it was allowed to go.
    Settled,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::OutOfDescriptors | Self::Settled => ErrorKind::Other,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::Unsupported => ErrorKind::Unsupported,
        }
    }
}

type Script = Box<dyn FnOnce()>;

struct World {
    now: u64,
    /// Up to when the clock may move now.
    horizon: u64,
    links: Vec<Link>,
    /// Connections that wait to be accepted.
    waiting: VecDeque<usize>,
    accept_faults: VecDeque<Fault>,
    scripts: BTreeMap<(u64, usize), Script>,
    script_count: usize,
    /// Something came of the last wait.
    has_moved: bool,
    vain_waits: u32,
    waits: usize,
    fails: bool,
    /// One in so many waits ends for no reason.
    idle_wakes: Option<Random>,
}

/// One connection, between its two ends.
struct Link {
    to_hub: VecDeque<u8>,
    /// What the first read of it has taken of it and not brought: a poll does not see that, as with
    /// a record of TLS.
    decrypted: VecDeque<u8>,
    max_record: usize,
    has_ended: bool,
    is_reset: bool,
    /// The next reads and writes fail so.
    read_faults: VecDeque<Fault>,
    write_faults: VecDeque<Fault>,
    /// No read brings, no write takes more at once.
    max_read: usize,
    max_write: usize,
    /// How much may be on its way to the peer.
    window: usize,
    in_flight: VecDeque<u8>,
    taken: Vec<u8>,
    can_shut_down: bool,
    is_shut_down: bool,
    closed_at: Option<u64>,
    reads: usize,
    writes: usize,
}

impl Link {
    fn readiness(&self) -> Readiness {
        Readiness {
            readable: !self.to_hub.is_empty() || self.has_ended || self.is_reset,
            writable: self.in_flight.len() < self.window || self.is_reset,
        }
    }
}

/// The network, and the test's hold on it.
#[derive(Clone)]
pub struct Sim(Rc<RefCell<World>>);

impl Sim {
    /// A network whose clock shows `now`.
    pub fn new(now: u64) -> Self {
        Self(Rc::new(RefCell::new(World {
            now,
            horizon: now,
            links: Vec::new(),
            waiting: VecDeque::new(),
            accept_faults: VecDeque::new(),
            scripts: BTreeMap::new(),
            script_count: 0,
            has_moved: true,
            vain_waits: 0,
            waits: 0,
            fails: false,
            idle_wakes: None,
        })))
    }

    pub fn now(&self) -> u64 {
        self.0.borrow().now
    }

    /// How often the hub has waited.
    pub fn waits(&self) -> usize {
        self.0.borrow().waits
    }

    /// Connects to the hub, which has to accept that yet.
    pub fn connect(&self) -> Peer {
        let mut world = self.0.borrow_mut();
        let id = world.links.len();
        world.links.push(Link {
            to_hub: VecDeque::new(),
            decrypted: VecDeque::new(),
            max_record: 0,
            has_ended: false,
            is_reset: false,
            read_faults: VecDeque::new(),
            write_faults: VecDeque::new(),
            max_read: usize::MAX,
            max_write: usize::MAX,
            window: usize::MAX,
            in_flight: VecDeque::new(),
            taken: Vec::new(),
            can_shut_down: true,
            is_shut_down: false,
            closed_at: None,
            reads: 0,
            writes: 0,
        });
        world.waiting.push_back(id);
        world.has_moved = true;
        drop(world);
        Peer { sim: self.clone(), id }
    }

    /// Lets the next calls of accept fail.
    pub fn fail_accept(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.borrow_mut().accept_faults.extend(faults);
    }

    /// Lets the next wait fail.
    pub fn fail_wait(&self) {
        self.0.borrow_mut().fails = true;
    }

    /// Lets some waits end for no reason.
    pub fn wake_at_random(&self, random: Random) {
        self.0.borrow_mut().idle_wakes = Some(random);
    }

    /// Runs `script` in `ms` from now, while the hub waits.
    pub fn after(&self, ms: u64, script: impl FnOnce() + 'static) {
        let mut world = self.0.borrow_mut();
        world.script_count += 1;
        let key = (world.now + ms, world.script_count);
        world.scripts.insert(key, Box::new(script));
    }

    /// Lets the clock move `ms` on, after which waiting fails with [`Fault::Settled`].
    pub fn allow(&self, ms: u64) {
        let mut world = self.0.borrow_mut();
        world.horizon = world.now + ms;
        world.has_moved = true;
    }
}

impl Network for Sim {
    type Stream = Stream;

    fn now_ms(&mut self) -> u64 {
        self.now()
    }

    fn accept(&mut self) -> Result<Stream, Fault> {
        let mut world = self.0.borrow_mut();
        if world.waiting.is_empty() {
            return Err(Fault::TimedOut);
        }
        world.has_moved = true;
        if let Some(fault) = world.accept_faults.pop_front() {
            return Err(fault);
        }
        let id = world.waiting.pop_front().unwrap();
        drop(world);
        Ok(Stream { sim: self.clone(), id })
    }

    fn wait<'w, W: Waiting<Stream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), Fault> {
        let mut world = self.0.borrow_mut();
        world.waits += 1;
        if std::mem::take(&mut world.fails) {
            return Err(Fault::Unsupported);
        }
        world.vain_waits = if world.has_moved { 0 } else { world.vain_waits + 1 };
        assert!(world.vain_waits <= VAIN_WAITS, "the hub spins, at {} ms", world.now);
        world.has_moved = false;
        if world.idle_wakes.as_mut().is_some_and(|random| random.one_in(8)) {
            streams.for_each(|waiting| waiting.set_ready(Readiness::NONE));
            world.has_moved = true;
            return Ok(());
        }
        let timeout = timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000) as u64);
        let until = timeout.map(|timeout| world.now.saturating_add(timeout));
        loop {
            let mut is_ready = accepting && !world.waiting.is_empty();
            for waiting in streams.clone() {
                let Some((stream, interest)) = waiting.interest() else { continue };
                let now = world.links[stream.id].readiness();
                let readable = interest.readable && now.readable;
                let writable = interest.writable && now.writable;
                is_ready |= readable || writable;
                waiting.set_ready(Readiness { readable, writable });
            }
            if is_ready {
                return Ok(());
            }
            let next = world.scripts.first_key_value().map(|(key, _)| *key);
            let limit = until.unwrap_or(u64::MAX).min(world.horizon);
            if let Some(key) = next.filter(|(at, _)| *at <= limit) {
                let script = world.scripts.remove(&key).unwrap();
                world.now = world.now.max(key.0);
                world.has_moved = true;
                drop(world);
                script();
                world = self.0.borrow_mut();
            } else if let Some(until) = until.filter(|until| *until <= world.horizon) {
                world.has_moved |= until > world.now;
                world.now = until;
                return Ok(());
            } else {
                world.now = world.horizon;
                return Err(Fault::Settled);
            }
        }
    }
}

/// The same behind a web server, which has read what had arrived when the hub accepts, and has
/// answered with 101.
#[allow(dead_code, reason = "for the tests of upgraded connections alone")]
pub struct Upgraded(pub Sim);

impl Network for Upgraded {
    type Stream = Stream;

    const UPGRADED: bool = true;

    fn now_ms(&mut self) -> u64 {
        self.0.now()
    }

    fn accept(&mut self) -> Result<Stream, Fault> {
        self.accept_into(&mut []).map(|(stream, _)| stream)
    }

    fn accept_into(&mut self, buffer: &mut [u8]) -> Result<(Stream, usize), Fault> {
        let stream = self.0.accept()?;
        let arrived: Vec<u8> = self.0.0.borrow_mut().links[stream.id].to_hub.drain(..).collect();
        let Some(place) = buffer.get_mut(..arrived.len()) else { return Ok((stream, 0)) };
        place.copy_from_slice(&arrived);
        Ok((stream, arrived.len()))
    }

    fn wait<'w, W: Waiting<Stream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), Fault> {
        self.0.wait(streams, accepting, timeout)
    }
}

/// The hub's end of a connection.
pub struct Stream {
    sim: Sim,
    id: usize,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.id)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut world = self.sim.0.borrow_mut();
        world.has_moved = true;
        let now = world.now;
        let link = &mut world.links[self.id];
        link.closed_at = Some(now);
        // TCP resets a connection that is closed while there is something to read, and what was on
        // its way is lost.
        if !link.to_hub.is_empty() || !link.decrypted.is_empty() {
            link.in_flight.clear();
        }
    }
}

impl ErrorType for Stream {
    type Error = Fault;
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        assert!(!buffer.is_empty(), "a read without room would look like the end of the stream");
        let mut world = self.sim.0.borrow_mut();
        let world = &mut *world;
        let link = &mut world.links[self.id];
        link.reads += 1;
        if let Some(fault) = link.read_faults.pop_front() {
            world.has_moved = true;
            return Err(fault);
        }
        let source = match link.max_record {
            0 if link.decrypted.is_empty() => &mut link.to_hub,
            record => {
                if link.decrypted.is_empty() {
                    let count = link.to_hub.len().min(record);
                    link.decrypted.extend(link.to_hub.drain(..count));
                }
                &mut link.decrypted
            }
        };
        if source.is_empty() && !link.has_ended && !link.is_reset {
            return Err(Fault::TimedOut);
        }
        world.has_moved = true;
        if link.is_reset {
            return Err(Fault::Reset);
        }
        let count = source.len().min(buffer.len()).min(link.max_read);
        for (place, byte) in buffer.iter_mut().zip(source.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.write_gather(bytes, &[])
    }

    fn flush(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Transport for Stream {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Fault> {
        assert!(head.len() + payload.len() > 0, "a write of nothing");
        let mut world = self.sim.0.borrow_mut();
        let world = &mut *world;
        let link = &mut world.links[self.id];
        link.writes += 1;
        assert!(!link.is_shut_down, "a write behind the end");
        if let Some(fault) = link.write_faults.pop_front() {
            world.has_moved = true;
            return Err(fault);
        }
        if link.is_reset {
            world.has_moved = true;
            return Err(Fault::Reset);
        }
        let room = link.window.saturating_sub(link.in_flight.len()).min(link.max_write);
        if room == 0 {
            return Err(Fault::TimedOut);
        }
        world.has_moved = true;
        let taken = room.min(head.len() + payload.len());
        link.in_flight.extend(head.iter().chain(payload).take(taken));
        Ok(taken)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        assert_eq!(after, Some(Duration::ZERO), "a hub never waits in a stream");
    }

    fn shutdown(&mut self) -> Result<(), Fault> {
        let mut world = self.sim.0.borrow_mut();
        world.has_moved = true;
        let link = &mut world.links[self.id];
        if !link.can_shut_down {
            return Err(Fault::Unsupported);
        }
        link.is_shut_down = true;
        Ok(())
    }
}

/// The peer's end of a connection.
#[derive(Clone)]
pub struct Peer {
    sim: Sim,
    id: usize,
}

impl Peer {
    fn change<O>(&self, change: impl FnOnce(&mut Link) -> O) -> O {
        let mut world = self.sim.0.borrow_mut();
        world.has_moved = true;
        change(&mut world.links[self.id])
    }

    pub fn send(&self, bytes: &[u8]) {
        self.change(|link| {
            if !link.has_ended && link.closed_at.is_none() {
                link.to_hub.extend(bytes);
            }
        });
    }

    /// Ends this side.
    pub fn end(&self) {
        self.change(|link| link.has_ended = true);
    }

    pub fn reset(&self) {
        self.change(|link| {
            link.is_reset = true;
            link.to_hub.clear();
            link.decrypted.clear();
            link.in_flight.clear();
        });
    }

    /// Lets `bytes` have arrived, of which a poll does not tell.
    pub fn send_unseen(&self, bytes: &[u8]) {
        self.change(|link| link.decrypted.extend(bytes));
    }

    /// What is sent arrives in records of this length, which are read at once, and brought as a read
    /// has room.
    pub fn set_record(&self, len: usize) {
        self.change(|link| link.max_record = len);
    }

    /// Lets no more than `window` bytes be on their way to this peer.
    pub fn set_window(&self, window: usize) {
        self.change(|link| link.window = window);
    }

    /// Lets reads bring and writes take no more than this at once.
    pub fn set_pieces(&self, read: usize, write: usize) {
        self.change(|link| (link.max_read, link.max_write) = (read, write));
    }

    pub fn fail_reads(&self, faults: impl IntoIterator<Item = Fault>) {
        self.change(|link| link.read_faults.extend(faults));
    }

    pub fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.change(|link| link.write_faults.extend(faults));
    }

    /// No more faults, and room for all.
    pub fn heal(&self) {
        self.change(|link| {
            link.read_faults.clear();
            link.write_faults.clear();
            (link.max_read, link.max_write, link.window) = (usize::MAX, usize::MAX, usize::MAX);
        });
    }

    /// The hub's stream cannot end its side alone.
    pub fn forbid_shut_down(&self) {
        self.change(|link| link.can_shut_down = false);
    }

    /// Reads up to `count` bytes.
    pub fn take(&self, count: usize) {
        self.change(|link| {
            let count = count.min(link.in_flight.len());
            link.taken.extend(link.in_flight.drain(..count));
        });
    }

    /// All that was read, after reading all there is.
    pub fn received(&self) -> Vec<u8> {
        self.take(usize::MAX);
        self.taken()
    }

    /// All that was read so far.
    pub fn taken(&self) -> Vec<u8> {
        self.change(|link| link.taken.clone())
    }

    /// Reads all there is, and forgets it.
    pub fn forget(&self) {
        self.take(usize::MAX);
        self.change(|link| link.taken.clear());
    }

    /// How much was sent that the hub has not read.
    pub fn unread(&self) -> usize {
        self.change(|link| link.to_hub.len() + link.decrypted.len())
    }

    /// How much is on its way to this peer.
    pub fn in_flight(&self) -> usize {
        self.change(|link| link.in_flight.len())
    }

    pub fn is_shut_down(&self) -> bool {
        self.change(|link| link.is_shut_down)
    }

    /// When the hub closed the stream.
    pub fn closed_at(&self) -> Option<u64> {
        self.change(|link| link.closed_at)
    }

    /// How often the hub has read and written.
    pub fn calls(&self) -> (usize, usize) {
        self.change(|link| (link.reads, link.writes))
    }
}
