// SPDX-License-Identifier: Apache-2.0

use core::ffi::c_int;
use core::time::Duration;

use super::error::Error;
use super::ffi;
use super::tcp::uptime_after;

/// One of the sockets that [`poll`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PollSocket {
    /// The descriptor. A negative one is not looked at.
    pub fd: c_int,
    /// What to wait for: [`READ`](Self::READ), [`WRITE`](Self::WRITE), both, or 0 for nothing.
    pub interest: u8,
    /// Which of it would not wait any more, or would fail at once: written by [`poll`].
    pub ready: u8,
}

impl PollSocket {
    /// There are bytes or a connection to take, or the end of the stream.
    pub const READ: u8 = 1;
    /// There is room for bytes.
    pub const WRITE: u8 = 2;

    /// A socket that is not ready yet.
    #[must_use]
    pub const fn new(fd: c_int, interest: u8) -> Self {
        Self { fd, interest, ready: 0 }
    }
}

/// Waits until one of `sockets` is ready, or `timeout` has passed, and returns how many are ready.
/// Waits for ever without a `timeout`, and not at all with [`Duration::ZERO`]. Each descriptor may
/// be there once.
///
/// Over TLS, Zephyr cannot always tell that bytes were decrypted already: read a socket until
/// [`Error::TimedOut`] says that there is nothing more, and only then wait for it here.
///
/// # Errors
/// [`Error::TooManyToPoll`]: with Zephyr's own network stack a socket that is watched for both
/// counts twice.
pub fn poll(sockets: &mut [PollSocket], timeout: Option<Duration>) -> Result<usize, Error> {
    let count = c_int::try_from(sockets.len()).map_err(|_| Error::TooManyToPoll)?;
    // SAFETY: the pointer and the length are those of one exclusively borrowed slice, and
    // PollSocket is struct rust_websocket_poll.
    let ready =
        unsafe { ffi::rust_websocket_poll(sockets.as_mut_ptr(), count, uptime_after(timeout)) };
    Error::check(ready).map(|ready| ready as usize)
}
