// SPDX-License-Identifier: Apache-2.0
//! A proxy that is a bad network: between a client and a server it splits, merges, delays and
//! stalls what passes, and where it may also cuts it off or changes it. What it does follows from a
//! seed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::random::Random;

/// What a network may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that TCP may do: every byte comes, in its own time.
    Slow,
    /// Besides, end the connection anywhere: a direction or both, with a reset or without.
    Cut,
    /// Besides, change, leave out and insert bytes, against which only TLS would help.
    Corrupt,
}

/// No connection may be kept so long by a proxy; nothing here takes as long.
const LIMIT: Duration = Duration::from_secs(20);

/// Delays of one connection, together: what waits for it has to have longer timeouts.
const DELAYS: Duration = Duration::from_millis(40);

const MOST_WAITING: usize = 64 * 1024;

/// A proxy for one connection.
pub struct Proxy {
    pub address: SocketAddr,
    thread: JoinHandle<io::Result<()>>,
}

impl Proxy {
    pub fn start(server: SocketAddr, kind: Kind, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let thread = thread::spawn(move || relay_one(&listener, server, kind, seed));
        Ok(Self { address, thread })
    }

    /// Waits until the connection has ended.
    pub fn end(self) -> io::Result<()> {
        self.thread.join().expect("the proxy panicked")
    }
}

/// Accepts a connection and connects it with `server` until both have ended.
pub fn relay_one(
    listener: &TcpListener,
    server: SocketAddr,
    kind: Kind,
    seed: u64,
) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    relay([client, TcpStream::connect(server)?], kind, seed)
}

/// How a direction ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The rest is lost, and the receiver finds the stream ended.
    Truncated,
    /// The same, as if the sender had gone in both directions.
    Ended,
    Reset,
}

/// One direction of a connection.
struct Direction {
    random: Random,
    waiting: VecDeque<u8>,
    /// How many bytes have come, and where some are changed.
    arrived: usize,
    changes: Vec<usize>,
    /// How many bytes have left, and where they end.
    left: usize,
    cut: Option<(usize, Cut)>,
    /// Nothing leaves before.
    pause_until: Instant,
    delays_left: Duration,
    has_ended: bool,
    is_over: bool,
}

impl Direction {
    fn new(mut random: Random, kind: Kind, now: Instant) -> Self {
        // Within the handshake as often as behind it.
        let place = |random: &mut Random| {
            let most = random.pick(&[10, 200, 400, 5000, 40_000]);
            random.below(most)
        };
        let mut cut = None;
        if kind == Kind::Cut && random.one_in(2) || kind == Kind::Corrupt && random.one_in(8) {
            let how = random.pick(&[Cut::Truncated, Cut::Ended, Cut::Reset]);
            cut = Some((place(&mut random), how));
        }
        let count = if kind == Kind::Corrupt { random.below(3) } else { 0 };
        let changes = (0..count).map(|_| place(&mut random)).collect();
        Self {
            random,
            waiting: VecDeque::new(),
            arrived: 0,
            changes,
            left: 0,
            cut,
            pause_until: now,
            delays_left: DELAYS,
            has_ended: false,
            is_over: false,
        }
    }

    fn reads(&self) -> bool {
        !self.has_ended && self.waiting.len() < MOST_WAITING
    }

    fn writes(&self, now: Instant) -> bool {
        !self.is_over && self.pause_until <= now && (!self.waiting.is_empty() || self.has_ended)
    }

    fn read(&mut self, mut from: &TcpStream, now: Instant) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            result => result?,
        };
        self.has_ended = count == 0;
        if self.is_over {
            return Ok(());
        }
        let was_empty = self.waiting.is_empty();
        for &byte in &buffer[..count] {
            if self.changes.contains(&self.arrived) {
                match self.random.below(3) {
                    0 => self.waiting.push_back(byte ^ 1 << self.random.below(8)),
                    1 => self.waiting.extend([byte, self.random.next() as u8]),
                    _ => {}
                }
            } else {
                self.waiting.push_back(byte);
            }
            self.arrived += 1;
        }
        // More may come, and then leaves together.
        if was_empty && self.random.one_in(4) {
            self.pause(Duration::from_micros(500), now);
        }
        Ok(())
    }

    fn pause(&mut self, most: Duration, now: Instant) {
        let delay = most.mul_f64(self.random.below(1000) as f64 / 1000.0).min(self.delays_left);
        self.delays_left -= delay;
        self.pause_until = now + delay;
    }

    /// Writes a piece; returns how the connection ends, if it does so now.
    fn write(&mut self, mut to: &TcpStream, now: Instant) -> io::Result<Option<Cut>> {
        if self.waiting.is_empty() {
            self.is_over = true;
            to.shutdown(Shutdown::Write)?;
            return Ok(None);
        }
        let mut most = self.random.pick(&[1, 2, 3, 61, 1000, 65_536, 65_536]);
        if let Some((at, _)) = self.cut {
            most = most.min(at - self.left);
        }
        let (piece, _) = self.waiting.as_slices();
        let piece = &piece[..most.min(piece.len())];
        let count = match piece {
            [] => 0,
            _ => match to.write(piece) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                result => result?,
            },
        };
        self.waiting.drain(..count);
        self.left += count;
        match self.random.below(64) {
            0 => self.pause(Duration::from_millis(20), now),
            1..8 => self.pause(Duration::from_millis(1), now),
            _ => {}
        }
        Ok(self.cut.filter(|(at, _)| self.left == *at).map(|(_, how)| how))
    }

    /// What still comes is lost.
    fn truncate(&mut self, to: &TcpStream) -> io::Result<()> {
        self.cut = None;
        self.waiting.clear();
        self.is_over = true;
        to.shutdown(Shutdown::Write)
    }
}

/// Passes on what comes in both directions until both have ended.
fn relay(ends: [TcpStream; 2], kind: Kind, seed: u64) -> io::Result<()> {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut directions = [0, 1].map(|_| Direction::new(random.fork(), kind, started));
    for end in &ends {
        end.set_nonblocking(true)?;
        end.set_nodelay(true)?;
    }
    let reset =
        || ends.iter().try_for_each(|end| SockRef::from(end).set_linger(Some(Duration::ZERO)));
    loop {
        let now = Instant::now();
        if now - started > LIMIT {
            reset()?;
            return Err(ErrorKind::TimedOut.into());
        }
        for index in [0, 1] {
            let (from, to) = (&ends[index], &ends[1 - index]);
            let direction = &mut directions[index];
            let passed = (|| {
                if direction.reads() {
                    direction.read(from, now)?;
                }
                if direction.writes(now) { direction.write(to, now) } else { Ok(None) }
            })();
            match passed {
                Ok(None) => {}
                Ok(Some(Cut::Truncated)) if direction.truncate(to).is_ok() => {}
                Ok(Some(Cut::Ended)) => return Ok(()),
                // One end has gone: so has the other.
                Ok(Some(_)) | Err(_) => return reset(),
            }
        }
        if directions.iter().all(|direction| direction.is_over && direction.has_ended) {
            return Ok(());
        }
        wait(&ends, &directions)?;
    }
}

/// Waits until something can be read or written, or a pause is over.
fn wait(ends: &[TcpStream; 2], directions: &[Direction; 2]) -> io::Result<()> {
    let now = Instant::now();
    let mut timeout = Duration::from_secs(1);
    let mut sockets = Vec::new();
    for (index, end) in ends.iter().enumerate() {
        let outgoing = &directions[1 - index];
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, directions[index].reads());
        flags.set(PollFlags::OUT, outgoing.writes(now));
        if !flags.is_empty() {
            sockets.push(PollFd::new(end, flags));
        }
        if !outgoing.is_over && outgoing.pause_until > now {
            timeout = timeout.min(outgoing.pause_until - now);
        }
    }
    poll(&mut sockets, Timespec::try_from(timeout).ok().as_ref())?;
    Ok(())
}
