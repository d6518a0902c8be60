// SPDX-License-Identifier: Apache-2.0
//! What has arrived on one connection and is not handed out yet.

use core::ops::Range;

use super::backlog::usable;
use crate::buffer::shift;

/// Positions in a receive buffer that stays outside. At its front stands as much of a message as
/// has come, if messages are handed out whole; what was received and not looked at is in
/// `start..end`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inbox {
    message: u16,
    start: u16,
    end: u16,
}

impl Inbox {
    pub(super) const EMPTY: Self = Self { message: 0, start: 0, end: 0 };

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub(super) fn unread(self, buffer: &mut [u8]) -> &mut [u8] {
        buffer.get_mut(self.start.into()..self.end.into()).unwrap_or_default()
    }

    /// The room behind what has arrived, which [`extend`](Self::extend) then takes a part of.
    pub(super) fn room<'f>(&mut self, buffer: &'f mut [u8]) -> &'f mut [u8] {
        if self.message < self.start {
            shift(buffer, self.start.into()..self.end.into(), self.message.into());
            self.end = self.end.wrapping_sub(self.start).wrapping_add(self.message);
            self.start = self.message;
        }
        let usable = usable(buffer.len());
        buffer.get_mut(self.end.into()..usable).unwrap_or_default()
    }

    pub(super) const fn extend(&mut self, len: usize) {
        self.end = self.end.saturating_add(len as u16);
    }

    /// Takes `len` bytes from the front of what is unread, and returns where they end.
    pub(super) fn consume(&mut self, len: usize) -> usize {
        self.start = self.start.saturating_add(len as u16).min(self.end);
        self.start.into()
    }

    /// Adds a piece of a message, which has been consumed, to what is there of the message.
    /// Returns where the whole is, or `None` if it is longer than `limit`.
    pub(super) fn assemble(
        &mut self,
        buffer: &mut [u8],
        piece: Range<usize>,
        fin: bool,
        limit: usize,
    ) -> Option<Range<usize>> {
        let before = usize::from(self.message);
        let len = before.saturating_add(piece.len());
        if len > limit {
            return None;
        }
        if fin {
            self.message = 0;
            if before == 0 {
                return Some(piece);
            }
        }
        shift(buffer, piece, before);
        if !fin {
            self.message = len as u16;
        }
        Some(0..len)
    }
}
