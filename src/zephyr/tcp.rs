// SPDX-License-Identifier: Apache-2.0

use core::ffi::{CStr, c_int};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};

use super::config::LISTEN_BACKLOG;
use super::error::Error;
use super::ffi;
use crate::transport::Transport;

/// A connected TCP or TLS socket of Zephyr. Dropping it closes the socket.
///
/// Small writes leave at once (`TCP_NODELAY`), and keepalive is on if
/// `CONFIG_RUST_WEBSOCKET_KEEPALIVE_IDLE_S` says so; both can be changed. A thread may hand the
/// stream to another.
///
/// Zephyr's own network stack, and the host's sockets on `native_sim`, cannot end the sending side
/// alone: [`Transport::shutdown`] then fails with [`Error::Unsupported`], and dropping the stream
/// is the way to end it.
#[derive(Debug)]
pub struct TcpStream {
    fd: c_int,
    /// An uptime in milliseconds.
    deadline: i64,
    /// `None` for plain TCP.
    #[cfg(zephyr_tls)]
    tls: Option<ffi::TlsOutput>,
}

/// When TCP asks a silent peer for a sign of life, and gives it up (RFC 9293 section 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The silence before the first question: 1 to 32,767 s, in whole seconds.
    pub idle: Duration,
    /// The time between two questions: 1 to 32,767 s, in whole seconds.
    pub interval: Duration,
    /// The number of questions without an answer that ends the connection, from 1 on.
    pub count: u8,
}

impl TcpStream {
    /// Connects to `host`, a name or an address of IPv4 or IPv6, trying each of its addresses in
    /// turn.
    ///
    /// `timeout` is for all of them together. Resolving the name takes of it, and is bounded by
    /// `CONFIG_NET_SOCKETS_DNS_TIMEOUT` alone. Zephyr allocates the list of addresses on the C heap
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
        Self {
            fd,
            deadline: ffi::NEVER,
            #[cfg(zephyr_tls)]
            tls: ffi::rust_websocket_is_tls(fd).then(ffi::TlsOutput::default),
        }
    }

    /// The descriptor, for `zsock_poll` and socket options. The stream remains its owner.
    pub fn fd(&self) -> c_int {
        self.fd
    }

    /// As [`Handle::wait_writable`](crate::Handle::wait_writable).
    pub(super) fn wait_writable(&self, refused: bool) -> Result<(), Error> {
        Error::check(ffi::rust_websocket_wait_writable(self.fd, refused, self.deadline)).map(drop)
    }

    /// Whether small writes leave at once, which they do at first. A WebSocket needs it: see
    /// [`Transport`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Other`], where an offloading driver cannot do it.
    pub fn set_nodelay(&self, on: bool) -> Result<(), Error> {
        Error::check(ffi::rust_websocket_set_nodelay(self.fd, on)).map(drop)
    }

    /// Lets TCP find out that the peer has vanished; `None` turns that off. Reading and writing
    /// then fail with [`Error::Aborted`]. Times are rounded up to seconds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Other`], where the network stack cannot do it: Zephyr's
    /// own needs `CONFIG_NET_TCP_KEEPALIVE`.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> Result<(), Error> {
        let (idle, interval, count) = keepalive.map_or((0, 0, 0), |keepalive| {
            let count = c_int::from(keepalive.count.max(1));
            (seconds(keepalive.idle), seconds(keepalive.interval), count)
        });
        Error::check(ffi::rust_websocket_set_keepalive(self.fd, idle, interval, count)).map(drop)
    }

    /// The peer's address and port.
    ///
    /// # Errors
    /// [`Error::NotConnected`]; [`Error::Unsupported`] where an offloading driver cannot tell, as
    /// with the PC's sockets on `native_sim`.
    pub fn peer_addr(&self) -> Result<SocketAddr, Error> {
        let mut address = ffi::Address::default();
        // SAFETY: the address is exclusively borrowed, and the shim does not keep it.
        let returned = unsafe { ffi::rust_websocket_peer(self.fd, &mut address) };
        let ffi::Address { ip, scope_id, port } = address;
        if Error::check(returned)? == 4 {
            let [a, b, c, d, ..] = ip;
            return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port));
        }
        Ok(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope_id)))
    }

    /// Whether nothing is known of an error or of the end of the connection. What the peer has
    /// sent before can be read all the same; its end of the stream alone does not count, and a
    /// peer that vanished is not noticed without [keepalive](Self::set_keepalive) or sending.
    pub fn is_connected(&self) -> bool {
        ffi::rust_websocket_is_connected(self.fd)
    }

    fn send(&mut self, head: &[u8], payload: &[u8], deadline: i64) -> Result<usize, Error> {
        #[cfg(zephyr_tls)]
        if let Some(output) = &mut self.tls {
            // SAFETY: each pointer and its length are those of one borrowed slice, and the output
            // belongs to the descriptor from the beginning.
            let n = unsafe {
                ffi::rust_websocket_tls_send(
                    self.fd,
                    output,
                    head.as_ptr().cast(),
                    head.len(),
                    payload.as_ptr().cast(),
                    payload.len(),
                    deadline,
                )
            };
            return Error::check(n).map(|n| n as usize);
        }
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

    pub(super) fn from_returned(fd: c_int) -> Result<Self, Error> {
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
    #[cfg(zephyr_tls)]
    is_tls: bool,
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
        Ok(Self {
            fds,
            port,
            #[cfg(zephyr_tls)]
            is_tls: false,
        })
    }

    #[cfg(zephyr_tls)]
    pub(super) const fn from_tls_fds(fds: [c_int; 2], port: u16) -> Self {
        Self { fds, port, is_tls: true }
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
    /// listener remains of use; the last two come back at once until a socket was closed. With TLS
    /// it remains of use after `Error::Tls` too: see `bind_tls`.
    pub fn accept(&self, timeout: Option<Duration>) -> Result<TcpStream, Error> {
        let [first, second] = self.fds;
        let deadline = uptime_after(timeout);
        #[cfg(zephyr_tls)]
        if self.is_tls {
            let fd = ffi::rust_websocket_tls_accept(first, second, deadline);
            return TcpStream::from_returned(fd);
        }
        TcpStream::from_returned(ffi::rust_websocket_accept(first, second, deadline))
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

/// Whole seconds from 1 on, as many as the field of an option takes.
fn seconds(duration: Duration) -> c_int {
    let whole = duration.as_secs().saturating_add((duration.subsec_nanos() > 0).into());
    // Clamped to fit.
    whole.clamp(1, 32_767) as c_int
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
