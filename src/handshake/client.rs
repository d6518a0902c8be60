// SPDX-License-Identifier: Apache-2.0
//! The client's side of the opening handshake (RFC 6455 section 4.1).

use crate::error::{ResponseError, UsageError};
use crate::handshake::accept_key::{self, Accept, Key};
use crate::handshake::words::{self, COMPLETE, NAME, Rules, Words};
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
}

// The slots of a response, which are its requirements: see WORDS. A response that lacks several
// is refused for the one with the lowest number.
const HTTP_1_1: u32 = 1 << 1;
const WELL_FORMED: u32 = 1 << 2;
const STATUS: u32 = 1 << 3;
const UPGRADE: u32 = 1 << 5;
const CONNECTION: u32 = 1 << 6;
const ACCEPT: u32 = 1 << 7;
const PROTOCOL: u32 = 1 << 8;
const EXTENSIONS: u32 = 1 << 9;
const REASON: u32 = 1 << 10;

/// What is given until something breaks it, and is never asked for by a word.
const GIVEN: u32 = WELL_FORMED | PROTOCOL | EXTENSIONS;

const ALL: u32 = GIVEN | COMPLETE | HTTP_1_1 | STATUS | UPGRADE | CONNECTION | ACCEPT;

/// The client's side of one opening handshake after the request: it reads the response as it
/// arrives.
///
/// It looks at each byte as it arrives, at each word as it ends, and at nothing before that again.
#[derive(Clone, Debug)]
pub struct Handshake<'a>(Words<Client<'a>>);

#[derive(Clone, Debug)]
struct Client<'a> {
    accept: Accept,
    /// The status, if it is not 101.
    status: u16,
    offered: &'a [&'a str],
    chosen: Option<&'a str>,
}

impl<'a> Handshake<'a> {
    /// Nothing has arrived in answer to `request`, which was sent with `key`.
    #[must_use]
    pub fn new(request: &Request<'a>, key: &Key) -> Self {
        let mut client =
            Client { accept: [0; 28], status: 0, offered: request.subprotocols, chosen: None };
        // Without an answer it stays zeros, which no response can have.
        let _ = accept_key::answer(key, &mut client.accept);
        Self(Words::new(HTTP_1_1, GIVEN, client))
    }

    /// Goes on with `received`, all bytes since the start of the response, and returns whether its
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

    /// Whether the server accepted (RFC 6455 section 4.1).
    ///
    /// # Errors
    /// Why this is no acceptance: [`ResponseError::HeadTooLarge`] as long as the head is not
    /// complete.
    pub const fn verdict(&self) -> Result<(), ResponseError> {
        use ResponseError as Error;
        let missing = !self.0.seen & ALL;
        Err(match missing & missing.wrapping_neg() {
            COMPLETE => Error::HeadTooLarge,
            STATUS => Error::Status(self.0.rules.status),
            UPGRADE => Error::Upgrade,
            CONNECTION => Error::Connection,
            ACCEPT => Error::Accept,
            PROTOCOL => Error::Subprotocol,
            EXTENSIONS => Error::Extension,
            HTTP_1_1 | WELL_FORMED => Error::Malformed,
            _ => return Ok(()),
        })
    }

    /// The one of the request's subprotocols that the server chose.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.0.rules.chosen
    }
}

impl Rules for Client<'_> {
    /// Word n opens slot n, which expects word n - 1. Where slot n is not a field's, word n is
    /// empty or no field that matters: the slot expects nothing, or is given already.
    const WORDS: &'static [u8] = b"HTTP/1.1\0HTTP/1.0\0\
        101\0\0websocket\0upgrade\0connection\0\
        sec-websocket-accept\0sec-websocket-protocol\0sec-websocket-extensions\0";

    const MALFORMED: u32 = WELL_FORMED;

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn take(words: &mut Words<Self>, word: &[u8], end: char) {
        let slot = words.slot;
        if word.is_empty() {
            words.between = words.between.max(end);
            if slot == NAME && end == '\r' {
                words.seen |= COMPLETE;
            } else if slot == PROTOCOL && words.rules.chosen.is_none() && end == '\r' {
                words.refuse(PROTOCOL);
            } else if slot & (HTTP_1_1 | STATUS | NAME) != 0 {
                words.refuse(WELL_FORMED);
            }
            return;
        }
        let is_joined = core::mem::replace(&mut words.between, end) <= ' ';
        let found = Words::<Self>::find(word);
        let client = &mut words.rules;
        let mut expected = found << 1 == slot;
        if slot & NAME != 0 {
            if end != ':' || !words::consists_of(word, &words::TOKEN) {
                return words.refuse(WELL_FORMED);
            }
            words.slot = found;
            return;
        }
        // Bits are asked for, because comparisons become a table of jumps, which is larger.
        if slot & HTTP_1_1 != 0 {
            if end != ' ' || found > 1 << 1 {
                return words.refuse(WELL_FORMED);
            }
            words.slot = STATUS;
        } else if slot & STATUS != 0 {
            if end != ' ' && end != '\r' {
                return words.refuse(WELL_FORMED);
            }
            if !expected {
                let Some(status) = status_code(word) else {
                    return words.refuse(WELL_FORMED);
                };
                client.status = status;
                return words.refuse(STATUS);
            }
            words.slot = REASON;
        } else if slot & ACCEPT != 0 {
            expected = word == client.accept;
        } else if slot & PROTOCOL != 0 {
            let mut offered = client.offered.iter();
            let chosen = offered.find(|offered| offered.as_bytes() == word).copied();
            if chosen.is_none() || client.chosen.is_some() {
                return words.refuse(PROTOCOL);
            }
            client.chosen = chosen;
        }
        let once = slot & (UPGRADE | ACCEPT) != 0;
        if slot & EXTENSIONS != 0 || once && (words.seen & slot != 0 || !expected) {
            return words.refuse(slot);
        }
        if slot & CONNECTION != 0 && is_joined {
            // Two words are no member of a list.
            words.seen &= !slot;
        } else if expected {
            words.seen |= slot;
        }
    }
}

/// The three digits of a status from 100 to 599.
fn status_code(word: &[u8]) -> Option<u16> {
    let digits: &[u8; 3] = word.try_into().ok()?;
    let mut code = 0u16;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        code = code.wrapping_mul(10).wrapping_add(u16::from(digit & 0x0F));
    }
    (100..600).contains(&code).then_some(code)
}
