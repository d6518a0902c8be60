// SPDX-License-Identifier: Apache-2.0
//! What a WebSocket tells its application.

use crate::close::CloseFrame;
use crate::frame::Opcode;

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl MessageKind {
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// The kind of a message whose frames have this opcode.
pub(crate) const fn kind(opcode: Opcode) -> MessageKind {
    if opcode as u8 == Opcode::Text as u8 { MessageKind::Text } else { MessageKind::Binary }
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
    /// A Ping and its payload of at most 125 bytes. It was answered with a Pong of the same.
    Ping(&'a [u8]),
    /// A Pong and its payload of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer's Close frame.
    Close(CloseFrame<'a>),
}

impl<'a> Event<'a> {
    /// What a frame says, given its parts.
    pub(crate) fn of(opcode: Opcode, fin: bool, payload: &'a [u8]) -> Self {
        match opcode {
            Opcode::Ping => Self::Ping(payload),
            Opcode::Pong => Self::Pong(payload),
            Opcode::Close => Self::Close(CloseFrame::of(payload)),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                Self::Data { kind: kind(opcode), payload, fin }
            }
        }
    }
}
