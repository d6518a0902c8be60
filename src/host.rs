// SPDX-License-Identifier: Apache-2.0
//! The PC's TCP and entropy.

#[cfg(unix)]
mod network;

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, Write};

use crate::transport::{Entropy, EntropyUnavailable, Transport};

#[cfg(unix)]
pub use network::TcpNetwork;

/// A connected TCP socket of the operating system, with `TCP_NODELAY`.
#[derive(Debug)]
pub struct TcpTransport {
    stream: TcpStream,
    deadline: Deadline,
    /// The timeouts that the socket has.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    Never,
    At(Instant),
    /// The socket is in its non-blocking mode.
    Now,
}

impl TcpTransport {
    /// Takes over `stream`, which waits for ever until a deadline is set.
    ///
    /// # Errors
    /// The socket's options could not be set.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok(Self { stream, deadline: Deadline::Never, read_timeout: None, write_timeout: None })
    }

    /// The socket.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Self { stream, deadline, write_timeout, .. } = self;
        let set = |timeout| stream.set_write_timeout(Some(timeout));
        until(*deadline, write_timeout, set, || (&*stream).write_vectored(slices))
    }
}

/// Repeats `operation` while it times out before the deadline.
///
/// Setting the socket's timeout takes as long as a short read. So it is set to half of the time
/// that is left, which fits the next deadlines too, and to all of it once it has passed too early.
fn until<T>(
    deadline: Deadline,
    timeout: &mut Option<Duration>,
    set: impl Fn(Duration) -> io::Result<()>,
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut is_early = false;
    loop {
        if let Deadline::At(at) = deadline {
            let left = time_left(at)?;
            if is_early || timeout.is_none_or(|timeout| timeout > left) {
                let half = left.checked_div(2).filter(|half| !is_early && !half.is_zero());
                let new = half.unwrap_or(left);
                set(new)?;
                *timeout = Some(new);
            }
        }
        match operation() {
            // A socket's timeout shows as `WouldBlock` on some systems.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if !matches!(deadline, Deadline::At(_)) {
                    return Err(ErrorKind::TimedOut.into());
                }
                is_early = true;
            }
            result => return result,
        }
    }
}

fn time_left(at: Instant) -> io::Result<Duration> {
    let left = at.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl ErrorType for TcpTransport {
    type Error = io::Error;
}

impl Read for TcpTransport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { stream, deadline, read_timeout, .. } = self;
        let set = |timeout| stream.set_read_timeout(Some(timeout));
        until(*deadline, read_timeout, set, || (&*stream).read(buffer))
    }
}

impl Write for TcpTransport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_slices(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for TcpTransport {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> io::Result<usize> {
        self.write_slices(&[IoSlice::new(head), IoSlice::new(payload)])
    }

    #[cfg(unix)]
    fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::io::Errno;
        use rustix::net::{SendFlags, send};
        match send(&self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::WOULDBLOCK) => Err(ErrorKind::TimedOut.into()),
            result => Ok(result?),
        }
    }

    #[cfg(unix)]
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = match self.deadline {
            Deadline::Never => None,
            // A timeout that is too long to be counted never comes either.
            Deadline::At(at) => Timespec::try_from(time_left(at)?).ok(),
            Deadline::Now => Some(Timespec::default()),
        };
        let mut sockets = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::OUT)];
        if poll(&mut sockets, timeout.as_ref())? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let [socket] = sockets;
        if socket.revents() == PollFlags::OUT { Ok(None) } else { self.read(buffer).map(Some) }
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        let deadline = match after {
            None => Deadline::Never,
            Some(Duration::ZERO) => Deadline::Now,
            Some(after) => Instant::now().checked_add(after).map_or(Deadline::Never, Deadline::At),
        };
        // A socket whose mode cannot be set is broken, and says so at the next read or write.
        if (deadline == Deadline::Now) != (self.deadline == Deadline::Now) {
            let _ = self.stream.set_nonblocking(deadline == Deadline::Now);
        }
        if deadline == Deadline::Never {
            if self.read_timeout.take().is_some() {
                let _ = self.stream.set_read_timeout(None);
            }
            if self.write_timeout.take().is_some() {
                let _ = self.stream.set_write_timeout(None);
            }
        }
        self.deadline = deadline;
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

/// The operating system's cryptographically secure random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        getrandom::fill(bytes).map_err(|_| EntropyUnavailable)
    }
}
