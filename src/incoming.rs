// SPDX-License-Identifier: Apache-2.0
//! A server's side of a new connection: the request, before it is answered.

use core::time::Duration;

use crate::buffer::ReceiveBuffer;
use crate::error::{Error, RequestError};
use crate::handshake::Status;
use crate::handshake::server::{Acceptance, Handshake, Request, Response};
use crate::outgoing::write_all;
use crate::role::Server;
use crate::transport::Transport;
use crate::websocket::{WebSocket, check_buffers, linger};

/// How long an answer that ends the connection may take to leave, and the peer to end its side.
const LINGER: Duration = Duration::from_secs(1);

/// A connection whose request head has arrived. The application looks at the
/// [`request`](Self::request) and decides: [`accept`](Self::accept) it as a WebSocket, or
/// [`respond`](Self::respond) with a page or an error.
pub struct Incoming<'b, T> {
    transport: T,
    received: ReceiveBuffer<'b>,
    handshake: Handshake,
    tx: &'b mut [u8],
}

impl<'b, T: Transport> Incoming<'b, T> {
    /// Receives the request's head into `rx`, which bounds its length. The deadline that was set
    /// on the transport bounds the whole of it, however slowly its bytes drip in.
    ///
    /// `tx` must be long enough for the response's head too: 129 bytes for a plain acceptance, and
    /// what the application adds.
    ///
    /// # Errors
    /// - [`UsageError::BufferTooSmall`](crate::UsageError::BufferTooSmall): `rx` is shorter than [`MIN_RX_BUFFER`](crate::MIN_RX_BUFFER), or `tx` than
    ///   [`MIN_TX_BUFFER`](crate::MIN_TX_BUFFER). Nothing was received.
    /// - [`Error::Request`]: the peer has been answered with 400, 408, 426, 431 or 505, and the
    ///   connection ended.
    /// - [`Error::Disconnected`], [`Error::Transport`].
    pub fn read(transport: T, rx: &'b mut [u8], tx: &'b mut [u8]) -> Result<Self, Error<T::Error>> {
        // Every refusal fits into the shortest buffer.
        check_buffers(rx, tx)?;
        let received = ReceiveBuffer::new(rx);
        let mut incoming = Self { transport, received, handshake: Handshake::new(), tx };
        incoming.read_head()?;
        match incoming.handshake.verdict() {
            // Whether these are errors is for the application to say.
            Ok(()) | Err(RequestError::NotWebSocket | RequestError::Method) => Ok(incoming),
            Err(error) => Err(incoming.refuse(error)),
        }
    }

    fn read_head(&mut self) -> Result<(), Error<T::Error>> {
        while !self.handshake.read(self.received.unread()) && !self.received.is_full() {
            match self.received.fill(&mut self.transport, false) {
                Ok(Some(0)) => return Err(Error::Disconnected),
                Ok(_) => {}
                Err(Error::TimedOut) => {
                    self.handshake.time_out();
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn head(&self) -> &[u8] {
        self.received.unread().get(..self.handshake.head_len()).unwrap_or_default()
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request::new(self.head())
    }

    /// Whether the request asks for a WebSocket at all, rightly or wrongly.
    #[must_use]
    pub const fn is_websocket(&self) -> bool {
        self.handshake.is_websocket()
    }

    /// Opens the WebSocket.
    ///
    /// # Errors
    /// - [`Error::Request`]: the request asks for no WebSocket, or not with GET; the peer has been
    ///   answered with 405 or 426, and the connection ended.
    /// - [`Error::Usage`]: a buffer is too small, the subprotocol was not offered, or a field is
    ///   not valid; the peer has been answered with 500.
    /// - [`Error::TimedOut`], [`Error::Disconnected`], [`Error::Transport`].
    pub fn accept(
        mut self,
        acceptance: &Acceptance<'_>,
    ) -> Result<WebSocket<'b, T, Server>, Error<T::Error>> {
        match self.send_acceptance(acceptance) {
            Ok(()) => {
                debug!("opened {}", self.request().resource_name());
                self.received.consume(self.handshake.head_len());
                Ok(WebSocket::with_received(self.transport, Server, self.received, self.tx)?)
            }
            Err(Error::Request(error)) => Err(self.refuse(error)),
            Err(Error::Usage(error)) => {
                self.end_with(Status::INTERNAL_SERVER_ERROR);
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    fn send_acceptance(&mut self, acceptance: &Acceptance<'_>) -> Result<(), Error<T::Error>> {
        self.handshake.verdict()?;
        let head = self.received.unread().get(..self.handshake.head_len()).unwrap_or_default();
        let request = Request::new(head);
        let len = acceptance.encode(&mut self.handshake, &request, self.tx)?;
        // The system's hash function may have failed.
        self.handshake.verdict()?;
        write_all(&mut self.transport, self.tx.get(..len).unwrap_or_default(), &[])
    }

    /// Answers with an ordinary response, body included unless the request's method is HEAD, and
    /// ends the connection.
    ///
    /// # Errors
    /// [`UsageError::BufferTooSmall`](crate::UsageError::BufferTooSmall) or [`UsageError::InvalidHeader`](crate::UsageError::InvalidHeader), before anything was sent;
    /// [`Error::TimedOut`], [`Error::Disconnected`], [`Error::Transport`].
    pub fn respond(mut self, response: &Response<'_>) -> Result<T, Error<T::Error>> {
        let len = response.encode_head(self.tx)?;
        let body = if self.request().is_head() { &[] } else { response.body };
        write_all(&mut self.transport, self.tx.get(..len).unwrap_or_default(), body)?;
        self.transport.set_deadline(Some(LINGER));
        linger(&mut self.transport, true, LINGER, self.received.storage());
        Ok(self.transport)
    }

    fn refuse(mut self, error: RequestError) -> Error<T::Error> {
        debug!("refused with {}: {}", error.status().code(), error);
        self.transport.set_deadline(Some(LINGER));
        // The caller learns why the connection ends; whether the peer still does is its own loss.
        if write_all::<T>(&mut self.transport, self.handshake.respond().as_bytes(), &[]).is_ok() {
            linger(&mut self.transport, true, LINGER, self.received.storage());
        }
        Error::Request(error)
    }

    fn end_with(mut self, status: Status) {
        self.transport.set_deadline(Some(LINGER));
        let _ = self.respond(&Response::empty(status));
    }
}
