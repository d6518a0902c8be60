// SPDX-License-Identifier: Apache-2.0
//! What is on its way to the peer: one data frame, and one control frame beside it.
//!
//! A transport may take any part of a frame and refuse the rest for now. The position within the
//! data frame and within the control frame is kept here, so that a frame always goes on where it
//! stopped. A control frame waits for the end of a data frame that has begun; a data frame begins
//! only after a control frame that has begun.

use crate::buffer::{copy, uninterrupted};
use crate::error::{Error, UsageError};
use crate::frame::{MAX_CONTROL_PAYLOAD_LEN, MAX_HEADER_LEN};
use crate::role::Role;
use crate::transport::Transport;

/// The longest control frame: two bytes, a masking key, 125 bytes of payload.
const MAX_CONTROL_FRAME: usize = 2 + 4 + MAX_CONTROL_PAYLOAD_LEN;

/// The shortest buffer to send from: a control frame and a data frame's header.
pub const MIN_TX_BUFFER: usize = MAX_CONTROL_FRAME + MAX_HEADER_LEN;

pub(crate) struct Outgoing<'b, R: Role> {
    /// The control frame, encoded; what is left of it lies in `control_start..control_end`.
    control: &'b mut [u8; MAX_CONTROL_FRAME],
    control_start: u8,
    control_end: u8,
    /// The data frame's header, then as much masked payload as fits; what the transport has not
    /// taken lies in `start..end`. An unmasked payload is never copied here.
    staged: &'b mut [u8],
    start: usize,
    end: usize,
    /// How much of the data frame's payload was neither staged nor sent.
    payload_left: usize,
    key: R::Key,
}

impl<'b, R: Role> Outgoing<'b, R> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Result<Self, UsageError> {
        if buffer.len() < MIN_TX_BUFFER {
            return Err(UsageError::BufferTooSmall);
        }
        let Some((control, staged)) = buffer.split_first_chunk_mut() else {
            return Err(UsageError::BufferTooSmall);
        };
        Ok(Self {
            control,
            control_start: 0,
            control_end: 0,
            staged,
            start: 0,
            end: 0,
            payload_left: 0,
            key: R::Key::default(),
        })
    }

    /// Whether a data frame has begun and is not complete.
    pub(crate) const fn is_frame_begun(&self) -> bool {
        self.start < self.end || self.payload_left > 0
    }

    /// Whether `payload_len` bytes can end with what is left of the data frame.
    pub(crate) const fn can_resume(&self, payload_len: usize) -> bool {
        self.is_frame_begun() && self.payload_left <= payload_len
    }

    /// Whether a part of a control frame was sent, and a part not.
    pub(crate) const fn is_control_begun(&self) -> bool {
        0 < self.control_start && self.control_start < self.control_end
    }

    /// Whether a control frame waits for room in the transport.
    pub(crate) const fn wants_to_send_control(&self) -> bool {
        self.is_control_waiting() && !self.is_frame_begun()
    }

    /// How many bytes of both frames the transport has not taken, their headers included.
    pub(crate) const fn unsent(&self) -> usize {
        let control = self.control_end.wrapping_sub(self.control_start) as usize;
        let staged = self.end.wrapping_sub(self.start);
        self.payload_left.wrapping_add(staged).wrapping_add(control)
    }

    /// Whether a control frame waits to be sent or completed.
    pub(crate) const fn is_control_waiting(&self) -> bool {
        self.control_start < self.control_end
    }

    /// Begins a data frame. None may be begun, and no control frame in part.
    pub(crate) fn begin(&mut self, header: &[u8], payload_len: usize, key: R::Key) {
        self.start = 0;
        self.end = 0;
        self.stage(header);
        self.payload_left = payload_len;
        self.key = key;
    }

    /// Sends what is left of the data frame, whose payload ends with the end of `payload`.
    pub(crate) fn send_frame<T: Transport>(
        &mut self,
        transport: &mut T,
        payload: &[u8],
    ) -> Result<(), Error<T::Error>> {
        while self.is_frame_begun() {
            let sent = payload.len().wrapping_sub(self.payload_left);
            let mut left = payload.get(sent..).unwrap_or_default();
            if R::MASKS {
                self.stage_masked(left);
                left = &[];
            }
            let staged = self.staged.get(self.start..self.end).unwrap_or_default();
            let count = write(transport, staged, left)?;
            let staged_count = count.min(staged.len());
            self.start = self.start.wrapping_add(staged_count);
            self.payload_left = self.payload_left.saturating_sub(count.wrapping_sub(staged_count));
        }
        Ok(())
    }

    /// Puts a control frame in line. One that waits there and has not begun is replaced: of
    /// several Pongs only the last is owed (RFC 6455 section 5.5.3), and nothing follows a Close.
    /// None may have begun.
    pub(crate) fn put_control(&mut self, header: &[u8], parts: [&[u8]; 2], mut key: R::Key) {
        let header_len = copy(self.control, header);
        let mut end = header_len;
        for part in parts {
            end = end.wrapping_add(copy(self.control.get_mut(end..).unwrap_or_default(), part));
        }
        R::mask(&mut key, self.control.get_mut(header_len..end).unwrap_or_default());
        self.control_start = 0;
        self.control_end = end as u8;
    }

    /// Takes a control frame that has not begun out of the line.
    pub(crate) fn withdraw_control(&mut self) {
        self.control_end = self.control_start;
    }

    /// Sends what is left of the control frame, unless a data frame has begun; with `now`, only
    /// as much as the transport takes without waiting.
    pub(crate) fn send_control<T: Transport>(
        &mut self,
        transport: &mut T,
        now: bool,
    ) -> Result<(), Error<T::Error>> {
        while self.wants_to_send_control() {
            let range = usize::from(self.control_start)..usize::from(self.control_end);
            let bytes = self.control.get(range).unwrap_or_default();
            let count = some(uninterrupted(|| {
                if now { transport.write_now(bytes) } else { transport.write(bytes) }
            })?)?;
            self.control_start = self.control_start.wrapping_add(count as u8);
        }
        Ok(())
    }

    fn stage(&mut self, bytes: &[u8]) -> usize {
        let count = copy(self.staged.get_mut(self.end..).unwrap_or_default(), bytes);
        self.end = self.end.wrapping_add(count);
        count
    }

    fn stage_masked(&mut self, payload: &[u8]) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let from = self.end;
        let count = self.stage(payload);
        self.payload_left = self.payload_left.saturating_sub(count);
        let staged = self.staged.get_mut(from..self.end).unwrap_or_default();
        R::mask(&mut self.key, staged);
    }
}

/// Writes once.
fn write<T: Transport>(
    transport: &mut T,
    head: &[u8],
    payload: &[u8],
) -> Result<usize, Error<T::Error>> {
    some(uninterrupted(|| transport.write_gather(head, payload))?)
}

/// A transport that takes nothing can never finish.
fn some<E>(count: usize) -> Result<usize, Error<E>> {
    if count == 0 { Err(Error::Disconnected) } else { Ok(count) }
}

/// Writes all of `head` and `payload`.
pub(crate) fn write_all<T: Transport>(
    transport: &mut T,
    mut head: &[u8],
    mut payload: &[u8],
) -> Result<(), Error<T::Error>> {
    while !head.is_empty() || !payload.is_empty() {
        let count = write(transport, head, payload)?;
        let head_count = count.min(head.len());
        head = head.get(head_count..).unwrap_or_default();
        payload = payload.get(count.wrapping_sub(head_count)..).unwrap_or_default();
    }
    Ok(())
}
