// SPDX-License-Identifier: Apache-2.0
//! The sending side of a WebSocket.

use core::time::Duration;

use crate::close::{CloseCode, CloseFrame};
use crate::connection::Connection;
use crate::error::{Error, UsageError};
use crate::event::MessageKind;
use crate::frame::{MAX_HEADER_LEN, Opcode};
use crate::outgoing::Outgoing;
use crate::role::{KeySource, Role};
use crate::transport::Transport;

/// Sends messages, fragments and control frames.
///
/// A small frame leaves in one write of the transport; a server's payload is never copied, a
/// client's is masked in the transmit buffer, piece by piece. A call returns when the transport
/// has taken the whole frame.
///
/// # When the deadline passes
/// [`Error::TimedOut`] from a method that sends data means that the frame was begun and its
/// position kept. [`resume`](Self::resume) with the same payload goes on there; until the frame is
/// complete, every other sending method fails with [`UsageError::FrameInProgress`], while
/// receiving goes on as ever. If nothing had been begun because an earlier control frame still
/// blocks the transport, `resume` fails with [`UsageError::NoFrameToResume`]: send again.
/// [`is_frame_begun`](Self::is_frame_begun) tells the two apart.
pub struct Sender<'b, T, R: Role> {
    pub(crate) transport: T,
    pub(crate) connection: Connection<R>,
    role: R,
    outgoing: Outgoing<'b, R>,
}

impl<'b, T: Transport, R: KeySource> Sender<'b, T, R> {
    pub(crate) fn new(
        transport: T,
        role: R,
        connection: Connection<R>,
        outgoing: Outgoing<'b, R>,
    ) -> Self {
        Self { transport, connection, role, outgoing }
    }

    /// As [`WebSocket::set_deadline`](crate::WebSocket::set_deadline), while an event is looked at.
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.transport.set_deadline(after);
    }

    /// Sends a text message in one frame.
    ///
    /// # Errors
    /// As [`send_fragment`](Self::send_fragment).
    pub fn send_text(&mut self, text: &str) -> Result<(), Error<T::Error>> {
        self.send_fragment(MessageKind::Text, text.as_bytes(), true)
    }

    /// Sends a binary message in one frame.
    ///
    /// # Errors
    /// As [`send_fragment`](Self::send_fragment).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.send_fragment(MessageKind::Binary, payload, true)
    }

    /// Sends the next fragment of a message whose length need not be known, the last one with
    /// `fin` (RFC 6455 section 5.4). The first fragment after a final one begins a message.
    ///
    /// The fragments of a text message must be UTF-8 together; a character may be split between
    /// two.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: see above.
    /// - [`Error::Usage`]: [`UsageError::OtherMessageInProgress`], [`UsageError::FrameInProgress`]
    ///   or [`UsageError::NotOpen`]; nothing was sent.
    /// - [`Error::Entropy`], [`Error::Disconnected`] and [`Error::Transport`]: the connection is
    ///   over.
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) -> Result<(), Error<T::Error>> {
        let key = self.prepare()?;
        let mut header = [0; MAX_HEADER_LEN];
        let header = self.connection.send(kind.opcode(), fin, payload.len(), key, &mut header)?;
        self.outgoing.begin(header, payload.len(), key);
        self.complete(payload)
    }

    /// Goes on with the frame whose sending ended in [`Error::TimedOut`]. `payload` is the same
    /// as in that call; what of it was sent before is not sent again.
    ///
    /// # Errors
    /// [`UsageError::NoFrameToResume`], otherwise as [`send_fragment`](Self::send_fragment).
    pub fn resume(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        if !self.outgoing.can_resume(payload.len()) {
            return Err(UsageError::NoFrameToResume.into());
        }
        self.complete(payload)
    }

    /// Whether a data frame was sent in part, and waits for [`resume`](Self::resume).
    #[must_use]
    pub const fn is_frame_begun(&self) -> bool {
        self.outgoing.is_frame_begun()
    }

    /// Sends a Ping. The peer's Pong brings `payload` back.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: nothing of it was sent. The call can be repeated.
    /// - [`Error::Usage`]: [`UsageError::ControlPayloadTooLong`] over 125 bytes,
    ///   [`UsageError::FrameInProgress`] or [`UsageError::NotOpen`].
    /// - [`Error::Entropy`], [`Error::Disconnected`] and [`Error::Transport`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.send_new_control(Opcode::Ping, payload)
    }

    /// Sends a Pong that no Ping asked for (RFC 6455 section 5.5.3).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.send_new_control(Opcode::Pong, payload)
    }

    /// Begins the closing handshake (RFC 6455 section 7.1.2). It is over when
    /// [`receive`](crate::WebSocket::receive) brings the peer's Close frame, or
    /// [`finish`](crate::WebSocket::finish) has waited for it.
    ///
    /// # Errors
    /// - [`Error::TimedOut`]: the Close frame waits, and goes out with the next call that finds
    ///   room. If [`state`](crate::WebSocket::state) is still `Open`, an earlier control frame
    ///   blocks the transport and nothing was begun: call again.
    /// - [`Error::Usage`]: [`UsageError::ControlPayloadTooLong`] for a reason over 123 bytes,
    ///   [`UsageError::ReasonWithoutCode`], [`UsageError::FrameInProgress`],
    ///   [`UsageError::NotOpen`].
    /// - [`Error::Entropy`], [`Error::Disconnected`] and [`Error::Transport`].
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), Error<T::Error>> {
        let key = self.prepare()?;
        self.put_close(code, reason, key)?;
        self.outgoing.send_control(&mut self.transport, false)
    }

    /// Sends what the connection owes for a frame that it received.
    pub(crate) fn answer(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error<T::Error>> {
        let is_close = opcode == Opcode::Close;
        if !(is_close || opcode == Opcode::Ping) || self.connection.is_close_sent() {
            return Ok(());
        }
        let key = self.role.key()?;
        if is_close {
            self.put_close(CloseFrame::of(payload).code, "", key)?;
        } else {
            self.put_control(Opcode::Pong, [payload, &[]], key)?;
        }
        self.answer_now()
    }

    /// Tells the peer why the connection fails, if that can be done at once: a peer that breaks
    /// the protocol may not read either.
    pub(crate) fn fail(&mut self, code: CloseCode) {
        debug!("failing the connection with {}", code.value());
        self.connection.fail();
        // The connection is over whether or not the frame leaves.
        if let Ok(key) = self.role.key()
            && self.answer_now().is_ok()
            && !self.outgoing.is_control_begun()
            && self.put_close(Some(code), "", key).is_ok()
        {
            let _ = self.answer_now();
        }
    }

    /// Sends as much of a waiting control frame as leaves without waiting.
    pub(crate) fn answer_now(&mut self) -> Result<(), Error<T::Error>> {
        match self.outgoing.send_control(&mut self.transport, true) {
            Err(Error::TimedOut) => Ok(()),
            result => result,
        }
    }

    /// Completes a control frame of which a part was sent.
    pub(crate) fn complete_control(&mut self) -> Result<(), Error<T::Error>> {
        if self.outgoing.is_control_begun() { self.send_waiting() } else { Ok(()) }
    }

    /// Sends a waiting control frame.
    pub(crate) fn send_waiting(&mut self) -> Result<(), Error<T::Error>> {
        self.outgoing.send_control(&mut self.transport, false)
    }

    /// Whether a control frame waits for nothing but room in the transport.
    pub(crate) const fn wants_to_answer(&self) -> bool {
        self.outgoing.wants_to_send_control()
    }

    /// Begins the closing handshake without waiting, even behind a data frame that has begun.
    /// Where a control frame was sent in part, nothing is begun.
    pub(crate) fn close_now(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), Error<T::Error>> {
        self.answer_now()?;
        if self.outgoing.is_control_begun() {
            return Err(Error::TimedOut);
        }
        let key = self.role.key()?;
        self.put_close(code, reason, key)?;
        self.answer_now()
    }

    /// Puts a Ping in line without waiting, even behind a data frame that has begun, unless
    /// another control frame waits there.
    pub(crate) fn ping_now(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.answer_now()?;
        if self.outgoing.is_control_waiting() && !self.connection.is_close_sent() {
            return Err(Error::TimedOut);
        }
        let key = self.role.key()?;
        self.put_control(Opcode::Ping, [payload, &[]], key)?;
        self.answer_now()
    }

    /// Whether a part of a control frame was sent, and a part not.
    pub(crate) const fn is_control_begun(&self) -> bool {
        self.outgoing.is_control_begun()
    }

    /// How many bytes wait to be sent.
    pub(crate) const fn unsent(&self) -> usize {
        self.outgoing.unsent()
    }

    /// Sends a control frame of the application, or none of it: what waited could be replaced by
    /// an answer that the connection owes.
    fn send_new_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error<T::Error>> {
        let key = self.prepare()?;
        self.put_control(opcode, [payload, &[]], key)?;
        match self.send_waiting() {
            Err(Error::TimedOut) if self.outgoing.is_control_begun() => Ok(()),
            Err(Error::TimedOut) => {
                self.outgoing.withdraw_control();
                Err(Error::TimedOut)
            }
            result => result,
        }
    }

    fn put_close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        key: R::Key,
    ) -> Result<(), UsageError> {
        let code = code.map(CloseCode::to_be_bytes);
        let code = match &code {
            Some(code) => code.as_slice(),
            None if reason.is_empty() => &[],
            None => return Err(UsageError::ReasonWithoutCode),
        };
        self.put_control(Opcode::Close, [code, reason.as_bytes()], key)
    }

    fn put_control(
        &mut self,
        opcode: Opcode,
        parts: [&[u8]; 2],
        key: R::Key,
    ) -> Result<(), UsageError> {
        let [first, second] = parts;
        let len = first.len().saturating_add(second.len());
        let mut header = [0; MAX_HEADER_LEN];
        let header = self.connection.send(opcode, true, len, key, &mut header)?;
        self.outgoing.put_control(header, parts, key);
        Ok(())
    }

    /// Makes way for a new frame, and finds its key.
    fn prepare(&mut self) -> Result<R::Key, Error<T::Error>> {
        if self.outgoing.is_frame_begun() {
            return Err(UsageError::FrameInProgress.into());
        }
        self.send_waiting()?;
        Ok(self.role.key()?)
    }

    fn complete(&mut self, payload: &[u8]) -> Result<(), Error<T::Error>> {
        self.outgoing.send_frame(&mut self.transport, payload)?;
        self.answer_now()
    }
}
