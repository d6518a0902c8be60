// SPDX-License-Identifier: Apache-2.0
//! Whole messages, for applications that do not want pieces.

use crate::buffer::copy;
use crate::close::CloseCode;
use crate::error::Error;
use crate::event::{Event, MessageKind};
use crate::role::KeySource;
use crate::split::{Locks, ReceiveHalf, SplitTransport};
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// A whole message, or the end of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// The peer's Close frame and its status code: call [`WebSocket::finish`].
    Close(Option<CloseCode>),
}

/// Assembles messages in a slice of the application, whose length is the limit.
pub struct MessageBuffer<'m> {
    bytes: &'m mut [u8],
    len: usize,
}

impl<'m> MessageBuffer<'m> {
    /// Messages of up to `bytes.len()` bytes.
    #[must_use]
    pub fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Receives until a message is complete. Pings are answered, Pongs passed over.
    ///
    /// # Errors
    /// - [`Error::MessageTooBig`]: the message is longer than the slice. The peer was told so
    ///   with 1009: call [`WebSocket::finish`].
    /// - [`Error::TimedOut`]: what arrived of the message is kept, and the next call goes on.
    /// - As [`WebSocket::receive`] otherwise.
    pub fn receive<T: Transport, R: KeySource>(
        &mut self,
        websocket: &mut WebSocket<'_, T, R>,
    ) -> Result<Message<'_>, Error<T::Error>> {
        loop {
            let (event, sender) = websocket.receive()?;
            match self.add(event) {
                Added::Part => {}
                Added::End(kind) => return Ok(self.take(kind)),
                Added::Close(code) => return Ok(Message::Close(code)),
                Added::TooBig => {
                    sender.fail(CloseCode::MESSAGE_TOO_BIG);
                    return Err(Error::MessageTooBig);
                }
            }
        }
    }

    /// The same, from the receiving side of a [`Split`](crate::Split).
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_from<T: SplitTransport, R: KeySource, L: Locks>(
        &mut self,
        receiver: &mut ReceiveHalf<'_, '_, T, R, L>,
    ) -> Result<Message<'_>, Error<T::Error>> {
        loop {
            match self.add(receiver.receive()?) {
                Added::Part => {}
                Added::End(kind) => return Ok(self.take(kind)),
                Added::Close(code) => return Ok(Message::Close(code)),
                Added::TooBig => {
                    receiver.fail(CloseCode::MESSAGE_TOO_BIG);
                    return Err(Error::MessageTooBig);
                }
            }
        }
    }

    fn add(&mut self, event: Event<'_>) -> Added {
        match event {
            Event::Data { kind, payload, fin } => {
                let room = self.bytes.get_mut(self.len..).unwrap_or_default();
                let Some(room) = room.get_mut(..payload.len()) else {
                    return Added::TooBig;
                };
                copy(room, payload);
                self.len = self.len.wrapping_add(payload.len());
                if fin { Added::End(kind) } else { Added::Part }
            }
            Event::Close(close) => Added::Close(close.code),
            Event::Ping(_) | Event::Pong(_) => Added::Part,
        }
    }

    fn take(&mut self, kind: MessageKind) -> Message<'_> {
        let message = self.bytes.get(..self.len).unwrap_or_default();
        self.len = 0;
        match kind {
            // Checked piece by piece; what fails here would be a defect of that check.
            MessageKind::Text => Message::Text(core::str::from_utf8(message).unwrap_or_default()),
            MessageKind::Binary => Message::Binary(message),
        }
    }
}

/// What an event was to the message that is being assembled.
enum Added {
    /// Not its end.
    Part,
    /// Its end.
    End(MessageKind),
    /// There is no more room.
    TooBig,
    /// The end of all messages.
    Close(Option<CloseCode>),
}
