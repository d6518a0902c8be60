// SPDX-License-Identifier: Apache-2.0
//! The PC's TCP and entropy.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, Write};

use crate::transport::{Entropy, EntropyUnavailable, Transport};

/// A connected TCP socket of the operating system, with `TCP_NODELAY`.
#[derive(Debug)]
pub struct TcpTransport {
    stream: TcpStream,
    deadline: Deadline,
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
        Ok(Self { stream, deadline: Deadline::Never })
    }

    /// The socket.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The time that is left, as a socket's timeout.
    fn time_left(at: Instant) -> io::Result<Duration> {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Deadline::At(at) = self.deadline {
            self.stream.set_write_timeout(Some(Self::time_left(at)?))?;
        }
        self.stream.write_vectored(slices).map_err(timed_out)
    }
}

/// A socket's timeout shows as `WouldBlock` on some systems.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl ErrorType for TcpTransport {
    type Error = io::Error;
}

impl Read for TcpTransport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Deadline::At(at) = self.deadline {
            self.stream.set_read_timeout(Some(Self::time_left(at)?))?;
        }
        self.stream.read(buffer).map_err(timed_out)
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
        use rustix::net::{SendFlags, send};
        send(&self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            .map_err(|error| timed_out(error.into()))
    }

    #[cfg(unix)]
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = match self.deadline {
            Deadline::Never => None,
            // A timeout that is too long to be counted never comes either.
            Deadline::At(at) => Timespec::try_from(Self::time_left(at)?).ok(),
            Deadline::Now => Some(Timespec::default()),
        };
        let mut sockets = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::OUT)];
        if poll(&mut sockets, timeout.as_ref())? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
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
        if deadline == Deadline::Never && self.deadline != Deadline::Never {
            let _ = self.stream.set_read_timeout(None);
            let _ = self.stream.set_write_timeout(None);
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
