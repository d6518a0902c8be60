// SPDX-License-Identifier: Apache-2.0
//! Frames (RFC 6455 section 5.2) as they are received and sent.

use crate::close::CloseFrame;

/// The four bytes that a client masks a frame with (RFC 6455 section 5.3).
pub type MaskingKey = [u8; 4];

/// The longest payload of a Close, Ping or Pong frame, in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD_LEN: usize = 125;

/// The longest header, in bytes: two, a 64-bit length and a masking key.
pub const MAX_HEADER_LEN: usize = 14;

/// What a frame is (RFC 6455 section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the current message.
    Continuation = 0,
    /// A text message or its first fragment.
    Text = 1,
    /// A binary message or its first fragment.
    Binary = 2,
    /// The start or the answer of the closing handshake.
    Close = 8,
    /// Asks for a Pong with the same payload.
    Ping = 9,
    /// Answers a Ping, or is a one-way heartbeat.
    Pong = 10,
}

impl Opcode {
    /// Whether this is Close, Ping or Pong (RFC 6455 section 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A control frame, or as much of a message as was there.
///
/// Fragments and pieces of fragments are not told apart: every piece of a message bears the
/// message's own opcode, and the last one `fin`.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `Text` or `Binary` for a piece of a message, otherwise `Close`, `Ping` or `Pong`.
    pub opcode: Opcode,
    /// Whether a message ends here; always set for a control frame.
    pub fin: bool,
    /// The payload data, unmasked, in the buffer it was received in. Text has been checked as
    /// UTF-8 up to its last byte here, which may be in the middle of a character unless `fin` is
    /// set. Empty at the end of an empty fragment.
    pub payload: &'a mut [u8],
}

impl<'a> Frame<'a> {
    /// Status code and reason of a Close frame, which [`Connection::receive`] has checked.
    ///
    /// [`Connection::receive`]: crate::Connection::receive
    #[must_use]
    pub fn close(&'a self) -> CloseFrame<'a> {
        CloseFrame::of(self.payload)
    }
}
