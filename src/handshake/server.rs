// SPDX-License-Identifier: Apache-2.0
//! The server's side of the opening handshake (RFC 6455 section 4.2).

use crate::error::{RequestError, UsageError};
use crate::handshake::accept_key::{self, Key};
use crate::handshake::head::{Head, is_token_byte};
use crate::handshake::status::Status;
use crate::handshake::writer::{Writer, is_value};

/// A complete HTTP request head: one for a WebSocket, or an ordinary one.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// The digit after `HTTP/1.`.
    minor_version: u8,
    head: Head<'a>,
}

impl<'a> Request<'a> {
    pub(crate) const EMPTY: Self =
        Self { method: b"", target: b"", minor_version: b'1', head: Head::EMPTY };

    /// Reads the request line of `head`, which a [`HeadScanner`](crate::handshake::HeadScanner)
    /// accepted.
    ///
    /// # Errors
    /// [`RequestError::Malformed`] or [`RequestError::HttpVersion`].
    pub fn parse(head: &'a [u8]) -> Result<Self, RequestError> {
        let head = Head::new(head);
        if !head.start_line().iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(RequestError::Malformed);
        }
        let mut words = head.start_line().splitn(3, |&byte| byte == b' ');
        let (Some(method), Some(target), Some(version)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(RequestError::Malformed);
        };
        if method.is_empty() || target.is_empty() || !method.iter().copied().all(is_token_byte) {
            return Err(RequestError::Malformed);
        }
        let minor_version = match version {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major != b'1' {
                    return Err(RequestError::HttpVersion);
                }
                *minor
            }
            _ => return Err(RequestError::Malformed),
        };
        if minor_version != b'0' && head.only("host").is_none() {
            return Err(RequestError::Host);
        }
        Ok(Self { method, target, minor_version, head })
    }

    /// The method, `GET` for a WebSocket. Methods are case-sensitive.
    #[must_use]
    pub fn method(&self) -> &'a str {
        text(self.method)
    }

    /// Whether the answer must have no body: the method is HEAD.
    pub(crate) fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// The resource name: path and query (RFC 6455 section 3). The scheme and authority of a
    /// target in absolute form are left out.
    #[must_use]
    pub fn resource_name(&self) -> &'a str {
        let target = text(self.target);
        match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => {
                rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/")
            }
            _ => target,
        }
    }

    /// The resource name up to the first `?`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let name = self.resource_name();
        name.split_once('?').map_or(name, |(path, _)| path)
    }

    /// What follows the first `?` of the resource name.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.resource_name().split_once('?').map(|(_, query)| query)
    }

    /// All fields of the head, and each by its name.
    #[must_use]
    pub const fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// The origin of the page that a browser opens the WebSocket for (RFC 6455 section 10.2). A
    /// server that any page on the web must not reach compares it, and refuses with
    /// [`Status::FORBIDDEN`]; programs other than browsers send none, or any that they like.
    #[must_use]
    pub fn origin(&self) -> Option<&'a [u8]> {
        self.head.field("origin")
    }

    /// The subprotocols that the client offers, the one it likes best first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.head.list("sec-websocket-protocol").map(text)
    }

    /// Whether this asks for a WebSocket at all, rightly or wrongly.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.minor_version != b'0' && self.head.lists("upgrade", "websocket")
    }

    /// Checks the request against RFC 6455 section 4.2.1 and returns its key.
    ///
    /// # Errors
    /// What is wrong with it; [`RequestError::status`] is the status to answer with.
    pub fn key(&self) -> Result<&'a Key, RequestError> {
        if self.method != b"GET" {
            return Err(RequestError::Method);
        }
        if !self.is_websocket() {
            return Err(RequestError::NotWebSocket);
        }
        if !names_a_resource(self.target) {
            return Err(RequestError::Malformed);
        }
        if !self.head.lists("connection", "upgrade") {
            return Err(RequestError::Connection);
        }
        if self.head.only("sec-websocket-version") != Some(b"13") {
            return Err(RequestError::Version);
        }
        self.head.only("sec-websocket-key").and_then(accept_key::check_key).ok_or(RequestError::Key)
    }
}

/// What a server adds to its answer when it accepts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acceptance<'a> {
    /// One of [`Request::subprotocols`], or `None` to use none.
    pub subprotocol: Option<&'a str>,
    /// Further fields, such as `Set-Cookie`.
    pub fields: &'a [(&'a str, &'a str)],
}

impl Acceptance<'_> {
    /// Writes the 101 response to `request`, whose [`Request::key`] is `key`, and returns its
    /// length.
    ///
    /// # Errors
    /// [`UsageError::SubprotocolNotOffered`], [`UsageError::InvalidHeader`] and
    /// [`UsageError::BufferTooSmall`].
    pub fn encode(
        &self,
        request: &Request<'_>,
        key: &Key,
        buffer: &mut [u8],
    ) -> Result<usize, UsageError> {
        let mut writer = Writer::new(buffer);
        writer
            .put(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            .field("Sec-WebSocket-Accept", &accept_key::accept(key));
        if let Some(subprotocol) = self.subprotocol {
            if !request.subprotocols().any(|offered| offered == subprotocol) {
                return Err(UsageError::SubprotocolNotOffered);
            }
            writer.field("Sec-WebSocket-Protocol", subprotocol.as_bytes());
        }
        writer.fields(self.fields)?.finish()
    }
}

/// An ordinary HTTP response: a page, or an error.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status.
    pub status: Status,
    /// Further fields, such as `Content-Type`.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body, whose length is sent as `Content-Length`.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// A response without a body.
    #[must_use]
    pub const fn empty(status: Status) -> Self {
        Self { status, fields: &[], body: &[] }
    }

    /// Writes the head, after which the connection is closed, and returns its length. The body
    /// follows it unless the request's method was HEAD.
    ///
    /// # Errors
    /// [`UsageError::InvalidHeader`] and [`UsageError::BufferTooSmall`].
    pub fn encode_head(&self, buffer: &mut [u8]) -> Result<usize, UsageError> {
        if !is_value(self.status.reason()) {
            return Err(UsageError::InvalidHeader);
        }
        let mut writer = Writer::new(buffer);
        writer
            .put(b"HTTP/1.1 ")
            .number(usize::from(self.status.code()))
            .put(b" ")
            .put(self.status.reason().as_bytes())
            .put(b"\r\nConnection: close\r\nContent-Length: ")
            .number(self.body.len())
            .put(b"\r\n");
        match self.status {
            Status::METHOD_NOT_ALLOWED => writer.field("Allow", b"GET"),
            Status::UPGRADE_REQUIRED => writer
                .put(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"),
            _ => &mut writer,
        };
        writer.fields(self.fields)?.finish()
    }
}

/// Whether a target is in origin form or absolute form (RFC 9112 section 3.2), without a fragment.
fn names_a_resource(target: &[u8]) -> bool {
    let begins_with = |start: &[u8]| {
        target.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    };
    let names_one = begins_with(b"/") || begins_with(b"http://") || begins_with(b"https://");
    names_one && !target.contains(&b'#')
}

/// A part of the head where the scanner lets only ASCII pass.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}
