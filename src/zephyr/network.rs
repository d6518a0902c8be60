// SPDX-License-Identifier: Apache-2.0

use core::ffi::c_int;
use core::time::Duration;

use super::config::{MAX_CONNECTIONS, POLL_MAX};
use super::error::Error;
use super::poll::{PollSocket, poll};
use super::tcp::{TcpListener, TcpStream};
use super::uptime_ms;
use crate::hub::{Hub, Network, Readiness, Slot, Waiting};

/// The listening sockets of IPv4 and IPv6.
const LISTENERS: usize = 2;

/// The streams of a hub: its connections, and a peer for which it has no slot.
pub(super) const STREAMS: usize = MAX_CONNECTIONS + 1;

// Four connections take at most 4 KB, with receive buffers of 512 bytes and transmit buffers of 256.
const _: () = assert!(
    usize::BITS > 32
        || 4 * (size_of::<Slot<TcpStream>>() + 512 + 256) + size_of::<Hub<'_, TcpNetwork>>()
            <= 4096
);

/// Zephyr's TCP for a hub of at most `CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS` connections.
///
/// `CONFIG_ZVFS_POLL_MAX` must be two for each of these, and four more: the build fails if it is
/// less. [`Hub::turn`](crate::hub::Hub::turn) fails with [`Error::TooManyToPoll`] if a hub has more
/// connections.
#[derive(Debug)]
pub struct TcpNetwork {
    listener: TcpListener,
}

impl TcpNetwork {
    /// Serves the connections of `listener`.
    pub const fn new(listener: TcpListener) -> Self {
        // Zephyr counts a socket twice that is waited for in both directions.
        const {
            assert!(
                POLL_MAX >= LISTENERS + 2 * STREAMS,
                "raise CONFIG_ZVFS_POLL_MAX to 2 * CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS + 4"
            );
        }
        Self { listener }
    }

    /// The listening sockets.
    pub const fn listener(&self) -> &TcpListener {
        &self.listener
    }
}

impl Network for TcpNetwork {
    type Stream = TcpStream;

    fn now_ms(&mut self) -> u64 {
        uptime_ms()
    }

    fn accept(&mut self) -> Result<TcpStream, Error> {
        self.listener.accept(Some(Duration::ZERO))
    }

    fn wait<'w, W: Waiting<TcpStream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let listeners = if accepting { self.listener.fds() } else { [-1; LISTENERS] };
        wait_for(&listeners, streams, timeout)
    }
}

/// Waits until one of `streams` is ready for what it waits for, or one of `listeners` for a
/// connection.
pub(super) fn wait_for<'w, W: Waiting<TcpStream> + 'w>(
    listeners: &[c_int],
    streams: impl Iterator<Item = &'w W> + Clone,
    timeout: Option<Duration>,
) -> Result<(), Error> {
    let mut sockets = [PollSocket::new(-1, 0); LISTENERS + STREAMS];
    let waiting = streams.filter_map(|stream| Some((stream, stream.interest()?)));
    let wanted = listeners.iter().map(|fd| PollSocket::new(*fd, PollSocket::READ));
    let wanted = wanted.chain(waiting.clone().map(|(_, (stream, interest))| {
        let read = if interest.readable { PollSocket::READ } else { 0 };
        let write = if interest.writable { PollSocket::WRITE } else { 0 };
        PollSocket::new(stream.fd(), read | write)
    }));
    let mut places = sockets.iter_mut();
    for socket in wanted {
        *places.next().ok_or(Error::TooManyToPoll)? = socket;
    }
    poll(&mut sockets, timeout)?;
    for ((stream, _), socket) in waiting.zip(sockets.iter().skip(listeners.len())) {
        stream.set_ready(Readiness {
            readable: socket.ready & PollSocket::READ != 0,
            writable: socket.ready & PollSocket::WRITE != 0,
        });
    }
    Ok(())
}
