// SPDX-License-Identifier: Apache-2.0
//! The open connections of a hub, as an application sends to them.

use super::backlog::{Backlog, Purpose};
use super::clock::Moment;
use super::limits::{Limits, Overflow};
use super::slot::{OVERFLOWED, Phase, Slot, WANTS_ROOM};
use crate::close::{CloseCode, CloseFrame};
use crate::connection::{Connection, State};
use crate::error::UsageError;
use crate::event::MessageKind;
use crate::frame::{MAX_HEADER_LEN, Opcode};
use crate::role::Server;
use crate::transport::Transport;

/// A connection of a [`Hub`](super::Hub), from its opening handshake on. No later connection is
/// taken for it before 65,536 others have had its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId {
    pub(super) index: u16,
    pub(super) generation: u16,
}

impl PeerId {
    /// The number of its slot, for what an application keeps of each connection. Once it has
    /// ended, another one can have the same.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// The open connections, to which messages are sent.
///
/// What is sent is copied into the connection's transmit buffer, and leaves before the hub waits
/// again. A frame that does not fit there is refused as a whole: see
/// [`Overflow`](super::Overflow).
///
/// # Errors
/// Nothing was sent if a method fails:
/// - [`UsageError::NotOpen`]: the peer has gone, or a Close frame was sent to it.
/// - [`UsageError::BacklogFull`]: the peer has not taken enough of what was sent before. The
///   application is told when it has ([`Application::writable`](super::Application::writable)).
/// - [`UsageError::BufferTooSmall`]: no empty transmit buffer would hold the frame: send the
///   message in fragments.
/// - [`UsageError::OtherMessageInProgress`], [`UsageError::ControlPayloadTooLong`].
pub struct Peers<'p, S> {
    pub(super) slots: &'p mut [Slot<S>],
    pub(super) tx: &'p mut [u8],
    pub(super) limits: &'p Limits,
    pub(super) now: Moment,
}

impl<S: Transport> Peers<'_, S> {
    /// All that are open.
    pub fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let is_open = slot.connection()?.state() == State::Open && !slot.has(OVERFLOWED);
            is_open.then_some(PeerId { index: index as u16, generation: slot.generation })
        })
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ids().count()
    }

    /// How far a connection is; `Closed` once it has ended.
    #[must_use]
    pub fn state(&self, peer: PeerId) -> State {
        let slot = self.slots.get(peer.index()).filter(|slot| slot.generation == peer.generation);
        slot.and_then(Slot::connection).map_or(State::Closed, Connection::state)
    }

    /// The stream of a connection, for what only it can do, such as socket options. Bytes read
    /// from it or written to it are missing or foreign in the WebSocket.
    pub fn stream(&mut self, peer: PeerId) -> Option<&mut S> {
        let (slot, _) = self.open(peer).ok()?;
        slot.stream.as_mut()
    }

    /// The longest payload that [`send_fragment`](Self::send_fragment) takes at once.
    #[must_use]
    pub fn room(&mut self, peer: PeerId) -> usize {
        let Ok((slot, tx)) = self.open(peer) else { return 0 };
        let room = slot.backlog.room(tx, Purpose::Data);
        // A header of 2 bytes goes before up to 125, one of 4 before more.
        room.saturating_sub(2).min(125).max(room.saturating_sub(4))
    }

    /// Sends a text message in one frame.
    ///
    /// # Errors
    /// See [`Peers`].
    pub fn send_text(&mut self, peer: PeerId, text: &str) -> Result<(), UsageError> {
        self.send_fragment(peer, MessageKind::Text, text.as_bytes(), true)
    }

    /// Sends a binary message in one frame.
    ///
    /// # Errors
    /// See [`Peers`].
    pub fn send_binary(&mut self, peer: PeerId, payload: &[u8]) -> Result<(), UsageError> {
        self.send_fragment(peer, MessageKind::Binary, payload, true)
    }

    /// Sends the next fragment of a message, the last one with `fin` (RFC 6455 section 5.4). The
    /// first fragment after a final one begins a message.
    ///
    /// The fragments of a text message must be UTF-8 together; a character may be split between
    /// two.
    ///
    /// # Errors
    /// See [`Peers`].
    pub fn send_fragment(
        &mut self,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) -> Result<(), UsageError> {
        let (limits, now) = (self.limits, self.now);
        let (slot, tx) = self.open(peer)?;
        let Some(connection) = slot.connection() else { return Err(UsageError::NotOpen) };
        let mut next = connection.clone();
        let mut header = [0; MAX_HEADER_LEN];
        let header = next.send(kind.opcode(), fin, payload.len(), (), &mut header)?;
        put_data(slot, tx, next, [header, payload], limits, now)
    }

    /// Sends a message to all that are open and in the middle of no other message, and returns how
    /// many that were. Its frame is made once. Those whose backlog is full are left out, or given
    /// up: see [`Overflow`](super::Overflow).
    pub fn broadcast(&mut self, kind: MessageKind, payload: &[u8]) -> usize {
        let mut header = [0; MAX_HEADER_LEN];
        let mut new = Connection::<Server>::new();
        let Ok(header) = new.send(kind.opcode(), true, payload.len(), (), &mut header) else {
            return 0;
        };
        let (limits, now) = (self.limits, self.now);
        let len = self.tx.len().checked_div(self.slots.len()).unwrap_or(0).max(1);
        let mut count = 0usize;
        for (slot, tx) in self.slots.iter_mut().zip(self.tx.chunks_exact_mut(len)) {
            let Some(connection) = slot.connection() else { continue };
            if !connection.can_begin_message() || slot.has(OVERFLOWED) {
                continue;
            }
            let unchanged = connection.clone();
            if put_data(slot, tx, unchanged, [header, payload], limits, now).is_ok() {
                count = count.wrapping_add(1);
            }
        }
        count
    }

    /// Sends a Ping. The peer's Pong brings `payload`, at most 125 bytes, back.
    ///
    /// # Errors
    /// See [`Peers`].
    pub fn ping(&mut self, peer: PeerId, payload: &[u8]) -> Result<(), UsageError> {
        let (limits, now) = (self.limits, self.now);
        let (slot, tx) = self.open(peer)?;
        let parts = [payload, &[]];
        let mut fits = slot.control(tx, Opcode::Ping, parts, Purpose::Control)?;
        if !fits {
            // An error comes again when the hub serves the connection.
            let _ = slot.flush(tx, now, limits);
            fits = slot.control(tx, Opcode::Ping, parts, Purpose::Control)?;
        }
        if fits { Ok(()) } else { Err(overflow(slot, limits)) }
    }

    /// Begins the closing handshake (RFC 6455 section 7.1.2). A reason is left out where the
    /// backlog has no room for it, and without a code.
    ///
    /// # Errors
    /// [`UsageError::NotOpen`], [`UsageError::ControlPayloadTooLong`] for a reason over 123 bytes,
    /// [`UsageError::ReasonWithoutCode`].
    pub fn close(
        &mut self,
        peer: PeerId,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), UsageError> {
        if reason.len() > CloseFrame::MAX_REASON_LEN {
            return Err(UsageError::ControlPayloadTooLong);
        }
        if code.is_none() && !reason.is_empty() {
            return Err(UsageError::ReasonWithoutCode);
        }
        let deadline = self.now.after(self.limits.closing_handshake);
        let (slot, tx) = self.open(peer)?;
        slot.close(tx, code, reason);
        slot.deadline = deadline;
        Ok(())
    }

    /// The slot of a peer to which something can be sent, and its transmit buffer.
    fn open(&mut self, peer: PeerId) -> Result<(&mut Slot<S>, &mut [u8]), UsageError> {
        let tx = chunk(self.tx, self.slots.len(), peer.index());
        let slot = self.slots.get_mut(peer.index()).ok_or(UsageError::NotOpen)?;
        let is_it = slot.generation == peer.generation && !slot.has(OVERFLOWED);
        match slot.connection() {
            Some(connection) if is_it && !connection.is_close_sent() => Ok((slot, tx)),
            _ => Err(UsageError::NotOpen),
        }
    }
}

/// Puts a data frame in line, after which the connection is in the state `next`.
fn put_data<S: Transport>(
    slot: &mut Slot<S>,
    tx: &mut [u8],
    next: Connection<Server>,
    [header, payload]: [&[u8]; 2],
    limits: &Limits,
    now: Moment,
) -> Result<(), UsageError> {
    let parts = [header, payload, &[]];
    if header.len().saturating_add(payload.len()) > Backlog::EMPTY.room(tx, Purpose::Data) {
        return Err(UsageError::BufferTooSmall);
    }
    let mut fits = slot.backlog.put(tx, parts, Purpose::Data);
    if !fits {
        // An error comes again when the hub serves the connection.
        let _ = slot.flush(tx, now, limits);
        fits = slot.backlog.put(tx, parts, Purpose::Data);
    }
    if fits {
        if let Phase::Open(open) = &mut slot.phase {
            open.connection = next;
        }
        slot.mark_used(now);
        return Ok(());
    }
    Err(overflow(slot, limits))
}

/// What is refused for lack of room has its consequences.
fn overflow<S>(slot: &Slot<S>, limits: &Limits) -> UsageError {
    slot.set(WANTS_ROOM, true);
    slot.set(OVERFLOWED, limits.overflow == Overflow::Close);
    UsageError::BacklogFull
}

/// The part of `buffer` that belongs to one of `count` connections.
pub(super) fn chunk(buffer: &mut [u8], count: usize, index: usize) -> &mut [u8] {
    let len = buffer.len().checked_div(count).unwrap_or(0).max(1);
    buffer.chunks_exact_mut(len).nth(index).unwrap_or_default()
}
