// SPDX-License-Identifier: Apache-2.0
//! A client's opening handshake on a transport.

use crate::buffer::ReceiveBuffer;
use crate::error::Error;
use crate::handshake::client::{Handshake, Request};
use crate::outgoing::write_all;
use crate::role::Client;
use crate::transport::{Entropy, Transport};
use crate::websocket::{WebSocket, check_buffers};

/// What [`connect`] brings.
pub struct Connected<'b, 'r, T, E> {
    /// The open WebSocket.
    pub websocket: WebSocket<'b, T, Client<E>>,
    /// The one of the request's subprotocols that the server chose.
    pub subprotocol: Option<&'r str>,
}

/// Opens a WebSocket to the server at the other end of `transport`.
///
/// `rx` must be long enough for the request and for the response's head, one after the other. The
/// deadline that was set on the transport bounds the whole handshake.
///
/// # Errors
/// - [`Error::Response`]: the server did not accept.
/// - [`Error::Usage`]: a buffer is too small, or the request has a character that HTTP does not
///   allow; nothing was sent.
/// - [`Error::TimedOut`], after which the connection is of no use either, [`Error::Disconnected`],
///   [`Error::Entropy`] and [`Error::Transport`].
pub fn connect<'b, 'r, T: Transport, E: Entropy>(
    mut transport: T,
    mut entropy: E,
    request: &Request<'r>,
    rx: &'b mut [u8],
    tx: &'b mut [u8],
) -> Result<Connected<'b, 'r, T, E>, Error<T::Error>> {
    check_buffers(rx, tx)?;
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce)?;
    let key = Request::key(&nonce);
    let mut received = ReceiveBuffer::new(rx);
    let len = request.encode(&key, received.storage())?;
    write_all(&mut transport, received.storage().get(..len).unwrap_or_default(), &[])?;

    let mut handshake = Handshake::new(request, &key);
    while !handshake.read(received.unread()) && !received.is_full() {
        if received.fill(&mut transport, false)? == Some(0) {
            return Err(Error::Disconnected);
        }
    }
    handshake.verdict()?;
    let subprotocol = handshake.subprotocol();
    debug!("opened {}", request.resource_name);
    received.consume(handshake.head_len());
    let websocket = WebSocket::with_received(transport, Client(entropy), received, tx)?;
    Ok(Connected { websocket, subprotocol })
}
