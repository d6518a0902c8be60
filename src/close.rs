// SPDX-License-Identifier: Apache-2.0
//! Status codes and reasons of Close frames (RFC 6455 sections 5.5.1 and 7.4).

use core::num::NonZeroU16;

use crate::error::ProtocolError;

/// A status code that may stand in a Close frame: 1000 to 1003, 1007 to 1014 and 3000 to 4999.
///
/// 1004, 1005, 1006 and 1015 are reserved and never sent (RFC 6455 section 7.4.1); a Close frame
/// without a code is `None` wherever an `Option<CloseCode>` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL_CLOSURE: Self = Self::literal(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self::literal(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self::literal(1002);
    /// 1003: a kind of data that this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self::literal(1003);
    /// 1007: data inconsistent with the message's type, such as text that is not UTF-8.
    pub const INVALID_FRAME_PAYLOAD_DATA: Self = Self::literal(1007);
    /// 1008: a message that violates this endpoint's policy.
    pub const POLICY_VIOLATION: Self = Self::literal(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self::literal(1009);
    /// 1010: the server did not negotiate an extension that the client needs. Clients only.
    pub const MANDATORY_EXTENSION: Self = Self::literal(1010);
    /// 1011: an unexpected condition kept the server from fulfilling the request.
    pub const INTERNAL_ERROR: Self = Self::literal(1011);
    /// 1012: the service restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self::literal(1012);
    /// 1013: try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self::literal(1013);

    const fn literal(code: u16) -> Self {
        match NonZeroU16::new(code) {
            Some(code) => Self(code),
            None => Self(NonZeroU16::MIN),
        }
    }

    /// `code` if a Close frame may carry it.
    #[must_use]
    pub fn new(code: u16) -> Option<Self> {
        if may_be_sent(code) { NonZeroU16::new(code).map(Self) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }

    /// The payload of a Close frame with this code and no reason.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.get().to_be_bytes()
    }
}

/// What the peer's Close frame said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// The status code, `None` if the frame was empty (RFC 6455 section 7.1.5 calls this 1005).
    pub code: Option<CloseCode>,
    reason: &'a [u8],
}

impl<'a> CloseFrame<'a> {
    /// The most bytes that a reason can have: a control frame's 125 less the code.
    pub const MAX_REASON_LEN: usize = 123;

    /// The view of a payload that [`reason`] accepted.
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        match payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                Self { code: CloseCode::new(u16::from_be_bytes(*code)), reason }
            }
            None => Self { code: None, reason: &[] },
        }
    }

    /// The reason, at most [`Self::MAX_REASON_LEN`] bytes, for the log rather than for the user.
    #[must_use]
    pub fn reason(&self) -> &'a str {
        // The connection has checked it by a smaller check than the standard library's; this one is only
        // linked where an application asks for the reason.
        core::str::from_utf8(self.reason).unwrap_or_default()
    }
}

fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Checks the length and the code of a Close frame's payload (RFC 6455 section 5.5.1), and returns
/// the reason, which is still to be checked as UTF-8.
pub(crate) fn reason(payload: &[u8]) -> Result<&[u8], ProtocolError> {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) if may_be_sent(u16::from_be_bytes(*code)) => Ok(reason),
        Some(_) => Err(ProtocolError::CloseCode),
        None if payload.is_empty() => Ok(payload),
        None => Err(ProtocolError::ClosePayloadLength),
    }
}
