// SPDX-License-Identifier: Apache-2.0
//! The echo client's behaviour, on any transport: the same on a board and on a PC.

use core::fmt;
use core::time::Duration;

use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{
    CloseCode, Connected, Entropy, Error, Message, MessageBuffer, MessageKind, Transport, connect,
};

/// For the opening handshake, for each message, and for the closing handshake.
#[derive(Clone, Copy)]
pub struct Timeouts {
    pub handshake: Duration,
    pub message: Duration,
    pub close: Duration,
}

/// Why the server does not echo.
#[derive(Debug)]
pub enum Failure<E> {
    /// The connection ended.
    WebSocket(Error<E>),
    /// The server sent something else than the echo of message number `.0`.
    NoEcho(usize),
}

impl<E> From<Error<E>> for Failure<E> {
    fn from(error: Error<E>) -> Self {
        Self::WebSocket(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebSocket(error) => error.fmt(f),
            Self::NoEcho(number) => write!(f, "message {number} came back changed"),
        }
    }
}

/// Messages as their fragments.
const MESSAGES: [(MessageKind, &[&[u8]]); 4] = [
    (MessageKind::Text, &["Grüße, WebSocket!".as_bytes()]),
    (MessageKind::Binary, &[&[0, 1, 2, 0xFD, 0xFE, 0xFF]]),
    (MessageKind::Text, &[b"a message ", b"in three ", b"fragments"]),
    (MessageKind::Binary, &[&[0xA5; 300], &[]]),
];

/// Connects, sends messages one by one, checks that each comes back, and closes. Returns how many
/// were echoed.
pub fn run<T: Transport, E: Entropy>(
    mut transport: T,
    entropy: E,
    request: &Request<'_>,
    buffers: [&mut [u8]; 3],
    timeouts: &Timeouts,
) -> Result<usize, Failure<T::Error>> {
    let [rx, tx, storage] = buffers;
    transport.set_deadline(Some(timeouts.handshake));
    let Connected { mut websocket, .. } = connect(transport, entropy, request, rx, tx)?;
    let mut messages = MessageBuffer::new(storage);
    for (number, (kind, fragments)) in MESSAGES.into_iter().enumerate() {
        websocket.set_deadline(Some(timeouts.message));
        for (index, fragment) in fragments.iter().enumerate() {
            let fin = index + 1 == fragments.len();
            websocket.sender().send_fragment(kind, fragment, fin)?;
        }
        let (echoed_kind, echo) = match messages.receive(&mut websocket)? {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, bytes),
            Message::Close(_) => return Err(Error::Closed.into()),
        };
        if echoed_kind != kind || !fragments.iter().copied().flatten().eq(echo) {
            return Err(Failure::NoEcho(number + 1));
        }
    }
    websocket.set_deadline(Some(timeouts.close));
    websocket.sender().close(Some(CloseCode::NORMAL_CLOSURE), "done")?;
    while !matches!(messages.receive(&mut websocket)?, Message::Close(_)) {}
    websocket.finish(timeouts.close);
    Ok(MESSAGES.len())
}
