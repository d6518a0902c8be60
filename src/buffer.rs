// SPDX-License-Identifier: Apache-2.0
//! The receive buffer: what has arrived and is not consumed yet.

use core::ops::Range;

use embedded_io::ErrorKind;

use crate::error::Error;
use crate::transport::Transport;

/// Bytes leave at the front by [`consume`](Self::consume) and enter at the back by
/// [`fill`](Self::fill). What was consumed stays in place, and can be looked at, until the next
/// `fill`.
pub(crate) struct ReceiveBuffer<'b> {
    bytes: &'b mut [u8],
    start: usize,
    end: usize,
}

impl<'b> ReceiveBuffer<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, start: 0, end: 0 }
    }

    /// What has arrived and is not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Takes `count` bytes from the front, and returns where they end in the whole buffer.
    pub(crate) fn consume(&mut self, count: usize) -> usize {
        self.start = self.start.saturating_add(count).min(self.end);
        self.start
    }

    /// What lies at a place in the whole buffer, consumed or not, until the next `fill`.
    pub(crate) fn at(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    /// The whole buffer, for what is to be sent while nothing has arrived.
    pub(crate) fn storage(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Whether [`fill`](Self::fill) has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.end.wrapping_sub(self.start) >= self.bytes.len()
    }

    /// Receives once, into all the room there is, and returns how many bytes arrived: 0 when the
    /// peer has ended its side, `None` if the stream takes bytes again and `or_writable` asked.
    pub(crate) fn fill<T: Transport>(
        &mut self,
        transport: &mut T,
        or_writable: bool,
    ) -> Result<Option<usize>, Error<T::Error>> {
        self.fill_by(|room| {
            if or_writable {
                transport.read_or_writable(room)
            } else {
                transport.read(room).map(Some)
            }
        })
    }

    /// The same, with the call that reads.
    pub(crate) fn fill_by<E: embedded_io::Error>(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Result<Option<usize>, E>,
    ) -> Result<Option<usize>, Error<E>> {
        self.compact();
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = uninterrupted(|| read(room))?;
        let end = self.end.wrapping_add(count.unwrap_or(0));
        self.end = end.min(self.bytes.len());
        Ok(count)
    }

    /// Moves what is unread to the front: never more than an incomplete header or control frame.
    fn compact(&mut self) {
        shift(self.bytes, self.start..self.end, 0);
        self.end = self.end.wrapping_sub(self.start);
        self.start = 0;
    }
}

/// Repeats what a signal interrupted, and sorts every other error.
pub(crate) fn uninterrupted<O, E: embedded_io::Error>(
    mut operation: impl FnMut() -> Result<O, E>,
) -> Result<O, Error<E>> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(Error::from_transport),
        }
    }
}

/// Moves the bytes at `from` down to `to`, where that is lower and both are within `bytes`; else
/// does nothing.
// In one place only, where the compiler sees that copy_within cannot panic.
#[inline(never)]
pub(crate) fn shift(bytes: &mut [u8], from: Range<usize>, to: usize) {
    if let Some(bytes) = bytes.get_mut(to..from.end)
        && let Some(gap) = from.start.checked_sub(to)
        && gap <= bytes.len()
    {
        bytes.copy_within(gap.., 0);
    }
}

/// Copies as much of `from` as there is room for in `to`, and returns how much that was.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let mut count = 0usize;
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        count = count.wrapping_add(1);
    }
    count
}
