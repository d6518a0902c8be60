// SPDX-License-Identifier: Apache-2.0
//! The client's side of the opening handshake (RFC 6455 section 4.1).

use crate::error::{ResponseError, UsageError};
use crate::handshake::accept_key::{self, Key};
use crate::handshake::head::Head;
use crate::handshake::writer::{Writer, is_token, is_value};

/// What a client asks a server for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The server's name or address, with `:` and the port unless that is 80 (443 with TLS); an
    /// IPv6 address in brackets.
    pub host: &'a str,
    /// Path and query. A `/` is added where the path is empty.
    pub resource_name: &'a str,
    /// The subprotocols to offer, the best first.
    pub subprotocols: &'a [&'a str],
    /// Further fields, such as `Authorization`, `Cookie` or `Origin`.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> Request<'a> {
    /// A request for `resource_name` at `host`, without subprotocols and further fields.
    #[must_use]
    pub const fn new(host: &'a str, resource_name: &'a str) -> Self {
        Self { host, resource_name, subprotocols: &[], fields: &[] }
    }

    /// The key made of `nonce`: 16 unpredictable bytes, new for each connection.
    #[must_use]
    pub fn key(nonce: &[u8; 16]) -> Key {
        accept_key::encode_key(nonce)
    }

    /// Writes the request, and returns its length.
    ///
    /// # Errors
    /// [`UsageError::InvalidHeader`] and [`UsageError::BufferTooSmall`].
    pub fn encode(&self, key: &Key, buffer: &mut [u8]) -> Result<usize, UsageError> {
        let slash: &[u8] = match self.resource_name.as_bytes() {
            [] | [b'?', ..] => b"/",
            [b'/', ..] => b"",
            _ => return Err(UsageError::InvalidHeader),
        };
        let mut resource_name = self.resource_name.bytes();
        let host_is_valid = !self.host.is_empty() && is_value(self.host);
        if !host_is_valid || !resource_name.all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(UsageError::InvalidHeader);
        }
        let mut writer = Writer::new(buffer);
        writer
            .put(b"GET ")
            .put(slash)
            .put(self.resource_name.as_bytes())
            .put(b" HTTP/1.1\r\n")
            .field("Host", self.host.as_bytes())
            .put(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
            .field("Sec-WebSocket-Key", key);
        let mut separator: &[u8] = b"Sec-WebSocket-Protocol: ";
        for subprotocol in self.subprotocols {
            if !is_token(subprotocol) {
                return Err(UsageError::InvalidHeader);
            }
            writer.put(separator).put(subprotocol.as_bytes());
            separator = b", ";
        }
        if !self.subprotocols.is_empty() {
            writer.put(b"\r\n");
        }
        writer.fields(self.fields)?.finish()
    }

    /// Checks the answer in `head`, which a [`HeadScanner`](crate::handshake::HeadScanner)
    /// accepted, and returns the subprotocol that the server chose.
    ///
    /// # Errors
    /// Why it is no acceptance.
    pub fn verify(&self, key: &Key, head: &[u8]) -> Result<Option<&'a str>, ResponseError> {
        let head = Head::new(head);
        match status_code(head.start_line()).ok_or(ResponseError::Malformed)? {
            (b'0', 101) => return Err(ResponseError::Malformed),
            (_, 101) => {}
            (_, status) => return Err(ResponseError::Status(status)),
        }
        let upgrade = head.only("upgrade");
        if !upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
            return Err(ResponseError::Upgrade);
        }
        if !head.lists("connection", "upgrade") {
            return Err(ResponseError::Connection);
        }
        if head.only("sec-websocket-accept") != Some(accept_key::accept(key).as_slice()) {
            return Err(ResponseError::Accept);
        }
        if head.list("sec-websocket-extensions").next().is_some() {
            return Err(ResponseError::Extension);
        }
        if head.field("sec-websocket-protocol").is_none() {
            return Ok(None);
        }
        let chosen = head.only("sec-websocket-protocol").ok_or(ResponseError::Subprotocol)?;
        let offered = self.subprotocols.iter().find(|offered| offered.as_bytes() == chosen);
        offered.map(|offered| Some(*offered)).ok_or(ResponseError::Subprotocol)
    }
}

/// The minor version, a digit, and the status of an HTTP/1.x status line.
fn status_code(line: &[u8]) -> Option<(u8, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (&minor, rest) = rest.split_first()?;
    let [b' ', digits @ ..] = rest else {
        return None;
    };
    let (digits, after) = digits.split_first_chunk::<3>()?;
    let ends = matches!(after, [] | [b' ', ..]);
    if !ends || !minor.is_ascii_digit() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code: u16, digit| {
        code.wrapping_mul(10).wrapping_add(u16::from(digit.wrapping_sub(b'0')))
    });
    (100..600).contains(&code).then_some((minor, code))
}
