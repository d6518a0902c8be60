// SPDX-License-Identifier: Apache-2.0
//! The state of one connection after the opening handshake, without I/O.
//!
//! All transitions of RFC 6455 sections 5 to 7 are in this file:
//!
//! - Frames of a message follow one another: a first one with the opcode Text or Binary, then
//!   Continuation frames, the last with FIN. Control frames may stand between them (5.4).
//! - `Open` becomes `Closing` with the first Close frame in either direction, and `Closed` with
//!   the second, or when the peer breaks a rule. No data follows a Close frame (5.5.1, 7.1.4).
//! - An error latches: after it, what still arrives is dropped unread (7.1.7).

use core::marker::PhantomData;
use core::ops::Range;

use crate::close::{self, CloseCode, CloseFrame};
use crate::error::{ProtocolError, UsageError};
use crate::frame::{EncodedHeader, Header, Opcode};
use crate::mask;
use crate::role::Role;
use crate::utf8::Utf8;

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// How far a connection is (RFC 6455 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages flow.
    Open,
    /// One side has sent its Close frame.
    Closing,
    /// Both have, or the connection failed.
    Closed,
}

/// What the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of a message, as many as were there; fragments and pieces of fragments are
    /// not told apart. Text has been checked as UTF-8 up to its last byte here, which may be in
    /// the middle of a character unless `fin` is set.
    Data {
        /// What the message holds.
        kind: MessageKind,
        /// The bytes, unmasked. Empty only if `fin` is set.
        payload: &'a [u8],
        /// Whether these are the last bytes of the message.
        fin: bool,
    },
    /// A Ping and its payload of at most 125 bytes, to be answered with a Pong of the same.
    Ping(&'a [u8]),
    /// A Pong and its payload of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer's Close frame, to be answered with a Close frame unless one was sent before.
    Close(CloseFrame<'a>),
}

/// What [`Connection::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// How many bytes of the input are done with, once the event was looked at.
    pub consumed: usize,
    /// The event, or `None` if more bytes are needed.
    pub event: Option<Event<'a>>,
}

/// The same without a borrow: `payload` counts from the start of the input.
pub(crate) struct Step {
    pub(crate) consumed: usize,
    pub(crate) found: Option<Found>,
    pub(crate) payload: Range<usize>,
}

#[derive(Clone, Copy)]
pub(crate) enum Found {
    Data { kind: MessageKind, fin: bool },
    Ping,
    Pong,
    Close(Option<CloseCode>),
}

impl Found {
    /// The event, given the step's payload.
    pub(crate) fn event(self, payload: &[u8]) -> Event<'_> {
        match self {
            Self::Data { kind, fin } => Event::Data { kind, payload, fin },
            Self::Ping => Event::Ping(payload),
            Self::Pong => Event::Pong(payload),
            Self::Close(code) => Event::Close(CloseFrame::checked(code, payload)),
        }
    }
}

/// One end of a WebSocket: what was received becomes events, what is sent gets its header.
///
/// It does no I/O and holds no bytes: the caller keeps what was received until it is consumed.
#[derive(Clone, Debug)]
pub struct Connection<R: Role> {
    /// Payload bytes of the current data frame that have not arrived yet.
    remaining: u64,
    key: [u8; 4],
    utf8: Utf8,
    flags: Flags,
    role: PhantomData<R>,
}

const _: () = assert!(size_of::<Connection<crate::Server>>() <= 24);
const _: () = assert!(size_of::<Connection<crate::Client>>() <= 24);

#[derive(Clone, Copy, Debug)]
struct Flags(u8);

impl Flags {
    /// A message is being received, and it is text; the current frame is its last.
    const RECEIVING: u8 = 1;
    const RECEIVING_TEXT: u8 = 1 << 1;
    const FINAL_FRAME: u8 = 1 << 2;
    /// A message is being sent in fragments, and it is text.
    const SENDING: u8 = 1 << 3;
    const SENDING_TEXT: u8 = 1 << 4;
    const CLOSE_SENT: u8 = 1 << 5;
    const CLOSE_RECEIVED: u8 = 1 << 6;
    const FAILED: u8 = 1 << 7;

    const fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    fn set(&mut self, bits: u8) {
        self.0 |= bits;
    }

    fn clear(&mut self, bits: u8) {
        self.0 &= !bits;
    }
}

impl<R: Role> Default for Connection<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Role> Connection<R> {
    /// A connection whose opening handshake is done.
    #[must_use]
    pub const fn new() -> Self {
        Self { remaining: 0, key: [0; 4], utf8: Utf8::new(), flags: Flags(0), role: PhantomData }
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        const CLOSES: u8 = Flags::CLOSE_SENT | Flags::CLOSE_RECEIVED;
        if self.flags.any(Flags::FAILED) || self.flags.0 & CLOSES == CLOSES {
            State::Closed
        } else if self.flags.any(CLOSES) {
            State::Closing
        } else {
            State::Open
        }
    }

    /// Whether a Close frame was sent, and nothing may follow.
    #[must_use]
    pub const fn is_close_sent(&self) -> bool {
        self.flags.any(Flags::CLOSE_SENT)
    }

    /// Ends receiving: what still arrives is dropped, and only a Close frame may be sent.
    pub(crate) fn fail(&mut self) {
        self.flags.set(Flags::FAILED);
    }

    /// Whether nothing that still arrives counts: the peer's Close frame came, or it broke a rule.
    #[must_use]
    pub const fn is_receive_over(&self) -> bool {
        self.flags.any(Flags::CLOSE_RECEIVED | Flags::FAILED)
    }

    /// Whether the next frame in `input` is one that [`receive`](Self::receive) hands out to be
    /// answered: a Ping or a Close frame.
    pub(crate) fn is_answer_next(&self, input: &[u8]) -> bool {
        // The opcodes 8 and 9.
        self.remaining == 0 && input.first().is_some_and(|first| first & 0x0E == 0x08)
    }

    /// Takes the next event from the start of `input`, unmasking its payload in place.
    ///
    /// `input` is all that has arrived and was not consumed. The caller discards `consumed` bytes
    /// of it before the next call, whether there was an event or not, and calls again until there
    /// is none; then it adds bytes. Data is handed out as it comes; a control frame once it is
    /// complete, so the buffer behind `input` must be able to hold 131 bytes
    /// ([`MIN_RX_BUFFER`](crate::MIN_RX_BUFFER)). After the peer's Close frame, or an error,
    /// everything is consumed and there are no more events.
    ///
    /// # Errors
    /// The peer broke a rule: fail the connection with the error's
    /// [`close_code`](ProtocolError::close_code).
    pub fn receive<'a>(&mut self, input: &'a mut [u8]) -> Result<Received<'a>, ProtocolError> {
        let step = self.step(input)?;
        let payload = input.get(step.payload).unwrap_or_default();
        Ok(Received {
            consumed: step.consumed,
            event: step.found.map(|found| found.event(payload)),
        })
    }

    pub(crate) fn step(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        if self.is_receive_over() {
            return Ok(Step { consumed: input.len(), found: None, payload: 0..0 });
        }
        let step = self.step_open(input);
        if step.is_err() {
            self.fail();
        }
        step
    }

    fn step_open(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        let len = input.len();
        let mut rest = input;
        loop {
            if self.remaining == 0 {
                let at = len.wrapping_sub(rest.len());
                let nothing = Step { consumed: at, found: None, payload: at..at };
                let Some((header, header_len)) = Header::decode(rest)? else {
                    return Ok(nothing);
                };
                self.key = Self::key_of(&header)?;
                let Some((_, payload)) = rest.split_at_mut_checked(header_len) else {
                    return Ok(nothing);
                };
                if header.opcode.is_control() {
                    let Some(payload) = payload.get_mut(..header.payload_len as usize) else {
                        return Ok(nothing);
                    };
                    let start = at.wrapping_add(header_len);
                    let end = start.wrapping_add(payload.len());
                    let found = self.control(header.opcode, payload)?;
                    return Ok(Step { consumed: end, found: Some(found), payload: start..end });
                }
                self.begin_data_frame(&header)?;
                rest = payload;
            }
            let start = len.wrapping_sub(rest.len());
            let arrived = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(rest.len());
            let Some((payload, after)) = rest.split_at_mut_checked(arrived) else {
                return Ok(Step { consumed: start, found: None, payload: start..start });
            };
            rest = after;
            let end = start.wrapping_add(arrived);
            if let Some(found) = self.data(payload)? {
                return Ok(Step { consumed: end, found: Some(found), payload: start..end });
            }
            if self.remaining > 0 {
                return Ok(Step { consumed: end, found: None, payload: end..end });
            }
        }
    }

    /// The masking rule of RFC 6455 section 5.1.
    fn key_of(header: &Header) -> Result<[u8; 4], ProtocolError> {
        match header.masking_key {
            Some(_) if R::MASKS => Err(ProtocolError::Masked),
            None if !R::MASKS => Err(ProtocolError::NotMasked),
            key => Ok(key.unwrap_or_default()),
        }
    }

    fn control(&mut self, opcode: Opcode, payload: &mut [u8]) -> Result<Found, ProtocolError> {
        if !R::MASKS {
            mask::apply(payload, self.key);
        }
        Ok(match opcode {
            Opcode::Ping => Found::Ping,
            Opcode::Pong => Found::Pong,
            _ => {
                let code = close::decode(payload)?;
                self.flags.set(Flags::CLOSE_RECEIVED);
                Found::Close(code)
            }
        })
    }

    /// The rules of fragmentation (RFC 6455 section 5.4).
    fn begin_data_frame(&mut self, header: &Header) -> Result<(), ProtocolError> {
        if header.opcode == Opcode::Continuation {
            if !self.flags.any(Flags::RECEIVING) {
                return Err(ProtocolError::NothingToContinue);
            }
        } else {
            if self.flags.any(Flags::RECEIVING) {
                return Err(ProtocolError::MessageNotFinished);
            }
            self.flags.clear(Flags::RECEIVING_TEXT);
            self.flags.set(Flags::RECEIVING);
            if header.opcode == Opcode::Text {
                self.flags.set(Flags::RECEIVING_TEXT);
            }
        }
        self.flags.clear(Flags::FINAL_FRAME);
        if header.fin {
            self.flags.set(Flags::FINAL_FRAME);
        }
        self.remaining = header.payload_len;
        Ok(())
    }

    /// Takes payload data of the current frame; `None` if there is nothing to tell about it.
    fn data(&mut self, payload: &mut [u8]) -> Result<Option<Found>, ProtocolError> {
        if !R::MASKS {
            self.key = mask::apply(payload, self.key);
        }
        self.remaining = self.remaining.wrapping_sub(payload.len() as u64);
        let fin = self.remaining == 0 && self.flags.any(Flags::FINAL_FRAME);
        let text = self.flags.any(Flags::RECEIVING_TEXT);
        if text && !(self.utf8.accepts(payload) && (!fin || self.utf8.is_complete())) {
            return Err(ProtocolError::InvalidUtf8);
        }
        if fin {
            self.flags.clear(Flags::RECEIVING);
        } else if payload.is_empty() {
            return Ok(None);
        }
        let kind = if text { MessageKind::Text } else { MessageKind::Binary };
        Ok(Some(Found::Data { kind, fin }))
    }

    /// The header of the next frame of a message: the first of a message if none is in progress,
    /// a continuation otherwise. Exactly `payload_len` bytes, at most 2^63 - 1, must follow it on
    /// the wire, masked with `key` if there is one. The payload of a text message must be UTF-8
    /// (RFC 6455 section 5.6); a character may be split between fragments.
    ///
    /// # Errors
    /// [`UsageError::NotOpen`] after a Close frame was sent or the connection failed, and
    /// [`UsageError::OtherMessageInProgress`] if `kind` is not that of the message in progress.
    pub fn send_data(
        &mut self,
        kind: MessageKind,
        fin: bool,
        payload_len: u64,
        key: R::Key,
    ) -> Result<EncodedHeader, UsageError> {
        self.refuse_after(Flags::CLOSE_SENT | Flags::FAILED)?;
        let text = kind == MessageKind::Text;
        let opcode = if !self.flags.any(Flags::SENDING) {
            if text { Opcode::Text } else { Opcode::Binary }
        } else if self.flags.any(Flags::SENDING_TEXT) == text {
            Opcode::Continuation
        } else {
            return Err(UsageError::OtherMessageInProgress);
        };
        self.flags.clear(Flags::SENDING | Flags::SENDING_TEXT);
        if !fin {
            self.flags.set(if text {
                Flags::SENDING | Flags::SENDING_TEXT
            } else {
                Flags::SENDING
            });
        }
        Ok(Self::header(opcode, fin, payload_len, key))
    }

    /// The header of a Ping with a payload of `payload_len` bytes, which must follow it.
    ///
    /// # Errors
    /// [`UsageError::ControlPayloadTooLong`] over 125, [`UsageError::NotOpen`] as with data.
    pub fn send_ping(
        &mut self,
        payload_len: usize,
        key: R::Key,
    ) -> Result<EncodedHeader, UsageError> {
        self.refuse_after(Flags::CLOSE_SENT | Flags::FAILED)?;
        Self::control_header(Opcode::Ping, payload_len, key)
    }

    /// The header of a Pong, like [`send_ping`](Self::send_ping).
    pub fn send_pong(
        &mut self,
        payload_len: usize,
        key: R::Key,
    ) -> Result<EncodedHeader, UsageError> {
        self.refuse_after(Flags::CLOSE_SENT | Flags::FAILED)?;
        Self::control_header(Opcode::Pong, payload_len, key)
    }

    /// The header of a Close frame. Its payload must follow: nothing without a code, otherwise the
    /// code in two bytes, most significant first, and `reason_len` bytes of UTF-8. It is the last
    /// frame; it may be sent after an error of [`receive`](Self::receive).
    ///
    /// # Errors
    /// [`UsageError::ReasonWithoutCode`]; [`UsageError::ControlPayloadTooLong`] for a reason over
    /// 123 bytes; [`UsageError::NotOpen`] if a Close frame was sent before.
    pub fn send_close(
        &mut self,
        code: Option<CloseCode>,
        reason_len: usize,
        key: R::Key,
    ) -> Result<EncodedHeader, UsageError> {
        let payload_len = match code {
            Some(_) => reason_len.saturating_add(2),
            None if reason_len == 0 => 0,
            None => return Err(UsageError::ReasonWithoutCode),
        };
        self.refuse_after(Flags::CLOSE_SENT)?;
        let header = Self::control_header(Opcode::Close, payload_len, key)?;
        self.flags.set(Flags::CLOSE_SENT);
        Ok(header)
    }

    /// Only a Close frame may follow a failure, and nothing a Close frame.
    fn refuse_after(&self, bits: u8) -> Result<(), UsageError> {
        if self.flags.any(bits) {
            return Err(UsageError::NotOpen);
        }
        Ok(())
    }

    fn control_header(
        opcode: Opcode,
        payload_len: usize,
        key: R::Key,
    ) -> Result<EncodedHeader, UsageError> {
        if payload_len > Header::MAX_CONTROL_PAYLOAD_LEN {
            return Err(UsageError::ControlPayloadTooLong);
        }
        Ok(Self::header(opcode, true, payload_len as u64, key))
    }

    fn header(opcode: Opcode, fin: bool, payload_len: u64, key: R::Key) -> EncodedHeader {
        Header { fin, opcode, masking_key: R::masking_key(key), payload_len }.encode()
    }
}
