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

use crate::close;
use crate::error::{ProtocolError, UsageError};
use crate::frame::{Frame, MAX_CONTROL_PAYLOAD_LEN, MAX_HEADER_LEN, Opcode};
use crate::mask;
use crate::role::Role;
use crate::utf8;

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

/// One end of a WebSocket: frames are taken off what was received, and what is sent gets its
/// header.
///
/// It does no I/O and holds no bytes: the caller keeps what was received until it is consumed.
///
/// ```
/// use zephyr_websocket::{Connection, MAX_HEADER_LEN, Opcode, Server};
///
/// let mut connection = Connection::<Server>::new();
/// let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let mut input = &mut received[..];
/// let frame = connection.receive(&mut input).unwrap().unwrap();
/// assert_eq!((frame.opcode, frame.fin, &*frame.payload), (Opcode::Text, true, &b"Hello"[..]));
///
/// let mut header = [0; MAX_HEADER_LEN];
/// let header = connection.send(frame.opcode, frame.fin, frame.payload.len(), (), &mut header);
/// assert_eq!(header, Ok(&b"\x81\x05"[..]));
/// ```
// In this order every field is within reach of a 16-bit load.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Connection<R: Role> {
    /// Twice the payload bytes of the current frame that have not arrived yet, and 1 if the frame
    /// does not end its message: 0 or 1 between frames.
    left: usize,
    /// Unmasks the next byte with its lowest, and so on.
    key: u32,
    utf8: utf8::State,
    /// The current frame's, with the message's own instead of Continuation.
    opcode: Opcode,
    /// What is being received and sent, Continuation if no message is. Close in the first once the
    /// peer's Close frame came or the application failed the connection, in the second once a
    /// Close frame was sent.
    receiving: Opcode,
    sending: Opcode,
    error: Option<ProtocolError>,
    role: PhantomData<R>,
}

const _: () = assert!(size_of::<Connection<crate::Server>>() <= 24);
const _: () = assert!(size_of::<Connection<crate::Client>>() <= 24);

impl<R: Role> Default for Connection<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Role> Connection<R> {
    /// A connection whose opening handshake is done.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            left: 0,
            key: 0,
            utf8: utf8::COMPLETE,
            opcode: Opcode::Continuation,
            receiving: Opcode::Continuation,
            sending: Opcode::Continuation,
            error: None,
            role: PhantomData,
        }
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        match (self.is_receive_over(), self.is_close_sent()) {
            _ if self.error.is_some() => State::Closed,
            (true, true) => State::Closed,
            (false, false) => State::Open,
            _ => State::Closing,
        }
    }

    /// Whether a Close frame was sent, and nothing may follow.
    #[must_use]
    pub const fn is_close_sent(&self) -> bool {
        matches!(self.sending, Opcode::Close)
    }

    /// Whether a message was begun to be sent, and its final fragment not.
    pub(crate) fn is_message_begun(&self) -> bool {
        self.sending != Opcode::Continuation
    }

    /// Whether nothing that still arrives counts: the peer's Close frame came, or it broke a rule.
    #[must_use]
    pub const fn is_receive_over(&self) -> bool {
        matches!(self.receiving, Opcode::Close) || self.error.is_some()
    }

    /// Ends receiving: what still arrives is dropped, and only a Close frame may be sent.
    pub(crate) fn fail(&mut self) {
        self.receiving = Opcode::Close;
    }

    /// Whether the next frame in `input` is one to be answered: a Ping or a Close frame.
    pub(crate) fn is_answer_next(&self, input: &[u8]) -> bool {
        // The opcodes 8 and 9.
        self.left < 2 && input.first().is_some_and(|first| first & 0x0E == 0x08)
    }

    /// Whether the next frame in `input` is a control frame, which is handed out when it is whole.
    pub(crate) fn is_control_next(&self, input: &[u8]) -> bool {
        self.left < 2 && input.first().is_some_and(|first| first & 0x08 != 0)
    }

    /// Whether a message can begin: none is in progress, and no Close frame was sent.
    pub(crate) fn can_begin_message(&self) -> bool {
        self.state() == State::Open && self.sending == Opcode::Continuation
    }

    /// Takes the next frame, or the next piece of one, off the front of `input`, and unmasks its
    /// payload in place.
    ///
    /// `input` is all that has arrived and was not consumed; it becomes what follows the frame.
    /// Call again until there is no frame, then keep the bytes that `input` still has and add more
    /// behind them. A message is handed out as it comes; a control frame once it is complete, so
    /// the buffer behind `input` must be able to hold 131 bytes
    /// ([`MIN_RX_BUFFER`](crate::MIN_RX_BUFFER)).
    ///
    /// A Ping is to be answered by a Pong of the same payload, a Close frame by a Close frame
    /// unless one was sent before. After a Close frame all input is consumed and there are no more
    /// frames.
    ///
    /// # Errors
    /// The peer broke a rule: fail the connection with a Close frame of the error's
    /// [`close_code`](ProtocolError::close_code). The error stays, and from the next call on all
    /// input is consumed; how much of it this one leaves means nothing.
    // Inlined, so that the frame's parts stay in registers.
    #[inline(always)]
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Frame<'a>>, ProtocolError> {
        match self.payload(input) {
            Some(payload) => Ok(Some(Frame { opcode: self.opcode, fin: self.left == 0, payload })),
            None => self.error.map_or(Ok(None), Err),
        }
    }

    /// The payload of the next frame or piece; its opcode and end are in the fields.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn payload<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<&'a mut [u8]> {
        if self.is_receive_over() {
            *input = &mut [];
            return None;
        }
        let mut header_len = 0;
        if self.left < 2 {
            header_len = self.header(input)?;
        }
        let rest = core::mem::take(input).get_mut(header_len..)?;
        let (payload, rest) = rest.split_at_mut_checked((self.left >> 1).min(rest.len()))?;
        *input = rest;
        if !R::MASKS {
            self.key = mask::apply(payload, self.key);
        }
        self.left = self.left.wrapping_sub(payload.len() << 1);
        if payload.is_empty() && self.left > 1 {
            return None;
        }
        // Ping or Pong.
        if self.opcode as u8 > Opcode::Close as u8 {
            return Some(payload);
        }
        let mut text = &*payload;
        if self.opcode == Opcode::Close {
            self.receiving = Opcode::Close;
            // No text follows, so its state is free for the reason.
            self.utf8 = utf8::COMPLETE;
            match close::reason(payload) {
                Ok(reason) => text = reason,
                Err(error) => return self.fail_with(error),
            }
        } else {
            if self.left == 0 {
                self.receiving = Opcode::Continuation;
            }
            if self.opcode == Opcode::Binary {
                return Some(payload);
            }
        }
        self.utf8 = utf8::check(self.utf8, text, self.left);
        if self.utf8 == utf8::INVALID {
            return self.fail_with(ProtocolError::InvalidUtf8);
        }
        Some(payload)
    }

    /// Reads the header at the start of `input` and begins its frame; returns the header's length.
    /// A header, or a control frame, that is not complete leaves everything as it is.
    #[inline(always)]
    fn header(&mut self, input: &[u8]) -> Option<usize> {
        use ProtocolError as Error;
        let (&[first, second], mut rest) = input.split_first_chunk::<2>()?;
        if first & 0x70 != 0 {
            return self.fail_with(Error::ReservedBits);
        }
        let Some(mut opcode) = Opcode::from_bits(first & 0x0F) else {
            return self.fail_with(Error::ReservedOpcode);
        };
        let len = second & 0x7F;
        if (len == second) != R::MASKS {
            return self.fail_with(if R::MASKS { Error::Masked } else { Error::NotMasked });
        }
        let mut len = usize::from(len);
        // No bit between is set.
        let fin = first > 0x0F;
        if opcode.is_control() {
            if !fin {
                return self.fail_with(Error::FragmentedControlFrame);
            }
            if len > MAX_CONTROL_PAYLOAD_LEN {
                return self.fail_with(Error::ControlFrameTooLong);
            }
        } else {
            if opcode == Opcode::Continuation {
                opcode = self.receiving;
                if opcode == Opcode::Continuation {
                    return self.fail_with(Error::NothingToContinue);
                }
            } else if self.receiving != Opcode::Continuation {
                return self.fail_with(Error::MessageNotFinished);
            }
            if len > 125 {
                let (bytes, shortest) = if len == 126 { (2, 126) } else { (8, 0x1_0000) };
                let (bytes, after) = rest.split_at_checked(bytes)?;
                rest = after;
                len = 0;
                for &byte in bytes {
                    // One bit less than a usize has: see `left`.
                    if len >> (usize::BITS - 9) != 0 {
                        return self.fail_with(Error::LengthTooLarge);
                    }
                    len = len << 8 | usize::from(byte);
                }
                if len < shortest {
                    return self.fail_with(Error::LengthNotMinimal);
                }
            }
        }
        if !R::MASKS {
            let (key, after) = rest.split_first_chunk::<4>()?;
            self.key = u32::from_le_bytes(*key);
            rest = after;
        }
        if opcode.is_control() {
            rest.get(..len)?;
        } else {
            self.receiving = opcode;
        }
        self.opcode = opcode;
        self.left = len << 1 | usize::from(!fin);
        Some(input.len().wrapping_sub(rest.len()))
    }

    fn fail_with<T>(&mut self, error: ProtocolError) -> Option<T> {
        self.error = Some(error);
        None
    }

    /// Writes the header of the next frame into `header`. Exactly `payload_len` bytes must follow
    /// it on the wire, masked with `key` by a client.
    ///
    /// A message is sent in one frame, or in fragments that all bear its own opcode here, `Text`
    /// or `Binary`, the last one with `fin` (RFC 6455 section 5.4); control frames, which ignore
    /// `fin`, may go between them. The payload of a text message must be UTF-8 (section 5.6); a
    /// character may be split between fragments. That of a Close frame is empty, or a
    /// [`CloseCode`](crate::CloseCode) in two bytes, most significant first, and up to 123 bytes
    /// of UTF-8; it is the last frame, and may be sent after an error of
    /// [`receive`](Self::receive).
    ///
    /// # Errors
    /// - [`UsageError::NotOpen`] after a Close frame was sent, or the connection failed.
    /// - [`UsageError::ControlPayloadTooLong`] over 125 bytes in a control frame.
    /// - [`UsageError::OtherMessageInProgress`] if `opcode` is not that of the message in
    ///   progress, [`UsageError::NoMessage`] if it is `Continuation`.
    #[inline(always)]
    pub fn send<'h>(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload_len: usize,
        key: R::Key,
        header: &'h mut [u8; MAX_HEADER_LEN],
    ) -> Result<&'h [u8], UsageError> {
        let len = self.encode(opcode, fin, payload_len, key, header)?;
        Ok(header.get(..usize::from(len)).unwrap_or_default())
    }

    fn encode(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload_len: usize,
        key: R::Key,
        header: &mut [u8; MAX_HEADER_LEN],
    ) -> Result<u8, UsageError> {
        let is_close = opcode == Opcode::Close;
        if self.error.is_some() && !is_close {
            return Err(UsageError::NotOpen);
        }
        let mut first = opcode as u8;
        if opcode.is_control() {
            if self.is_close_sent() {
                return Err(UsageError::NotOpen);
            }
            if payload_len > MAX_CONTROL_PAYLOAD_LEN {
                return Err(UsageError::ControlPayloadTooLong);
            }
            first |= 0x80;
            if is_close {
                self.sending = opcode;
            }
        } else {
            if self.sending != Opcode::Continuation {
                if self.sending != opcode {
                    // Not asked before, as most messages begin where none is in progress.
                    return Err(if self.is_close_sent() {
                        UsageError::NotOpen
                    } else {
                        UsageError::OtherMessageInProgress
                    });
                }
                first = Opcode::Continuation as u8;
            } else if opcode == Opcode::Continuation {
                return Err(UsageError::NoMessage);
            }
            self.sending = opcode;
            if fin {
                self.sending = Opcode::Continuation;
                first |= 0x80;
            }
        }
        let mask = if R::MASKS { 0x80 } else { 0 };
        let [place, short_place, head @ ..] = header;
        *place = first;
        let (short, len) = match payload_len {
            0..=125 => (payload_len as u8, 2),
            126..=0xFFFF => {
                if let Some(place) = head.first_chunk_mut() {
                    *place = (payload_len as u16).to_be_bytes();
                }
                (126, 4)
            }
            _ => {
                if let Some(place) = head.first_chunk_mut() {
                    *place = (payload_len as u64).to_be_bytes();
                }
                (127, 10)
            }
        };
        *short_place = short | mask;
        if !R::MASKS {
            return Ok(len);
        }
        let place = header.get_mut(usize::from(len)..).and_then(|rest| rest.first_chunk_mut());
        if let Some(place) = place {
            *place = R::masking_key(key);
        }
        Ok(len.wrapping_add(4))
    }
}
