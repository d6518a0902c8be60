// SPDX-License-Identifier: Apache-2.0
//! What a hub keeps of one connection.

use core::cell::Cell;

use super::MIN_HUB_TX_BUFFER;
use super::backlog::{Backlog, Purpose, Sent};
use super::clock::{Moment, Span};
use super::inbox::Inbox;
use super::limits::Limits;
use super::network::{Readiness, Waiting};
use crate::buffer::uninterrupted;
use crate::close::CloseCode;
use crate::connection::Connection;
use crate::error::{Error, UsageError};
use crate::frame::{MAX_HEADER_LEN, Opcode};
use crate::handshake::server::Handshake;
use crate::role::Server;
use crate::transport::Transport;

/// Memory of a [`Hub`](super::Hub) for one connection, without its buffers.
#[derive(Debug)]
pub struct Slot<S> {
    pub(super) stream: Option<S>,
    pub(super) phase: Phase,
    /// By when the phase has to be over, or an open peer has to take what it is sent.
    pub(super) deadline: Moment,
    pub(super) inbox: Inbox,
    pub(super) backlog: Backlog,
    /// How many connections have had this slot.
    pub(super) generation: u16,
    flags: Cell<u16>,
}

// Beside a connection's own state and the stream, 48 bytes for all the rest.
const _: () = assert!(
    usize::BITS > 32
        || size_of::<Slot<u32>>()
            <= size_of::<Option<u32>>() + size_of::<Connection<Server>>() + 48
);

#[derive(Debug)]
pub(super) enum Phase {
    /// There is no connection.
    Free,
    Opening(Handshake),
    Open(Open),
    /// What waits is the last that is sent, and this behind it.
    Ending(&'static [u8]),
    /// All was sent. What arrives is dropped until the peer ends its side: closing before it has
    /// would reset the connection, and the last bytes could be lost (RFC 6455 section 7.1.1).
    Draining,
}

/// An open WebSocket. It may be as long as the state of an opening handshake for nothing.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) connection: Connection<Server>,
    /// The last sign of life.
    alive_at: Moment,
    /// The last piece of a message, in either direction.
    used_at: Moment,
}

impl Open {
    /// It has opened just now.
    pub(super) const fn new(now: Moment) -> Self {
        Self { connection: Connection::new(), alive_at: now, used_at: now }
    }
}

/// The poll said so.
const READABLE: u16 = 1 << 0;
const WRITABLE: u16 = 1 << 1;
/// The last read brought something, so the next may too: what a TLS socket has decrypted already
/// is not seen by a poll.
const MORE: u16 = 1 << 2;
/// The socket takes no more.
pub(super) const BLOCKED: u16 = 1 << 3;
/// The same, and no poll will tell when it does again.
pub(super) const NO_MEMORY: u16 = 1 << 4;
/// A Ping was sent since the last sign of life.
const PINGED: u16 = 1 << 5;
/// The application could not send all that it wanted.
pub(super) const WANTS_ROOM: u16 = 1 << 6;
/// The peer is to be given up for that.
pub(super) const OVERFLOWED: u16 = 1 << 7;
/// There is no room for a reply, so nothing is taken from the peer.
pub(super) const NO_REPLY_ROOM: u16 = 1 << 8;
/// There is again, so what has arrived and waited for that comes first.
pub(super) const WAITED: u16 = 1 << 9;

/// How long to read on where the sending side cannot be ended alone: the peer may be waiting for
/// us to go, and only what it has sent already matters.
const QUIET: Span = Span::from_ms(100);

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Slot<S> {
    /// For no connection yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stream: None,
            phase: Phase::Free,
            deadline: Moment::new(0),
            inbox: Inbox::EMPTY,
            backlog: Backlog::EMPTY,
            generation: 0,
            flags: Cell::new(0),
        }
    }

    pub(super) const fn is_free(&self) -> bool {
        matches!(self.phase, Phase::Free)
    }

    /// The state of the WebSocket, if there is one.
    pub(super) const fn connection(&self) -> Option<&Connection<Server>> {
        match &self.phase {
            Phase::Open(open) => Some(&open.connection),
            _ => None,
        }
    }

    pub(super) const fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    pub(super) fn set(&self, flag: u16, on: bool) {
        let others = self.flags.get() & !flag;
        self.flags.set(if on { others | flag } else { others });
    }

    /// Whether something waits to be sent and was not tried yet.
    pub(super) const fn is_unsent(&self) -> bool {
        !self.backlog.is_empty() && !self.has(BLOCKED)
    }

    pub(super) const fn takes_ready(&self, flag: Readiness) -> bool {
        flag.readable && self.has(READABLE | MORE)
            || flag.writable && self.has(WRITABLE | NO_MEMORY)
    }

    /// Whether reading again may bring more, whatever a poll says.
    pub(super) const fn has_more(&self) -> bool {
        self.has(MORE | WAITED) && self.reads()
    }

    /// Whether what arrives is read now.
    pub(super) const fn reads(&self) -> bool {
        match self.phase {
            Phase::Opening(_) | Phase::Draining => true,
            Phase::Open(_) => !self.has(NO_REPLY_ROOM),
            Phase::Free | Phase::Ending(_) => false,
        }
    }

    pub(super) fn mark_used(&mut self, now: Moment) {
        if let Phase::Open(open) = &mut self.phase {
            open.used_at = now;
        }
    }

    pub(super) fn mark_alive(&mut self, now: Moment) {
        if let Phase::Open(open) = &mut self.phase {
            open.alive_at = now;
        }
        self.set(PINGED, false);
    }
}

impl<S: Transport> Slot<S> {
    /// Begins with a new connection, in the given phase.
    pub(super) fn start(&mut self, mut stream: S, phase: Phase, now: Moment, timeout: Span) {
        stream.set_deadline(Some(core::time::Duration::ZERO));
        *self = Self {
            stream: Some(stream),
            phase,
            deadline: now.after(timeout),
            generation: self.generation.wrapping_add(1),
            // A TLS socket may have decrypted something behind its handshake.
            flags: Cell::new(MORE),
            ..Self::new()
        };
    }

    /// Closes the stream.
    pub(super) fn free(&mut self) {
        *self = Self { generation: self.generation, ..Self::new() };
    }

    /// Reads once into `room`, and returns how many bytes came; none if there are none now.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Error<S::Error>> {
        self.set(READABLE | MORE, false);
        let Some(stream) = &mut self.stream else { return Ok(0) };
        match uninterrupted(|| stream.read(room)) {
            Ok(0) => Err(Error::Disconnected),
            Ok(count) => {
                self.set(MORE, true);
                Ok(count)
            }
            Err(Error::TimedOut) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(
        &mut self,
        tx: &[u8],
        now: Moment,
        limits: &Limits,
    ) -> Result<(), Error<S::Error>> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut nothing: &[u8] = &[];
        let rest = match &mut self.phase {
            Phase::Ending(rest) => rest,
            _ => &mut nothing,
        };
        let mut count = 0;
        let mut sent = self.backlog.flush(stream, tx, rest, &mut count)?;
        let rest = rest.len();
        if sent == Sent::Part && count == 0 && self.has(WRITABLE) {
            // It takes nothing although the poll said that it would: what it lacks is not room.
            sent = Sent::OutOfMemory;
        }
        let was_blocked = self.has(BLOCKED);
        let was_full = was_blocked && !self.has(NO_MEMORY);
        self.set(WRITABLE, false);
        self.set(BLOCKED, sent != Sent::All);
        self.set(NO_MEMORY, sent == Sent::OutOfMemory);
        if count > 0 {
            if self.has(NO_REPLY_ROOM) {
                self.set(NO_REPLY_ROOM, false);
                self.set(WAITED, true);
            }
            if was_full {
                // The peer has made room for it.
                self.mark_alive(now);
            }
        }
        let at_most = tx.len().max(MIN_HUB_TX_BUFFER);
        if sent != Sent::All
            && self.backlog.earns_time(rest, at_most)
            && (self.open().is_some() || was_blocked && rest > 0)
        {
            self.deadline = now.after(limits.send);
        }
        Ok(())
    }

    /// Puts a control frame in line; false if there is no room for it.
    pub(super) fn control(
        &mut self,
        tx: &mut [u8],
        opcode: Opcode,
        parts: [&[u8]; 2],
        purpose: Purpose,
    ) -> Result<bool, UsageError> {
        let Phase::Open(Open { connection, .. }) = &mut self.phase else {
            return Err(UsageError::NotOpen);
        };
        let [first, second] = parts;
        let mut header = [0; MAX_HEADER_LEN];
        let mut next = connection.clone();
        let len = first.len().saturating_add(second.len());
        let header = next.send(opcode, true, len, (), &mut header)?;
        let fits = self.backlog.put(tx, [header, first, second], purpose);
        if fits {
            *connection = next;
        }
        Ok(fits)
    }

    /// Puts a Close frame in line unless one was sent, without its reason if that does not fit.
    pub(super) fn close(&mut self, tx: &mut [u8], code: Option<CloseCode>, reason: &str) {
        let code = code.map(CloseCode::to_be_bytes);
        let code = code.as_ref().map_or(&[][..], |code| code);
        let with_reason = [code, reason.as_bytes()];
        if self.control(tx, Opcode::Close, with_reason, Purpose::Control) != Ok(true) {
            // There is always room for this one, and where one was sent none is due.
            let _ = self.control(tx, Opcode::Close, [code, &[]], Purpose::Last);
        }
    }

    /// Lets what waits, and then `rest`, be the last that is sent.
    pub(super) fn end_with(&mut self, rest: &'static [u8], now: Moment, timeout: Span) {
        self.phase = Phase::Ending(rest);
        self.deadline = now.after(timeout);
        // No more than what the poll and the reads have found outlasts the WebSocket.
        self.flags.set(self.flags.get() & (READABLE | WRITABLE | MORE));
    }

    /// Ends the sending side once all was sent.
    pub(super) fn end_sending(&mut self, now: Moment, limits: &Limits) {
        if !matches!(self.phase, Phase::Ending(_)) || self.has(BLOCKED) {
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        self.phase = Phase::Draining;
        self.deadline = now.after(match stream.shutdown() {
            Ok(()) => limits.closing_handshake,
            Err(_) => limits.closing_handshake.min(QUIET),
        });
        self.set(MORE, true);
    }

    /// Puts a Ping in line if it is time for it.
    pub(super) fn keep_alive(&mut self, tx: &mut [u8], now: Moment, limits: &Limits) {
        if let Some(at) = self.ping_at(limits)
            && at.has_passed(now)
            && self.control(tx, Opcode::Ping, [&[], &[]], Purpose::Control) == Ok(true)
        {
            self.set(PINGED, true);
        }
    }

    /// The WebSocket if it can be sent to: no Close frame was.
    fn open(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Open(open) if !open.connection.is_close_sent() => Some(open),
            _ => None,
        }
    }

    /// When a Ping is due, if one is.
    fn ping_at(&self, limits: &Limits) -> Option<Moment> {
        let open = self.open().filter(|_| !self.has(PINGED | BLOCKED))?;
        Some(open.alive_at.after(limits.ping?))
    }

    /// When a Ping counts as not answered.
    pub(super) fn pong_by(&self, limits: &Limits) -> Option<Moment> {
        let open = self.open().filter(|_| self.has(PINGED) && !self.has(BLOCKED))?;
        Some(open.alive_at.after(limits.ping?).after(limits.pong))
    }

    /// When the connection counts as not used.
    pub(super) fn idle_by(&self, limits: &Limits) -> Option<Moment> {
        Some(self.open()?.used_at.after(limits.idle?))
    }

    /// By when the phase has to be over, or what waits to be sent has to have left.
    pub(super) fn hard_deadline(&self) -> Option<Moment> {
        let counts = match &self.phase {
            Phase::Free => false,
            Phase::Open(open) => open.connection.is_close_sent() || self.has(BLOCKED),
            Phase::Opening(_) | Phase::Ending(_) | Phase::Draining => true,
        };
        counts.then_some(self.deadline)
    }

    /// How long nothing has to be done if nothing happens; `None` for ever.
    pub(super) fn rest(&self, now: Moment, limits: &Limits) -> Option<Span> {
        let moments = [
            self.hard_deadline(),
            self.ping_at(limits),
            self.pong_by(limits),
            self.idle_by(limits),
        ];
        moments.into_iter().flatten().map(|moment| moment.left(now)).min()
    }
}

impl<S> Waiting<S> for Slot<S> {
    fn interest(&self) -> Option<(&S, Readiness)> {
        let writable = match self.phase {
            Phase::Ending(rest) => !rest.is_empty() || !self.backlog.is_empty(),
            _ => !self.backlog.is_empty(),
        };
        let writable = writable && !self.has(NO_MEMORY);
        let interest = Readiness { readable: self.reads(), writable };
        Some((self.stream.as_ref()?, interest)).filter(|_| !interest.is_none())
    }

    fn set_ready(&self, ready: Readiness) {
        self.set(READABLE, ready.readable);
        self.set(WRITABLE, ready.writable);
    }
}
