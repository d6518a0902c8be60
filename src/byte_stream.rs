// SPDX-License-Identifier: Apache-2.0
//! A byte stream over binary messages, as MQTT and VNC have theirs.

use core::ops::Range;
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};

use crate::buffer::copy;
use crate::close::CloseCode;
use crate::error::Error;
use crate::frame::Opcode;
use crate::role::{KeySource, Role};
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// The payloads of all binary messages, one behind the other, as an [`embedded_io`] stream; what is
/// written is sent in binary messages. Where a message ends has no meaning, as in MQTT (MQTT 5.0
/// section 6) and in VNC over a WebSocket.
///
/// Pings are answered while reading. A text message fails the connection with 1003.
pub struct ByteStream<'b, T, R: Role> {
    websocket: WebSocket<'b, T, R>,
    /// What was received and not read: a place in the receive buffer.
    unread: Range<usize>,
    is_over: bool,
}

impl<'b, T: Transport, R: KeySource> ByteStream<'b, T, R> {
    /// A stream over `websocket`, of which no message was received in part.
    #[must_use]
    pub const fn new(websocket: WebSocket<'b, T, R>) -> Self {
        Self { websocket, unread: 0..0, is_over: false }
    }

    /// The WebSocket, to close it. What was received and not read is lost.
    #[must_use]
    pub fn into_inner(self) -> WebSocket<'b, T, R> {
        self.websocket
    }

    /// As [`WebSocket::set_deadline`]. A read or write that did not finish before it fails with
    /// [`Error::TimedOut`].
    pub fn set_deadline(&mut self, after: Option<Duration>) {
        self.websocket.set_deadline(after);
    }

    /// Waits until there is something to read; `false` at the end of the stream.
    ///
    /// # Errors
    /// As [`WebSocket::receive`], and [`Error::UnsupportedData`].
    pub fn wait_readable(&mut self) -> Result<bool, Error<T::Error>> {
        while self.unread.is_empty() && !self.is_over {
            match self.websocket.next()? {
                (Opcode::Binary, _, payload) => self.unread = payload,
                (Opcode::Close, ..) => self.is_over = true,
                (Opcode::Ping | Opcode::Pong, ..) => {}
                (Opcode::Text | Opcode::Continuation, ..) => {
                    self.websocket.sender().fail(CloseCode::UNSUPPORTED_DATA);
                    return Err(Error::UnsupportedData);
                }
            }
        }
        Ok(!self.unread.is_empty())
    }
}

impl<T: Transport, R: KeySource> ErrorType for ByteStream<'_, T, R> {
    type Error = Error<T::Error>;
}

impl<T: Transport, R: KeySource> Read for ByteStream<'_, T, R> {
    /// Returns 0 once the peer has sent its Close frame, which was answered.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() || !self.wait_readable()? {
            return Ok(0);
        }
        let count = copy(bytes, self.websocket.received_at(self.unread.clone()));
        self.unread.start = self.unread.start.saturating_add(count);
        Ok(count)
    }
}

impl<T: Transport, R: KeySource> Write for ByteStream<'_, T, R> {
    /// Sends all of `bytes` in one message. After [`Error::TimedOut`] a part of it may have left:
    /// write the same bytes again, and nothing else before them.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let sender = self.websocket.sender();
        if sender.is_frame_begun() {
            sender.resume(bytes)?;
        } else {
            sender.send_binary(bytes)?;
        }
        Ok(bytes.len())
    }

    /// Returns at once: nothing is held back.
    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
