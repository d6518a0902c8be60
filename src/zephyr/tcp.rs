// SPDX-License-Identifier: Apache-2.0

use core::ffi::{CStr, c_int};
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};

use super::config::LISTEN_BACKLOG;
use super::error::Error;
use super::ffi;
use crate::transport::Transport;

/// A connected TCP socket of Zephyr. Dropping it closes the socket.
///
/// Small writes leave at once (`TCP_NODELAY`).
///
/// Zephyr's own network stack, and the host's sockets on `native_sim`, cannot end the sending side
/// alone: [`Transport::shutdown`] then fails with [`Error::Unsupported`], and dropping the stream
/// is the way to end it.
#[derive(Debug)]
pub struct TcpStream {
    fd: c_int,
    /// An uptime in milliseconds.
    deadline: i64,
}

impl TcpStream {
    /// Connects to `host`, a name or an address of IPv4 or IPv6, trying each of its addresses in
    /// turn.
    ///
    /// `timeout` is for all of them together, and does not include resolving the name
    /// (`CONFIG_NET_SOCKETS_DNS_TIMEOUT`). Zephyr allocates the list of addresses on the C heap
    /// meanwhile.
    ///
    /// The stream has no deadline at first.
    ///
    /// # Errors
    /// That of the last address that was tried, or [`Error::Resolve`] when `host` has none.
    pub fn connect(host: &CStr, port: u16, timeout: Duration) -> Result<Self, Error> {
        let deadline = uptime_after(Some(timeout));
        // SAFETY: a CStr ends with a zero byte, and the shim keeps no pointer to it.
        let fd = unsafe { ffi::rust_websocket_connect(host.as_ptr(), port, deadline) };
        Self::from_returned(fd)
    }

    /// Takes over a connected stream socket that was made elsewhere, such as the one that Zephyr's
    /// HTTP server hands over, or a TLS socket.
    ///
    /// `fd` must have no other owner: it is closed when the stream is dropped.
    pub fn from_fd(fd: c_int) -> Self {
        Self { fd, deadline: ffi::NEVER }
    }

    /// The descriptor, for `zsock_poll` and socket options. The stream remains its owner.
    pub fn fd(&self) -> c_int {
        self.fd
    }

    /// As [`Handle::wait_writable`](crate::Handle::wait_writable).
    pub(super) fn wait_writable(&self, refused: bool) -> Result<(), Error> {
        Error::check(ffi::rust_websocket_wait_writable(self.fd, refused, self.deadline)).map(drop)
    }

    fn send(&mut self, head: &[u8], payload: &[u8], deadline: i64) -> Result<usize, Error> {
        // SAFETY: each pointer and its length are those of one borrowed slice.
        let n = unsafe {
            ffi::rust_websocket_send(
                self.fd,
                head.as_ptr().cast(),
                head.len(),
                payload.as_ptr().cast(),
                payload.len(),
                deadline,
            )
        };
        Error::check(n).map(|n| n as usize)
    }

    fn from_returned(fd: c_int) -> Result<Self, Error> {
        Error::check(fd)?;
        Ok(Self::from_fd(fd))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        ffi::rust_websocket_close(self.fd);
    }
}

impl ErrorType for TcpStream {
    type Error = Error;
}

impl Read for TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        // SAFETY: the pointer and the length are those of one exclusively borrowed slice.
        let n = unsafe {
            ffi::rust_websocket_recv(self.fd, bytes.as_mut_ptr().cast(), bytes.len(), self.deadline)
        };
        Error::check(n).map(|n| n as usize)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.write_gather(&[], bytes)
    }

    /// Returns at once: nothing is held back.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Transport for TcpStream {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Error> {
        self.send(head, payload, self.deadline)
    }

    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.send(&[], bytes, ffi::PAST)
    }

    fn read_or_writable(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Error> {
        // SAFETY: the pointer and the length are those of one exclusively borrowed slice.
        let n = unsafe {
            ffi::rust_websocket_recv_or_writable(
                self.fd,
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                self.deadline,
            )
        };
        if n == ffi::WRITABLE {
            return Ok(None);
        }
        Error::check(n).map(|n| Some(n as usize))
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.deadline = uptime_after(after);
    }

    fn shutdown(&mut self) -> Result<(), Error> {
        Error::check(ffi::rust_websocket_shutdown(self.fd)).map(drop)
    }
}

/// The TCP sockets of Zephyr that accept connections at a port: one each for IPv4 and IPv6, where
/// these are enabled. Dropping it closes them.
#[derive(Debug)]
pub struct TcpListener {
    /// -1 where there is no socket for the family.
    fds: [c_int; 2],
    port: u16,
}

impl TcpListener {
    /// Listens on `port` of every address of this device; 0 lets the network stack choose.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] above all; [`Error::PermissionDenied`] below 1024 on a PC.
    pub fn bind(mut port: u16) -> Result<Self, Error> {
        let mut fds = [-1; 2];
        // SAFETY: the pointers are those of local variables, and the shim does not keep them. The
        // backlog is bounded by Kconfig to a small number.
        let returned = unsafe {
            ffi::rust_websocket_listen(fds.as_mut_ptr(), &mut port, LISTEN_BACKLOG as c_int)
        };
        Error::check(returned)?;
        Ok(Self { fds, port })
    }

    /// The port that was bound.
    pub fn local_port(&self) -> u16 {
        self.port
    }

    /// The descriptors, for [`poll`](super::poll()): one is ready to be read when a connection
    /// waits. -1, which is not looked at, stands where there is no socket for the family. The
    /// listener remains their owner.
    pub fn fds(&self) -> [c_int; 2] {
        self.fds
    }

    /// Waits for a connection, for ever without a `timeout`, and not at all with
    /// [`Duration::ZERO`]. The stream has no deadline at first.
    ///
    /// # Errors
    /// After [`Error::TimedOut`], [`Error::OutOfMemory`] and [`Error::OutOfDescriptors`] the
    /// listener remains of use; the last two come back at once until a socket was closed.
    pub fn accept(&self, timeout: Option<Duration>) -> Result<TcpStream, Error> {
        let [first, second] = self.fds;
        let fd = ffi::rust_websocket_accept(first, second, uptime_after(timeout));
        TcpStream::from_returned(fd)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        for fd in self.fds {
            if fd >= 0 {
                ffi::rust_websocket_close(fd);
            }
        }
    }
}

/// The uptime in milliseconds at which `after` will have passed, rounded up.
pub(super) fn uptime_after(after: Option<Duration>) -> i64 {
    let Some(after) = after else {
        return ffi::NEVER;
    };
    // Duration::as_millis would compute with 128 bits. Bounded to 136 years, 64 are enough, and
    // nothing wraps.
    let seconds = after.as_secs().min(u32::MAX.into()) as u32;
    let ms = after.subsec_nanos().div_ceil(1_000_000);
    let ms = i64::from(seconds).wrapping_mul(1000).wrapping_add(ms.into());
    ffi::rust_websocket_uptime_ms().saturating_add(ms)
}
