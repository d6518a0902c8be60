// SPDX-License-Identifier: Apache-2.0
//! A client's opening handshake on a transport.

use crate::buffer::ReceiveBuffer;
use crate::error::{Error, ResponseError};
use crate::handshake::Head;
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
    transport: T,
    entropy: E,
    request: &Request<'r>,
    rx: &'b mut [u8],
    tx: &'b mut [u8],
) -> Result<Connected<'b, 'r, T, E>, Error<T::Error>> {
    let connected = Opening::new(transport, entropy, request, rx, tx)?.complete()?;
    debug!("opened {}", request.resource_name);
    Ok(connected)
}

/// Opens a WebSocket like [`connect`]; where the server answers with another status than 101, reads
/// on to the end of the response's head, and passes both to `refused`: for
/// [`Backoff::refused`](crate::Backoff::refused), or to see `WWW-Authenticate` or `Location`.
///
/// The head's fields are as the server sent them. They lack what did not come within the deadline
/// or fit `rx`.
///
/// # Errors
/// As [`connect`].
pub fn connect_or_refused<'b, 'r, T: Transport, E: Entropy>(
    transport: T,
    entropy: E,
    request: &Request<'r>,
    rx: &'b mut [u8],
    tx: &'b mut [u8],
    refused: impl FnOnce(u16, Head<'_>),
) -> Result<Connected<'b, 'r, T, E>, Error<T::Error>> {
    let mut opening = Opening::new(transport, entropy, request, rx, tx)?;
    if let Err(ResponseError::Status(status)) = opening.handshake.verdict() {
        refused(status, opening.read_refusal());
    }
    let connected = opening.complete()?;
    debug!("opened {}", request.resource_name);
    Ok(connected)
}

/// An opening handshake whose verdict is known.
struct Opening<'b, 'r, T, E> {
    transport: T,
    entropy: E,
    received: ReceiveBuffer<'b>,
    tx: &'b mut [u8],
    handshake: Handshake<'r>,
}

impl<'b, 'r, T: Transport, E: Entropy> Opening<'b, 'r, T, E> {
    fn new(
        mut transport: T,
        mut entropy: E,
        request: &Request<'r>,
        rx: &'b mut [u8],
        tx: &'b mut [u8],
    ) -> Result<Self, Error<T::Error>> {
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
        Ok(Self { transport, entropy, received, tx, handshake })
    }

    fn complete(mut self) -> Result<Connected<'b, 'r, T, E>, Error<T::Error>> {
        self.handshake.verdict()?;
        let subprotocol = self.handshake.subprotocol();
        self.received.consume(self.handshake.head_len());
        let role = Client(self.entropy);
        let websocket = WebSocket::with_received(self.transport, role, self.received, self.tx)?;
        Ok(Connected { websocket, subprotocol })
    }

    /// Reads the rest of a head that the handshake has looked no further into.
    fn read_refusal(&mut self) -> Head<'_> {
        const END: &[u8] = b"\r\n\r\n";
        let mut seen = 0usize;
        let end = loop {
            let unread = self.received.unread();
            // What was looked at before can hold no more than the beginning of its end.
            let start = seen.saturating_sub(END.len());
            let found = unread.get(start..).and_then(|new| position(new, END));
            if let Some(found) = found {
                break start.wrapping_add(found).wrapping_add(END.len());
            }
            seen = unread.len();
            let is_over = self.received.is_full()
                || !matches!(self.received.fill(&mut self.transport, false), Ok(Some(1..)));
            if is_over {
                // A line that is cut off tells nothing.
                let line = |at: &[u8]| at.iter().rposition(|&byte| byte == b'\n');
                break line(self.received.unread()).map_or(0, |end| end.wrapping_add(1));
            }
        };
        Head::new(self.received.unread().get(..end).unwrap_or_default())
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
