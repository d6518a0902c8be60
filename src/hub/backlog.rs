// SPDX-License-Identifier: Apache-2.0
//! What one connection has to send and its socket has not taken yet.

use embedded_io::ErrorKind;

use crate::buffer::{copy, shift, uninterrupted};
use crate::error::Error;
use crate::frame::MAX_CONTROL_PAYLOAD_LEN;
use crate::transport::Transport;

/// Room that data leaves for a Close frame with its code, which therefore always fits.
const CLOSE_ROOM: usize = 2 + 2;
/// Room that data leaves for a Pong too.
pub(super) const CONTROL_ROOM: usize = 2 + MAX_CONTROL_PAYLOAD_LEN + CLOSE_ROOM;

/// For what bytes are put in line, and so how much room they have to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A fragment of a message.
    Data,
    /// A Ping or Pong, a Close frame with a reason.
    Control,
    /// A Close frame with a code alone, or a response, behind which nothing comes.
    Last,
}

impl Purpose {
    const fn room_left(self) -> usize {
        match self {
            Self::Data => CONTROL_ROOM,
            Self::Control => CLOSE_ROOM,
            Self::Last => 0,
        }
    }
}

/// How a try to send has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing is left.
    All,
    /// The socket takes no more now, and tells when it does again.
    Part,
    /// The network stack is out of memory, and nothing will tell when it has some again.
    OutOfMemory,
}

/// The positions of a line of bytes in a buffer that stays outside: at the front they leave, at
/// the back they enter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    start: u16,
    end: u16,
    /// How many bytes have to leave before the peer has earned more time.
    due: u16,
}

impl Backlog {
    pub(super) const EMPTY: Self = Self { start: 0, end: 0, due: 0 };

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    const fn len(self) -> usize {
        self.end.wrapping_sub(self.start) as usize
    }

    /// How many bytes can be put in line for `purpose`.
    pub(super) fn room(self, buffer: &[u8], purpose: Purpose) -> usize {
        usable(buffer.len()).saturating_sub(self.len().saturating_add(purpose.room_left()))
    }

    /// Puts `parts` in line if there is room for them together.
    pub(super) fn put(&mut self, buffer: &mut [u8], parts: [&[u8]; 3], purpose: Purpose) -> bool {
        let len = parts.iter().fold(0usize, |len, part| len.saturating_add(part.len()));
        if len > self.room(buffer, purpose) {
            return false;
        }
        let free = self.free(buffer);
        let mut at = 0usize;
        for part in parts {
            at = at.saturating_add(copy(free.get_mut(at..).unwrap_or_default(), part));
        }
        self.extend(at);
        true
    }

    /// The room behind what waits, which [`extend`](Self::extend) then takes a part of.
    pub(super) fn free<'f>(&mut self, buffer: &'f mut [u8]) -> &'f mut [u8] {
        let usable = usable(buffer.len());
        if self.start > 0 {
            shift(buffer, self.start.into()..self.end.into(), 0);
            self.end = self.end.wrapping_sub(self.start);
            self.start = 0;
        }
        buffer.get_mut(usize::from(self.end)..usable).unwrap_or_default()
    }

    pub(super) const fn extend(&mut self, len: usize) {
        self.end = self.end.saturating_add(len as u16);
    }

    /// Sends what waits, and as much of `rest` behind it as the socket takes; `rest` becomes what
    /// it has not taken.
    ///
    /// Adds what was taken to `count`.
    pub(super) fn flush<T: Transport>(
        &mut self,
        stream: &mut T,
        buffer: &[u8],
        rest: &mut &[u8],
        count: &mut usize,
    ) -> Result<Sent, Error<T::Error>> {
        while !self.is_empty() || !rest.is_empty() {
            let range = usize::from(self.start)..usize::from(self.end);
            let waiting = buffer.get(range).unwrap_or_default();
            let taken = match uninterrupted(|| stream.write_gather(waiting, rest)) {
                Ok(0) => return Err(Error::Disconnected),
                Ok(taken) => taken,
                Err(Error::TimedOut) => return Ok(Sent::Part),
                Err(Error::Transport(error)) if is_out_of_memory(&error) => {
                    return Ok(Sent::OutOfMemory);
                }
                Err(error) => return Err(error),
            };
            *count = count.saturating_add(taken);
            let of_waiting = taken.min(waiting.len());
            self.start = self.start.saturating_add(of_waiting as u16);
            self.due = self.due.saturating_sub(taken.min(u16::MAX.into()) as u16);
            *rest = rest.get(taken.wrapping_sub(of_waiting)..).unwrap_or_default();
        }
        *self = Self::EMPTY;
        Ok(Sent::All)
    }

    /// Whether all that was asked for when this was last true has left, so that the peer gets more
    /// time: for as much as waits now, or `at_most` of it and of the `rest` behind it.
    pub(super) fn earns_time(&mut self, rest: usize, at_most: usize) -> bool {
        let earned = self.due == 0;
        if earned {
            let waiting = self.len().saturating_add(rest);
            self.due = usable(waiting.min(at_most)).max(1) as u16;
        }
        earned
    }
}

pub(super) fn is_out_of_memory(error: &impl embedded_io::Error) -> bool {
    error.kind() == ErrorKind::OutOfMemory
}

/// Positions have 16 bits.
pub(super) const fn usable(len: usize) -> usize {
    if len > u16::MAX as usize { u16::MAX as usize } else { len }
}
