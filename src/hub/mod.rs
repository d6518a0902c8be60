// SPDX-License-Identifier: Apache-2.0
//! A server for many connections in one thread, without a heap.
//!
//! A [`Hub`] waits for all its connections and for new ones at once, and tells an [`Application`]
//! what happens. Its memory is what the application gives it: a [`Slot`] for each connection, and
//! two buffers that the connections share in equal parts.
//!
//! No peer delays another: nothing is waited for but by the poll over all of them. What a peer
//! does not take waits in its own part of the transmit buffer; until it has left, no more is taken
//! from that peer, and after a timeout the peer is given up.

mod application;
mod backlog;
mod clock;
mod inbox;
mod limits;
mod network;
mod peers;
mod slot;

use core::time::Duration;

use crate::buffer::uninterrupted;
use crate::close::{CloseCode, CloseFrame};
use crate::error::{Error, RequestError, UsageError};
use crate::frame::{MAX_CONTROL_PAYLOAD_LEN, Opcode};
use crate::handshake::Status;
use crate::handshake::server::{Handshake, Request};
use crate::outgoing::MIN_TX_BUFFER;
use crate::transport::Transport;
use crate::websocket::MIN_RX_BUFFER;

pub use application::{Answer, Application, Body, End, Timeout};
pub use limits::{Delivery, Overflow, Settings, Timeouts};
pub use network::{Network, Readiness, Waiting};
pub use peers::{PeerId, Peers};
pub use slot::Slot;

use backlog::{Purpose, usable};
use clock::{Moment, Span};
use limits::Limits;
use peers::chunk;
use slot::{BLOCKED, NO_MEMORY, NO_REPLY_ROOM, OVERFLOWED, Open, Phase, WAITED, WANTS_ROOM};

/// The shortest part of a transmit buffer: any control frame or refusal, and a data frame beside
/// them.
pub const MIN_HUB_TX_BUFFER: usize = 192;

const _: () = assert!(MIN_HUB_TX_BUFFER >= MIN_TX_BUFFER);

/// How long to go on without what the network stack has run out of: buffers, or sockets to accept
/// with.
const RETRY_BUFFERS: Span = Span::from_ms(10);
const RETRY_ACCEPT: Span = Span::from_ms(100);

/// The longest header of a frame that fits a transmit buffer.
const REPLY_HEADER: usize = 4;

/// Reads of a connection whose bytes are dropped, before the others have their turn.
const DRAINED_AT_ONCE: usize = 16;

/// A server for many connections: see the [module](self).
pub struct Hub<'b, N: Network> {
    network: N,
    slots: &'b mut [Slot<N::Stream>],
    rx: &'b mut [u8],
    tx: &'b mut [u8],
    limits: Limits,
    /// A peer that is told that there is no slot for it, one at a time.
    refused: Slot<N::Stream>,
    /// When accepting is tried again.
    accept_at: Option<Moment>,
    /// By when everything has to be over.
    stop_by: Option<Moment>,
}

type Fault<N> = <<N as Network>::Stream as embedded_io::ErrorType>::Error;

impl<'b, N: Network> Hub<'b, N> {
    /// A server for as many connections as there are `slots`. `rx` and `tx` are shared among them:
    /// the part of `rx` bounds the head of a request, that of `tx` what is sent at once, the head
    /// of a response included. Of each part at most 65,535 bytes are used.
    ///
    /// # Errors
    /// [`UsageError::BufferTooSmall`] if a connection's part of `rx` is shorter than
    /// [`MIN_RX_BUFFER`], or of `tx` than [`MIN_HUB_TX_BUFFER`], or if there is no slot.
    pub fn new(
        network: N,
        slots: &'b mut [Slot<N::Stream>],
        rx: &'b mut [u8],
        tx: &'b mut [u8],
        settings: &Settings,
    ) -> Result<Self, UsageError> {
        // The number of a slot has 16 bits.
        let slots = slots.get_mut(..slots.len().min(u16::MAX.into())).unwrap_or_default();
        let part = |len: usize| len.checked_div(slots.len()).unwrap_or(0);
        if part(rx.len()) < MIN_RX_BUFFER || part(tx.len()) < MIN_HUB_TX_BUFFER {
            return Err(UsageError::BufferTooSmall);
        }
        let limits = Limits::new(settings, part(tx.len()));
        let refused = Slot::new();
        Ok(Self { network, slots, rx, tx, limits, refused, accept_at: None, stop_by: None })
    }

    /// The network, for what only it can do.
    pub fn network(&mut self) -> &mut N {
        &mut self.network
    }

    /// The open connections, to send to while nothing has happened. It leaves with the next
    /// [`turn`](Self::turn).
    pub fn peers(&mut self) -> Peers<'_, N::Stream> {
        let now = self.now();
        self.peers_at(now)
    }

    fn peers_at(&mut self, now: Moment) -> Peers<'_, N::Stream> {
        Peers { slots: self.slots, tx: self.tx, limits: &self.limits, now }
    }

    fn now(&mut self) -> Moment {
        Moment::new(self.network.now_ms())
    }

    /// Accepts no more, and sends every peer a Close frame with `code`, such as
    /// [`CloseCode::GOING_AWAY`]. Call [`turn`](Self::turn) until the hub
    /// [has stopped](Self::is_stopped), which takes no longer than `within`.
    pub fn stop(&mut self, code: CloseCode, within: Duration) {
        let now = self.now();
        let count = self.slots.len();
        self.stop_by = Some(now.after(Span::new(within)));
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let tx = chunk(self.tx, count, index);
            match &slot.phase {
                Phase::Opening(_) => {
                    slot.end_with(busy::<N>(&self.limits), now, self.limits.closing_handshake)
                }
                Phase::Open(open) if !open.connection.is_close_sent() => {
                    slot.close(tx, Some(code), "");
                    slot.deadline = now.after(self.limits.closing_handshake);
                }
                _ => {}
            }
        }
    }

    /// Whether the hub was stopped and no connection is left.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop_by.is_some() && self.refused.is_free() && self.slots.iter().all(Slot::is_free)
    }

    /// Serves all connections until the network fails or the hub has stopped.
    ///
    /// # Errors
    /// That of [`Network::wait`].
    pub fn run(&mut self, application: &mut impl Application) -> Result<(), Fault<N>> {
        while !self.is_stopped() {
            self.turn(application, None)?;
        }
        Ok(())
    }

    /// Waits until something happens, or a timeout of a connection passes, or `at_most` this
    /// long; then does what there is to do.
    ///
    /// # Errors
    /// That of [`Network::wait`]. Errors of a connection end only that one.
    pub fn turn(
        &mut self,
        application: &mut impl Application,
        at_most: Option<Duration>,
    ) -> Result<(), Fault<N>> {
        let now = self.now();
        self.send_all(application, now);
        let accepting = self.accepts(now);
        let timeout = match (self.rest(now), at_most) {
            (Some(rest), Some(at_most)) => Some(rest.duration().min(at_most)),
            (rest, at_most) => rest.map(Span::duration).or(at_most),
        };
        let streams = self.slots.iter().chain(core::iter::once(&self.refused));
        self.network.wait(streams, accepting, timeout)?;
        let now = self.now();
        self.accept(now);
        for index in 0..self.slots.len() {
            self.serve(application, index, now);
        }
        self.serve_refused(now);
        self.send_all(application, now);
        Ok(())
    }

    /// How long there is nothing to do if nothing happens.
    fn rest(&self, now: Moment) -> Option<Span> {
        let mut least = self.stop_by.map(|at| at.left(now));
        let mut at_most = |span: Span| least = Some(least.map_or(span, |least| least.min(span)));
        if let Some(at) = self.accept_at {
            at_most(at.left(now));
        }
        for slot in self.slots.iter().chain(core::iter::once(&self.refused)) {
            if slot.has_more() || slot.is_unsent() || slot.has(OVERFLOWED) {
                return Some(Span::ZERO);
            }
            if slot.has(NO_MEMORY) {
                at_most(RETRY_BUFFERS);
            }
            if let Some(span) = slot.rest(now, &self.limits) {
                at_most(span);
            }
        }
        least
    }

    // New connections.

    fn accepts(&mut self, now: Moment) -> bool {
        if self.accept_at.is_some_and(|at| at.has_passed(now)) {
            self.accept_at = None;
        }
        self.stop_by.is_none()
            && self.accept_at.is_none()
            && (self.refused.is_free() || self.slots.iter().any(Slot::is_free))
    }

    fn accept(&mut self, now: Moment) {
        while self.accepts(now) {
            let Self { network, slots, rx, limits, refused, .. } = self;
            let count = slots.len();
            let mut free = slots.iter_mut().enumerate().find(|(_, slot)| slot.is_free());
            let room = free.as_ref().map(|(index, _)| chunk(rx, count, *index));
            let room = room.unwrap_or_default();
            match uninterrupted(|| network.accept_into(room)) {
                Ok((stream, arrived)) => match &mut free {
                    Some((_, slot)) => {
                        let phase = Phase::Opening(Handshake::new());
                        slot.start(stream, phase, now, limits.opening_handshake);
                        slot.inbox.extend(arrived);
                    }
                    None => {
                        debug!("no slot is free");
                        let phase = Phase::Ending(busy::<N>(limits));
                        refused.start(stream, phase, now, limits.closing_handshake);
                    }
                },
                Err(Error::TimedOut) => return,
                Err(_) => {
                    debug!("a connection cannot be accepted");
                    self.accept_at = Some(now.after(RETRY_ACCEPT));
                }
            }
        }
    }

    /// Whom there was no slot for.
    fn serve_refused(&mut self, now: Moment) {
        let slot = &mut self.refused;
        let deadlines = [slot.hard_deadline(), self.stop_by];
        let passed = deadlines.into_iter().flatten().any(|at| at.has_passed(now));
        let sent = slot.flush(&[], now, &self.limits);
        slot.end_sending(now, &self.limits);
        if passed || sent.is_err() || !drain(slot) {
            slot.free();
        }
    }

    // One connection.

    fn serve(&mut self, application: &mut impl Application, index: usize, now: Moment) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.is_free() {
            return;
        }
        if slot.takes_ready(Readiness { readable: false, writable: true }) {
            let tx = chunk(self.tx, self.slots.len(), index);
            if let Some(slot) = self.slots.get_mut(index)
                && let Err(error) = slot.flush(tx, now, &self.limits)
            {
                return self.lose(application, index, End::Failed(error), now);
            }
        }
        match self.receive(application, index, now) {
            Ok(()) => {}
            // Who has ended only the own side still reads what waits.
            Err(Error::Disconnected) if self.owes(index) => {
                let end = End::Failed(Error::Disconnected);
                return self.end(application, index, end, now);
            }
            Err(error) => return self.lose(application, index, End::Failed(error), now),
        }
        self.act_on_time(application, index, now);
        self.tell_writable(application, index, now);
    }

    /// Whether a WebSocket has something to send.
    fn owes(&self, index: usize) -> bool {
        let slot = self.slots.get(index);
        slot.is_some_and(|slot| slot.connection().is_some() && !slot.backlog.is_empty())
    }

    fn receive(
        &mut self,
        application: &mut impl Application,
        index: usize,
        now: Moment,
    ) -> Result<(), Error<Fault<N>>> {
        let count = self.slots.len();
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        let is_ready = slot.takes_ready(Readiness { readable: true, writable: false });
        let rx = chunk(self.rx, count, index);
        match slot.phase {
            Phase::Opening(_) if is_ready => {
                // Of an upgraded connection all that there is of the request is here.
                if !N::UPGRADED {
                    let room = slot.inbox.room(rx);
                    let arrived = slot.read(room)?;
                    slot.inbox.extend(arrived);
                }
                self.open(application, index, now);
                // Frames may have come behind the request.
                if self.slots.get(index).is_some_and(|slot| slot.connection().is_some()) {
                    return self.hand_out(application, index, now);
                }
            }
            Phase::Open(_) if slot.reads() => {
                let has_waited = slot.has(WAITED);
                slot.set(WAITED, false);
                let room = slot.inbox.room(rx);
                if is_ready && !has_waited && !room.is_empty() {
                    let arrived = slot.read(room)?;
                    slot.inbox.extend(arrived);
                    if arrived > 0 {
                        slot.mark_alive(now);
                    }
                }
                return self.hand_out(application, index, now);
            }
            Phase::Draining if is_ready => {
                let goes_on = drain(slot);
                if !goes_on {
                    slot.free();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Goes on with an opening handshake.
    fn open(&mut self, application: &mut impl Application, index: usize, now: Moment) {
        let count = self.slots.len();
        let (rx, tx) = (chunk(self.rx, count, index), chunk(self.tx, count, index));
        let Some(slot) = self.slots.get_mut(index) else { return };
        let is_full = slot.inbox.room(rx).is_empty();
        let Phase::Opening(handshake) = &mut slot.phase else { return };
        let head = slot.inbox.unread(rx);
        if !handshake.read(head) && !is_full && !N::UPGRADED {
            return;
        }
        let head = head.get(..handshake.head_len()).unwrap_or_default();
        let request = Request::new(head);
        let is_websocket = handshake.is_websocket();
        let id = PeerId { index: index as u16, generation: slot.generation };
        let answer = match handshake.verdict() {
            Err(RequestError::NotWebSocket | RequestError::Method)
                if !is_websocket && !N::UPGRADED =>
            {
                application.respond(&request)
            }
            Err(_error) => {
                debug!("refused with {}: {}", _error.status().code(), _error);
                return refuse::<N>(slot, tx, now, &self.limits);
            }
            Ok(()) => match application.open(id, &request) {
                Err(answer) => answer,
                Ok(acceptance) => {
                    // A Close frame has to fit behind it.
                    let room = slot.backlog.room(tx, Purpose::Control);
                    let free = slot.backlog.free(tx).get_mut(..room).unwrap_or_default();
                    let encoded = match N::UPGRADED {
                        true => Ok(0),
                        false => acceptance.encode(handshake, &request, free),
                    };
                    match encoded {
                        // The system's hash function may have failed.
                        Ok(_) if handshake.verdict().is_err() => {
                            return refuse::<N>(slot, tx, now, &self.limits);
                        }
                        Ok(len) => {
                            debug!("opened {}", request.resource_name());
                            slot.backlog.extend(len);
                            let head_len = handshake.head_len();
                            slot.inbox.consume(head_len);
                            slot.phase = Phase::Open(Open::new(now));
                            application.opened(&mut self.peers_at(now), id);
                            return;
                        }
                        Err(_) => Answer::empty(Status::INTERNAL_SERVER_ERROR),
                    }
                }
            },
        };
        if N::UPGRADED {
            let status = answer.status;
            debug!("refused with a Close frame for {}", status.code());
            return close_unopened(slot, tx, code_for(status), status.reason(), now, &self.limits);
        }
        answer_with(slot, tx, &answer, request.is_head(), now, &self.limits);
    }

    /// Hands out what has arrived, while there is room for replies.
    fn hand_out(
        &mut self,
        application: &mut impl Application,
        index: usize,
        now: Moment,
    ) -> Result<(), Error<Fault<N>>> {
        let Self { slots, rx, tx, limits, .. } = self;
        let count = slots.len();
        let rx = chunk(rx, count, index);
        let message_limit = usable(rx.len()).saturating_sub(MIN_RX_BUFFER);
        loop {
            let Some(slot) = slots.get_mut(index) else { return Ok(()) };
            if slot.inbox.is_empty() || slot.has(OVERFLOWED) {
                return Ok(());
            }
            let own_tx = chunk(tx, count, index);
            if !has_room(slot, own_tx, limits) {
                if !slot.has(BLOCKED) {
                    slot.flush(own_tx, now, limits)?;
                }
                if !has_room(slot, own_tx, limits) {
                    slot.set(NO_REPLY_ROOM, true);
                    return Ok(());
                }
            }
            let Phase::Open(Open { connection, .. }) = &mut slot.phase else { return Ok(()) };
            let unread = slot.inbox.unread(rx);
            let mut window = unread.len();
            if limits.delivery == Delivery::Pieces
                && limits.reply_room > 0
                && !connection.is_control_next(unread)
            {
                window = window.min(limits.reply_room.saturating_sub(REPLY_HEADER));
            }
            let mut input = unread.get_mut(..window).unwrap_or_default();
            let frame = connection.receive(&mut input);
            let consumed = window.wrapping_sub(input.len());
            let frame = frame.map(|frame| frame.map(|f| (f.opcode, f.fin, f.payload.len())));
            let end = slot.inbox.consume(consumed);
            let (opcode, fin, len) = match frame {
                Ok(Some(frame)) => frame,
                Ok(None) if consumed == 0 => return Ok(()),
                Ok(None) => continue,
                Err(error) => {
                    slot.close(own_tx, Some(error.close_code()), "");
                    self.end(application, index, End::Failed(error.into()), now);
                    return Ok(());
                }
            };
            let place = end.wrapping_sub(len)..end;
            let id = PeerId { index: index as u16, generation: slot.generation };
            match opcode {
                Opcode::Ping => {
                    let payload = rx.get(place).unwrap_or_default();
                    let parts = [payload, &[]];
                    // No Pong is due behind a Close frame; there is room for it otherwise.
                    let _ = slot.control(own_tx, Opcode::Pong, parts, Purpose::Control);
                }
                Opcode::Pong => {
                    let payload = rx.get(place).unwrap_or_default();
                    application.pong(&mut Peers { slots, tx, limits, now }, id, payload);
                }
                Opcode::Close => {
                    let close = CloseFrame::of(rx.get(place).unwrap_or_default());
                    slot.close(own_tx, close.code, "");
                    slot.end_with(&[], now, limits.closing_handshake);
                    let mut peers = Peers { slots, tx, limits, now };
                    application.closed(&mut peers, id, End::Closed(close));
                    return Ok(());
                }
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    slot.mark_used(now);
                    let mut place = place;
                    if limits.delivery == Delivery::Messages {
                        let whole = slot.inbox.assemble(rx, place, fin, message_limit);
                        let Some(whole) = whole else {
                            slot.close(own_tx, Some(CloseCode::MESSAGE_TOO_BIG), "");
                            self.end(application, index, End::Failed(Error::MessageTooBig), now);
                            return Ok(());
                        };
                        place = whole;
                    }
                    // The end of a fragment is nothing to tell.
                    let tells = match limits.delivery {
                        Delivery::Messages => fin,
                        Delivery::Pieces => fin || len > 0,
                    };
                    if tells {
                        let kind = crate::event::kind(opcode);
                        let payload = rx.get(place).unwrap_or_default();
                        let mut peers = Peers { slots, tx, limits, now };
                        application.message(&mut peers, id, kind, payload, fin);
                    }
                }
            }
        }
    }

    /// Does what the time asks for.
    fn act_on_time(&mut self, application: &mut impl Application, index: usize, now: Moment) {
        let count = self.slots.len();
        let tx = chunk(self.tx, count, index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.has(OVERFLOWED) && slot.connection().is_some() {
            slot.close(tx, Some(CloseCode::TRY_AGAIN_LATER), "");
            return self.end(application, index, End::Overflowed, now);
        }
        if self.stop_by.is_some_and(|at| at.has_passed(now)) {
            return self.lose(application, index, End::TimedOut(Timeout::Shutdown), now);
        }
        if slot.hard_deadline().is_some_and(|at| at.has_passed(now)) {
            let timeout = match &mut slot.phase {
                Phase::Opening(handshake) => {
                    handshake.time_out();
                    return refuse::<N>(slot, tx, now, &self.limits);
                }
                Phase::Open(open) if open.connection.is_close_sent() => Timeout::ClosingHandshake,
                _ => Timeout::Send,
            };
            return self.lose(application, index, End::TimedOut(timeout), now);
        }
        if slot.pong_by(&self.limits).is_some_and(|at| at.has_passed(now)) {
            return self.lose(application, index, End::TimedOut(Timeout::Pong), now);
        }
        if slot.idle_by(&self.limits).is_some_and(|at| at.has_passed(now)) {
            slot.close(tx, Some(CloseCode::GOING_AWAY), "");
            return self.end(application, index, End::TimedOut(Timeout::Idle), now);
        }
        slot.keep_alive(tx, now, &self.limits);
    }

    fn tell_writable(&mut self, application: &mut impl Application, index: usize, now: Moment) {
        let Some(slot) = self.slots.get(index) else { return };
        if slot.has(WANTS_ROOM) && slot.backlog.is_empty() && slot.connection().is_some() {
            slot.set(WANTS_ROOM, false);
            let id = PeerId { index: index as u16, generation: slot.generation };
            application.writable(&mut self.peers_at(now), id);
        }
    }

    /// Sends what was put in line, where that was not tried yet.
    fn send_all(&mut self, application: &mut impl Application, now: Moment) {
        let count = self.slots.len();
        for index in 0..count {
            let tx = chunk(self.tx, count, index);
            let Some(slot) = self.slots.get_mut(index) else { return };
            if slot.is_unsent() || matches!(slot.phase, Phase::Ending(_)) && !slot.has(BLOCKED) {
                if let Err(error) = slot.flush(tx, now, &self.limits) {
                    self.lose(application, index, End::Failed(error), now);
                    continue;
                }
                slot.end_sending(now, &self.limits);
                self.tell_writable(application, index, now);
            }
        }
    }

    /// The WebSocket is over, but what waits is still sent.
    fn end(
        &mut self,
        application: &mut impl Application,
        index: usize,
        end: End<'_, Fault<N>>,
        now: Moment,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let id = PeerId { index: index as u16, generation: slot.generation };
        slot.end_with(&[], now, self.limits.closing_handshake);
        application.closed(&mut self.peers_at(now), id, end);
    }

    /// The connection is over.
    fn lose(
        &mut self,
        application: &mut impl Application,
        index: usize,
        end: End<'_, Fault<N>>,
        now: Moment,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let id = PeerId { index: index as u16, generation: slot.generation };
        let was_open = slot.connection().is_some();
        slot.free();
        if was_open {
            application.closed(&mut self.peers_at(now), id, end);
        }
    }
}

/// Whether the next frame of the peer can be replied to.
fn has_room<S>(slot: &Slot<S>, tx: &[u8], limits: &Limits) -> bool {
    const PONG: usize = 2 + MAX_CONTROL_PAYLOAD_LEN;
    slot.backlog.room(tx, Purpose::Control) >= PONG
        && slot.backlog.room(tx, Purpose::Data) >= limits.reply_room
}

/// All that is sent to a peer for which there is no slot.
const fn busy<N: Network>(limits: &Limits) -> &'static [u8] {
    // A Close frame with 1013.
    if N::UPGRADED { &[0x88, 2, 0x03, 0xF5] } else { limits.busy }
}

/// The code of the Close frame for what the application refuses, where a response comes too late.
const fn code_for(status: Status) -> CloseCode {
    match status.code() {
        429 | 503 => CloseCode::TRY_AGAIN_LATER,
        500.. => CloseCode::INTERNAL_ERROR,
        _ => CloseCode::POLICY_VIOLATION,
    }
}

/// Closes an upgraded connection that the application never heard of.
fn close_unopened<S: Transport>(
    slot: &mut Slot<S>,
    tx: &mut [u8],
    code: CloseCode,
    reason: &str,
    now: Moment,
    limits: &Limits,
) {
    slot.phase = Phase::Open(Open::new(now));
    slot.close(tx, Some(code), reason);
    slot.end_with(&[], now, limits.closing_handshake);
}

/// Answers an opening handshake that is not valid, and ends the connection.
fn refuse<N: Network>(slot: &mut Slot<N::Stream>, tx: &mut [u8], now: Moment, limits: &Limits) {
    if let Phase::Opening(handshake) = &mut slot.phase {
        if N::UPGRADED {
            let code = match handshake.verdict() {
                Err(RequestError::HeadTooLarge) => CloseCode::MESSAGE_TOO_BIG,
                _ => CloseCode::PROTOCOL_ERROR,
            };
            return close_unopened(slot, tx, code, "", now, limits);
        }
        let reply = handshake.respond();
        // Every refusal fits the shortest buffer.
        slot.backlog.put(tx, [reply.as_bytes(), &[], &[]], Purpose::Last);
    }
    slot.end_with(&[], now, limits.closing_handshake);
}

/// Answers a request that opens no WebSocket, and ends the connection.
fn answer_with<S: Transport>(
    slot: &mut Slot<S>,
    tx: &mut [u8],
    answer: &Answer<'_>,
    is_head: bool,
    now: Moment,
    limits: &Limits,
) {
    let rest = match put_answer(slot, tx, answer, is_head) {
        Ok(rest) => rest,
        // Too large, or a field that is not valid.
        Err(_) => {
            let error = Answer::empty(Status::INTERNAL_SERVER_ERROR);
            put_answer(slot, tx, &error, is_head).unwrap_or_default()
        }
    };
    slot.end_with(rest, now, limits.send);
}

/// Puts the head in line, and a body that has to be copied; returns the body that has not.
fn put_answer<S: Transport>(
    slot: &mut Slot<S>,
    tx: &mut [u8],
    answer: &Answer<'_>,
    is_head: bool,
) -> Result<&'static [u8], UsageError> {
    let free = slot.backlog.free(tx);
    let mut len = answer.response().encode_head(free)?;
    let mut rest: &[u8] = &[];
    match answer.body {
        _ if is_head => {}
        Body::Static(body) => rest = body,
        Body::Copied(body) => {
            let place = free.get_mut(len..).unwrap_or_default();
            if place.len() < body.len() {
                return Err(UsageError::BufferTooSmall);
            }
            len = len.saturating_add(crate::buffer::copy(place, body));
        }
    }
    slot.backlog.extend(len);
    Ok(rest)
}

/// Drops what has arrived, and returns whether more may come.
fn drain<S: Transport>(slot: &mut Slot<S>) -> bool {
    if !matches!(slot.phase, Phase::Draining) {
        return true;
    }
    let mut dropped = [0; 128];
    for _ in 0..DRAINED_AT_ONCE {
        match slot.read(&mut dropped) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}
