// SPDX-License-Identifier: Apache-2.0
//! The server's side of the opening handshake (RFC 6455 section 4.2).

use crate::error::{RequestError, UsageError};
use crate::handshake::accept_key::{self, Key};
use crate::handshake::head::Head;
use crate::handshake::status::Status;
use crate::handshake::words::{BASE64, TOKEN, consists_of};
use crate::handshake::words::{COMPLETE, NAME, Rules, TARGET, Words};
use crate::handshake::writer::{Writer, is_value};

// The slots of a request, which are its requirements: see WORDS. A request that lacks several is
// refused for the one with the lowest number.
const HTTP_1_1: u32 = 1 << 1;
const HOST: u32 = 1 << 2;
const WELL_FORMED: u32 = 1 << 3;
const METHOD: u32 = 1 << 4;
const HTTP_1: u32 = 1 << 5;
const UPGRADE: u32 = 1 << 6;
const CONNECTION: u32 = 1 << 7;
const IN_TIME: u32 = 1 << 8;
const VERSION: u32 = 1 << 9;
const KEY: u32 = 1 << 10;
const ACCEPT_KEY: u32 = 1 << 11;
// 12 is the target's, see TARGET.

/// What is given until something breaks it, and is never asked for by a word.
const GIVEN: u32 = WELL_FORMED | HTTP_1 | IN_TIME | ACCEPT_KEY;

const ALL: u32 =
    GIVEN | COMPLETE | HTTP_1_1 | HOST | METHOD | UPGRADE | CONNECTION | VERSION | KEY | TARGET;

/// The answer to a request, its parts that depend on the request still those of a refusal.
const RESPONSE: [u8; RESPONSE_LEN] = *b"HTTP/1.1 101 \r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nAllow: GET\r\nConnection: close\r\n\r\n";
const RESPONSE_LEN: usize = 116;
const STATUS_AT: usize = 9;
const ACCEPT_AT: usize = 70;
const ACCEPTANCE_LEN: usize = 110;

/// The server's side of one opening handshake: it reads the request as it arrives, and has the
/// response.
///
/// It looks at each byte as it arrives, at each word as it ends, and at nothing before that again,
/// however slowly they drip in. An application that wants to know more than the
/// [`verdict`](Self::verdict) looks at the complete head with [`Request`].
///
/// ```
/// use zephyr_websocket::handshake::server::Handshake;
///
/// let received = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// let mut handshake = Handshake::new();
/// assert!(handshake.read(received));
/// assert_eq!((handshake.verdict(), handshake.head_len()), (Ok(()), received.len()));
/// assert!(handshake.respond().as_bytes().starts_with(b"HTTP/1.1 101 "));
/// ```
#[derive(Clone, Debug)]
pub struct Handshake(Words<Server>);

#[derive(Clone, Debug)]
struct Server {
    key: Key,
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

impl Handshake {
    /// Nothing has arrived.
    #[must_use]
    pub const fn new() -> Self {
        Self(Words::new(METHOD, GIVEN, Server { key: [0; 24] }))
    }

    /// Goes on with `received`, all bytes since the start of the request, and returns whether its
    /// head is over: complete, or refused already. Otherwise add bytes behind these, and call
    /// again.
    #[must_use]
    pub fn read(&mut self, received: &[u8]) -> bool {
        self.0.read(received)
    }

    /// The length of the head once it is over; what follows it are frames.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is a valid opening handshake (RFC 6455 section 4.2.1).
    ///
    /// # Errors
    /// What is wrong with it: [`RequestError::HeadTooLarge`] as long as the head is not complete.
    pub const fn verdict(&self) -> Result<(), RequestError> {
        use RequestError as Error;
        let missing = !self.0.seen & ALL;
        Err(match missing & missing.wrapping_neg() {
            COMPLETE => Error::HeadTooLarge,
            HTTP_1_1 | UPGRADE => Error::NotWebSocket,
            HOST => Error::Host,
            METHOD => Error::Method,
            HTTP_1 => Error::HttpVersion,
            CONNECTION => Error::Connection,
            IN_TIME => Error::HeadTimedOut,
            VERSION => Error::Version,
            KEY => Error::Key,
            ACCEPT_KEY => Error::AcceptKey,
            TARGET => Error::Target,
            WELL_FORMED => Error::Malformed,
            _ => return Ok(()),
        })
    }

    /// Refuses a request whose head did not arrive in time.
    pub fn time_out(&mut self) {
        self.0.refuse(IN_TIME);
    }

    /// Whether the request asks for a WebSocket at all, rightly or wrongly.
    pub(crate) const fn is_websocket(&self) -> bool {
        const ASKS: u32 = HTTP_1_1 | UPGRADE;
        self.0.seen & ASKS == ASKS
    }

    /// The response: 101 and the accept key, or the status of the [`verdict`](Self::verdict),
    /// after which the connection is to be closed. The verdict is [`RequestError::AcceptKey`] from
    /// now on if the key could not be computed.
    #[must_use]
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn respond(&mut self) -> Reply {
        let mut reply = Reply { bytes: RESPONSE, len: RESPONSE_LEN as u8 };
        let mut missing = !self.0.seen & ALL;
        if missing == 0
            && let Some((_, accept)) = reply.bytes.split_first_chunk_mut::<ACCEPT_AT>()
            && let Some((name, accept)) = accept.split_first_chunk_mut::<8>()
            && let Some((accept, end)) = accept.split_first_chunk_mut::<28>()
            && let Some(end) = end.first_chunk_mut::<4>()
        {
            if accept_key::answer(&self.0.rules.key, accept) {
                *name = *b"Accept: ";
                *end = *b"\r\n\r\n";
                reply.len = ACCEPTANCE_LEN as u8;
            } else {
                self.0.refuse(ACCEPT_KEY);
                missing = ACCEPT_KEY;
            }
        }
        // In the order of the slots.
        const STATUSES: &[u8; 39] = b"431426400400405505426400408426400500400";
        let at = (missing.trailing_zeros() as usize).wrapping_mul(3);
        let place = reply.bytes.split_first_chunk_mut::<STATUS_AT>();
        if let Some(status) = STATUSES.get(at..).and_then(|rest| rest.first_chunk::<3>())
            && let Some(place) = place.and_then(|(_, rest)| rest.first_chunk_mut::<3>())
        {
            *place = *status;
        }
        reply
    }
}

/// The response to an opening handshake.
#[derive(Clone, Debug)]
pub struct Reply {
    bytes: [u8; RESPONSE_LEN],
    len: u8,
}

impl Reply {
    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Rules for Server {
    /// Word n opens slot n, which expects word n - 1. Where slot n is not a field's, word n is
    /// empty or no field that matters: the slot expects nothing, or is given already.
    const WORDS: &'static [u8] = b"\0\0host\0GET\0\0\
        websocket\0upgrade\0connection\0\
        13\0sec-websocket-version\0sec-websocket-key\0";

    const MALFORMED: u32 = WELL_FORMED;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn take(words: &mut Words<Self>, word: &[u8], end: char) {
        let slot = words.slot;
        if word.is_empty() {
            words.between = words.between.max(end);
            if slot == NAME && end == '\r' {
                words.seen |= COMPLETE;
            } else if slot & (METHOD | TARGET | HTTP_1_1 | NAME) != 0 {
                words.refuse(WELL_FORMED);
            }
            return;
        }
        let is_joined = core::mem::replace(&mut words.between, end) <= ' ';
        let end_of_slot = match slot {
            NAME => ':',
            METHOD | TARGET => ' ',
            HTTP_1_1 => '\r',
            _ => end,
        };
        if end != end_of_slot || slot & (NAME | METHOD) != 0 && !consists_of(word, &TOKEN) {
            return words.refuse(WELL_FORMED);
        }
        let found = Words::<Self>::find(word);
        let mut expected = found << 1 == slot;
        // Bits are asked for, because comparisons become a table of jumps, which is larger.
        if slot & NAME != 0 {
            words.slot = found;
        } else if slot & METHOD != 0 {
            words.slot = TARGET;
        } else if slot & TARGET != 0 {
            words.slot = HTTP_1_1;
            expected = names_a_resource(word);
        } else if slot & HTTP_1_1 != 0 {
            let Some((name, &[b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'])) =
                word.split_first_chunk::<4>()
            else {
                return words.refuse(WELL_FORMED);
            };
            if u32::from_ne_bytes(*name) != u32::from_ne_bytes(*b"HTTP") {
                return words.refuse(WELL_FORMED);
            }
            if major != b'1' {
                return words.refuse(HTTP_1);
            }
            expected = minor != b'0';
        } else if slot & HOST != 0 {
            expected = true;
        } else if slot & KEY != 0
            && let Some(key) = key(word)
        {
            words.rules.key = *key;
            expected = true;
        }
        if slot & (HOST | VERSION | KEY) != 0 && (words.seen & slot != 0 || !expected) {
            return words.refuse(slot);
        }
        if slot & (UPGRADE | CONNECTION) != 0 && is_joined {
            // Two words are no member of a list.
            words.seen &= !slot;
        } else if expected {
            words.seen |= slot;
        }
    }
}

/// A complete HTTP request head: one for a WebSocket, or an ordinary one.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    method: &'a [u8],
    target: &'a [u8],
    head: Head<'a>,
}

impl<'a> Request<'a> {
    /// The request in `head`, the bytes of a head that a [`Handshake`] has found to be complete.
    #[must_use]
    pub fn new(head: &'a [u8]) -> Self {
        let head = Head::new(head);
        let mut words = head.start_line().split(|&byte| byte == b' ');
        let method = words.next().unwrap_or_default();
        Self { method, target: words.next().unwrap_or_default(), head }
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
    /// Writes the 101 response of `handshake` with these fields, and returns its length.
    ///
    /// # Errors
    /// [`UsageError::SubprotocolNotOffered`], [`UsageError::InvalidHeader`] and
    /// [`UsageError::BufferTooSmall`].
    pub fn encode(
        &self,
        handshake: &mut Handshake,
        request: &Request<'_>,
        buffer: &mut [u8],
    ) -> Result<usize, UsageError> {
        let reply = handshake.respond();
        let mut writer = Writer::new(buffer);
        writer.put(reply.as_bytes().strip_suffix(b"\r\n").unwrap_or_default());
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

/// `word` if it is the Base64 of 16 bytes (RFC 6455 section 4.2.1).
fn key(word: &[u8]) -> Option<&Key> {
    let key: &Key = word.try_into().ok()?;
    let [digits @ .., last, b'=', b'='] = key else { return None };
    // The 22nd character holds the last two bits of the nonce, and nothing else: A, Q, g or w.
    let is_last = matches!(last | 0x10, b'Q' | b'w');
    (is_last && consists_of(digits, &BASE64)).then_some(key)
}

/// Whether a target is in origin form or absolute form (RFC 9112 section 3.2), without a fragment.
fn names_a_resource(target: &[u8]) -> bool {
    let mut rest = target;
    for &byte in b"https://" {
        match rest.split_first() {
            // A path begins with what a URI has behind its scheme.
            Some((b'/', _)) if rest.len() == target.len() => break,
            // No control character can be here: the scheme in either case, and nothing else.
            Some((other, after)) if other | 0x20 == byte => rest = after,
            _ if byte == b's' => {}
            _ => return false,
        }
    }
    target.iter().all(|&byte| byte != b'#')
}

/// A part of the head where the scanner lets only ASCII pass.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}
