// SPDX-License-Identifier: Apache-2.0
//! The PC's TCP and entropy.

#[cfg(unix)]
mod network;

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, Write};

#[cfg(unix)]
use crate::split::{Handle, SplitTransport};
use crate::split::{Lock, Locks};
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

impl Deadline {
    fn after(after: Option<Duration>) -> Self {
        match after {
            None => Self::Never,
            Some(Duration::ZERO) => Self::Now,
            Some(after) => Instant::now().checked_add(after).map_or(Self::Never, Self::At),
        }
    }
}

impl TcpTransport {
    /// Connects to the first of `addresses` that answers: `(host, port)`, for example. They are
    /// tried in turn, each for its share of the time that is left.
    ///
    /// `timeout` is for all of them together. Resolving a name takes of it, and is not interrupted
    /// when it has passed. There is no deadline at first.
    ///
    /// # Errors
    /// That of the last address that was tried, [`ErrorKind::TimedOut`] if it did not answer;
    /// [`ErrorKind::InvalidInput`] if there is none; or that of resolving the name.
    pub fn connect(addresses: impl ToSocketAddrs, timeout: Duration) -> io::Result<Self> {
        let deadline = Instant::now().checked_add(timeout);
        let addresses: Vec<_> = addresses.to_socket_addrs()?.collect();
        let mut error = ErrorKind::InvalidInput.into();
        for (address, untried) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            // An address that does not answer must not use up the time of the next one.
            let left = deadline.map_or(Ok(timeout), time_left)?;
            let share = left.checked_div(untried).unwrap_or(left).max(Duration::from_nanos(1));
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => return Self::new(stream),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

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
            // Unix calls the socket's timeout `WouldBlock`, so that this one is TCP's.
            Err(error) if cfg!(unix) && error.kind() == ErrorKind::TimedOut => {
                return Err(GIVEN_UP.into());
            }
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

/// What TCP's own timeout is here: the peer is given up, which is no deadline of ours.
const GIVEN_UP: ErrorKind = ErrorKind::ConnectionAborted;

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
            Err(Errno::TIMEDOUT) => Err(GIVEN_UP.into()),
            result => Ok(result?),
        }
    }

    #[cfg(unix)]
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::event::PollFlags;
        let ready = wait(&self.stream, PollFlags::IN | PollFlags::OUT, self.deadline)?;
        if ready == PollFlags::OUT { Ok(None) } else { self.read(buffer).map(Some) }
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        let deadline = Deadline::after(after);
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

/// Waits until `stream` is as `wanted`, and returns how it is.
#[cfg(unix)]
fn wait(
    stream: &TcpStream,
    wanted: rustix::event::PollFlags,
    deadline: Deadline,
) -> io::Result<rustix::event::PollFlags> {
    use rustix::event::{PollFd, Timespec, poll};
    let timeout = match deadline {
        Deadline::Never => None,
        // A timeout that is too long to be counted never comes either.
        Deadline::At(at) => Timespec::try_from(time_left(at)?).ok(),
        Deadline::Now => Some(Timespec::default()),
    };
    let mut sockets = [PollFd::new(stream, wanted)];
    if poll(&mut sockets, timeout.as_ref())? == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    let [socket] = sockets;
    Ok(socket.revents())
}

/// Reads a [`TcpTransport`] that other threads write to.
#[cfg(unix)]
#[derive(Debug)]
pub struct TcpHandle {
    stream: TcpStream,
    deadline: Deadline,
}

#[cfg(unix)]
impl SplitTransport for TcpTransport {
    type Handle = TcpHandle;

    fn handle(&self) -> io::Result<TcpHandle> {
        Ok(TcpHandle { stream: self.stream.try_clone()?, deadline: Deadline::Never })
    }
}

#[cfg(unix)]
impl TcpHandle {
    /// The mode and the timeouts of the socket are the transport's, and do not matter here.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::io::Errno;
        use rustix::net::{RecvFlags, recv};
        match recv(&self.stream, buffer, RecvFlags::DONTWAIT) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(Errno::TIMEDOUT) => Err(GIVEN_UP.into()),
            result => Ok(Some(result?.0)),
        }
    }
}

#[cfg(unix)]
impl ErrorType for TcpHandle {
    type Error = io::Error;
}

#[cfg(unix)]
impl Read for TcpHandle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = self.read_now(buffer)? {
                return Ok(count);
            }
            wait(&self.stream, rustix::event::PollFlags::IN, self.deadline)?;
        }
    }
}

#[cfg(unix)]
impl Handle for TcpHandle {
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::event::PollFlags;
        let ready = wait(&self.stream, PollFlags::IN | PollFlags::OUT, self.deadline)?;
        if ready == PollFlags::OUT { Ok(None) } else { self.read(buffer).map(Some) }
    }

    fn wait_writable(&mut self, refused: bool) -> io::Result<()> {
        if refused && self.deadline != Deadline::Now {
            let moment = Duration::from_millis(1);
            let left = if let Deadline::At(at) = self.deadline { time_left(at)? } else { moment };
            std::thread::sleep(left.min(moment));
            return Ok(());
        }
        wait(&self.stream, rustix::event::PollFlags::OUT, self.deadline).map(drop)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.deadline = Deadline::after(after);
    }
}

/// The operating system's mutexes, for a [`Split`](crate::Split).
#[derive(Clone, Copy, Debug)]
pub enum Mutexes {}

impl Locks for Mutexes {
    type Lock<S> = Mutex<S>;
}

impl<S> Lock<S> for Mutex<S> {
    fn new(value: S) -> Self {
        Self::new(value)
    }

    fn with<O>(&self, operation: impl FnOnce(&mut S) -> O) -> O {
        // What the application did when it panicked is not the connection's state.
        operation(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn into_inner(self) -> S {
        self.into_inner().unwrap_or_else(PoisonError::into_inner)
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
