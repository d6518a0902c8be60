// SPDX-License-Identifier: Apache-2.0
//! The base framing protocol (RFC 6455 section 5.2).

use crate::buffer::copy;
use crate::error::ProtocolError;

/// The four bytes that a client masks a frame with (RFC 6455 section 5.3).
pub type MaskingKey = [u8; 4];

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

    const fn from_bits(bits: u8) -> Option<Self> {
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

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the final fragment of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, if the payload data is masked.
    pub masking_key: Option<MaskingKey>,
    /// Bytes of payload data, at most 2^63 - 1.
    pub payload_len: u64,
}

impl Header {
    /// The longest header: two bytes, a 64-bit length and a masking key.
    pub const MAX_LEN: usize = 14;
    /// The longest payload of a control frame (RFC 6455 section 5.5).
    pub const MAX_CONTROL_PAYLOAD_LEN: usize = 125;

    /// Reads a header at the start of `input`, and how many bytes it takes; `None` means that
    /// more bytes are needed. What is wrong in either role is refused here: reserved bits and
    /// opcodes, control frames that are fragmented or too long, lengths that are not minimal or
    /// over 2^63 - 1.
    pub fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&[first, second], mut rest)) = input.split_first_chunk::<2>() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let Some(opcode) = Opcode::from_bits(first & 0x0F) else {
            return Err(ProtocolError::ReservedOpcode);
        };
        let fin = first & 0x80 != 0;
        let mut payload_len = u64::from(second & 0x7F);
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::FragmentedControlFrame);
            }
            if payload_len > 125 {
                return Err(ProtocolError::ControlFrameTooLong);
            }
        }
        if payload_len > 125 {
            let shortest;
            (payload_len, rest, shortest) = if payload_len == 126 {
                let Some((len, rest)) = rest.split_first_chunk::<2>() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*len)), rest, 126)
            } else {
                let Some((len, rest)) = rest.split_first_chunk::<8>() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*len), rest, 0x1_0000)
            };
            if payload_len < shortest {
                return Err(ProtocolError::LengthNotMinimal);
            }
            if payload_len > i64::MAX as u64 {
                return Err(ProtocolError::LengthTooLarge);
            }
        }
        let mut masking_key = None;
        if second & 0x80 != 0 {
            let Some((&key, after)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            masking_key = Some(key);
            rest = after;
        }
        let header = Self { fin, opcode, masking_key, payload_len };
        Ok(Some((header, input.len().wrapping_sub(rest.len()))))
    }

    /// The header's bytes, its length in the shortest form.
    #[must_use]
    pub fn encode(&self) -> EncodedHeader {
        let mut encoded = EncodedHeader { bytes: [0; Self::MAX_LEN], len: 0 };
        encoded.put(&[self.opcode as u8 | if self.fin { 0x80 } else { 0 }]);
        let mask = if self.masking_key.is_some() { 0x80 } else { 0 };
        let [.., high, low] = self.payload_len.to_be_bytes();
        match self.payload_len {
            0..126 => encoded.put(&[mask | low]),
            126..0x1_0000 => encoded.put(&[mask | 126, high, low]),
            _ => {
                encoded.put(&[mask | 127]);
                encoded.put(&self.payload_len.to_be_bytes());
            }
        }
        if let Some(key) = &self.masking_key {
            encoded.put(key);
        }
        encoded
    }
}

/// A header as it goes on the wire.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; Header::MAX_LEN],
    len: u8,
}

impl EncodedHeader {
    /// The 2 to 14 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn put(&mut self, part: &[u8]) {
        let room = self.bytes.get_mut(usize::from(self.len)..).unwrap_or_default();
        self.len = self.len.wrapping_add(copy(room, part) as u8);
    }
}
