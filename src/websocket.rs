// SPDX-License-Identifier: Apache-2.0
//! A WebSocket on a byte stream: the one loop that joins the connection to its transport.

use core::ops::Range;
use core::time::Duration;

use crate::buffer::{ReceiveBuffer, uninterrupted};
use crate::connection::{Connection, State};
use crate::error::{Error, UsageError};
use crate::event::Event;
use crate::frame::{MAX_CONTROL_PAYLOAD_LEN, Opcode};
use crate::outgoing::{MIN_TX_BUFFER, Outgoing};
use crate::role::{KeySource, Role};
use crate::sender::Sender;
use crate::transport::Transport;

/// The shortest receive buffer: a control frame from a client. The head of the opening handshake
/// has to fit too; a browser's takes 500 bytes and more.
pub const MIN_RX_BUFFER: usize = 2 + 4 + MAX_CONTROL_PAYLOAD_LEN;

/// One end of an open WebSocket, on the transport `T`, in the role `R`, with two buffers of the
/// application.
///
/// [`Incoming`](crate::Incoming) makes one for a server, [`connect`](crate::connect) for a client.
/// Calls wait until the transport's deadline, see [`set_deadline`](Self::set_deadline).
pub struct WebSocket<'b, T, R: Role> {
    received: ReceiveBuffer<'b>,
    sender: Sender<'b, T, R>,
}

impl<'b, T: Transport, R: KeySource> WebSocket<'b, T, R> {
    /// Takes over `transport` after an opening handshake done elsewhere.
    ///
    /// # Errors
    /// [`UsageError::BufferTooSmall`] if `rx` is shorter than [`MIN_RX_BUFFER`] or `tx` than
    /// [`MIN_TX_BUFFER`](crate::MIN_TX_BUFFER).
    pub fn new(
        transport: T,
        role: R,
        rx: &'b mut [u8],
        tx: &'b mut [u8],
    ) -> Result<Self, UsageError> {
        check_buffers(rx, tx)?;
        Self::with_received(transport, role, ReceiveBuffer::new(rx), tx)
    }

    /// The same, with bytes that came behind the handshake, in buffers that were checked before it.
    pub(crate) fn with_received(
        transport: T,
        role: R,
        received: ReceiveBuffer<'b>,
        tx: &'b mut [u8],
    ) -> Result<Self, UsageError> {
        let sender = Sender::new(transport, role, Connection::new(), Outgoing::new(tx)?);
        Ok(Self { received, sender })
    }

    pub(crate) fn into_parts(self) -> (ReceiveBuffer<'b>, Sender<'b, T, R>) {
        (self.received, self.sender)
    }

    pub(crate) const fn from_parts(received: ReceiveBuffer<'b>, sender: Sender<'b, T, R>) -> Self {
        Self { received, sender }
    }

    /// Waits for what the peer sends next, and hands it out together with the sending side, so
    /// that it can be answered while it is looked at.
    ///
    /// A Ping has been answered already; a Close frame too, after which only
    /// [`finish`](Self::finish) is left to do. If the transport takes no more for now, these
    /// answers wait, and go out with the next call that finds room.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: nothing arrived before the deadline. The call can be repeated.
    /// - [`Error::Protocol`]: the peer broke the protocol and was told so: call `finish`.
    /// - [`Error::Disconnected`]: the peer went without a Close frame.
    /// - [`Error::Closed`]: there was a Close frame or an error before.
    /// - [`Error::Entropy`] and [`Error::Transport`].
    #[expect(clippy::type_complexity, reason = "a name for the pair would say less")]
    pub fn receive(&mut self) -> Result<(Event<'_>, &mut Sender<'b, T, R>), Error<T::Error>> {
        let parts = self.next()?;
        Ok(self.event(parts))
    }

    /// What the parts of a frame say, with the sending side.
    pub(crate) fn event(
        &mut self,
        (opcode, fin, payload): (Opcode, bool, Range<usize>),
    ) -> (Event<'_>, &mut Sender<'b, T, R>) {
        (Event::of(opcode, fin, self.received.at(payload)), &mut self.sender)
    }

    /// What lies at a place that [`next`](Self::next) has told, until it is called again.
    pub(crate) fn received_at(&self, place: Range<usize>) -> &[u8] {
        self.received.at(place)
    }

    /// How many bytes have arrived of what is not complete.
    pub(crate) fn unread_len(&self) -> usize {
        self.received.unread().len()
    }

    /// The parts of the next frame, its payload as a place in the receive buffer.
    pub(crate) fn next(&mut self) -> Result<(Opcode, bool, Range<usize>), Error<T::Error>> {
        loop {
            if self.sender.connection.is_receive_over() {
                return Err(Error::Closed);
            }
            self.sender.answer_now()?;
            if self.sender.connection.is_answer_next(self.received.unread()) {
                self.sender.complete_control()?;
            }
            let mut input = self.received.unread_mut();
            let arrived = input.len();
            let frame = match self.sender.connection.receive(&mut input) {
                Ok(frame) => frame.map(|frame| (frame.opcode, frame.fin, frame.payload.len())),
                Err(error) => {
                    self.sender.fail(error.close_code());
                    return Err(error.into());
                }
            };
            let consumed = arrived.wrapping_sub(input.len());
            let end = self.received.consume(consumed);
            match frame {
                None => self.fill()?,
                // The end of a fragment is nothing to tell.
                Some((Opcode::Text | Opcode::Binary, false, 0)) => {}
                Some((opcode, fin, len)) => {
                    let payload = end.wrapping_sub(len)..end;
                    self.sender.answer(opcode, self.received.at(payload.clone()))?;
                    return Ok((opcode, fin, payload));
                }
            }
        }
    }

    /// Waits for bytes, or for room where an answer waits for that.
    fn fill(&mut self) -> Result<(), Error<T::Error>> {
        let or_writable = self.sender.wants_to_answer();
        match self.received.fill(&mut self.sender.transport, or_writable)? {
            Some(0) => Err(Error::Disconnected),
            _ => Ok(()),
        }
    }

    /// The sending side.
    pub fn sender(&mut self) -> &mut Sender<'b, T, R> {
        &mut self.sender
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.sender.connection.state()
    }

    /// Lets every call fail with [`Error::TimedOut`] once `after` has passed from now; `None` lets
    /// them wait for ever.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.sender.set_deadline(after);
    }

    /// The transport, for what only it can do. Bytes read from it or written to it are missing or
    /// foreign in the WebSocket.
    pub fn transport(&mut self) -> &mut T {
        &mut self.sender.transport
    }

    /// Ends the connection within `timeout`: sends what waits, then reads and drops what still
    /// comes until the peer closes too, so that no Close frame of ours is lost to a reset (RFC
    /// 6455 section 7.1.1). A server ends its side of the stream first, a client waits for that.
    ///
    /// It sends no Close frame by itself: call [`Sender::close`] before, unless the peer did.
    pub fn finish(mut self, timeout: Duration) -> T {
        debug!("finishing a connection that is {:?}", self.state());
        self.set_deadline(Some(timeout));
        // Whatever fails here, the stream is given back and ends with it.
        let sent = self.sender.send_waiting();
        if sent.is_ok() {
            linger(&mut self.sender.transport, !R::MASKS, timeout, self.received.storage());
        }
        self.sender.transport
    }
}

/// Refuses buffers that a WebSocket could not work with.
pub(crate) fn check_buffers(rx: &[u8], tx: &[u8]) -> Result<(), UsageError> {
    if rx.len() < MIN_RX_BUFFER || tx.len() < MIN_TX_BUFFER {
        return Err(UsageError::BufferTooSmall);
    }
    Ok(())
}

/// How long to read on where the sending side cannot be ended alone: the peer may be waiting for
/// us to go, and only what it has sent already matters.
const QUIET: Duration = Duration::from_millis(100);

/// Reads, within the deadline that was set `timeout` from now, until the peer ends its side or
/// fails.
pub(crate) fn linger<T: Transport>(
    transport: &mut T,
    end_first: bool,
    timeout: Duration,
    scratch: &mut [u8],
) {
    if end_first && transport.shutdown().is_err() {
        transport.set_deadline(Some(timeout.min(QUIET)));
    }
    while uninterrupted(|| transport.read(scratch)).is_ok_and(|count| count > 0) {}
}

const _: () = assert!(MIN_TX_BUFFER >= MIN_RX_BUFFER);
