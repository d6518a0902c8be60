// SPDX-License-Identifier: Apache-2.0
//! The PC's TCP for a hub.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::TcpTransport;
use crate::hub::{Network, Readiness, Waiting};

/// A listening socket of the operating system, whose connections a [`Hub`](crate::hub::Hub)
/// serves.
#[derive(Debug)]
pub struct TcpNetwork {
    listener: TcpListener,
    started: Instant,
}

impl TcpNetwork {
    /// Listens on the first of `addresses` where that is possible.
    ///
    /// # Errors
    /// That of the last address.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(TcpListener::bind(addresses)?)
    }

    /// Takes over a listening socket.
    ///
    /// # Errors
    /// The socket's options could not be set.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, started: Instant::now() })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// That of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Network for TcpNetwork {
    type Stream = TcpTransport;

    fn now_ms(&mut self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn accept(&mut self) -> io::Result<TcpTransport> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return TcpTransport::new(stream),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                    // A peer that has gone again is no failure of the listener.
                    ErrorKind::ConnectionAborted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    fn wait<'w, W: Waiting<TcpTransport> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let waiting = streams.filter_map(|stream| Some((stream, stream.interest()?)));
        let mut sockets: Vec<PollFd<'_>> = Vec::new();
        for (_, (stream, interest)) in waiting.clone() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.readable);
            flags.set(PollFlags::OUT, interest.writable);
            sockets.push(PollFd::new(stream.stream(), flags));
        }
        if accepting {
            sockets.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        // A timeout that is too long to be counted never comes either. One that is not whole would
        // pass too early.
        let timeout = timeout.map(|timeout| timeout.saturating_add(Duration::from_micros(1)));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut sockets, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // What has failed is found out by reading or writing.
        let failed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        let mut found = sockets.iter();
        for (stream, (_, interest)) in waiting {
            let Some(flags) = found.next().map(PollFd::revents) else { break };
            stream.set_ready(Readiness {
                readable: interest.readable && flags.intersects(PollFlags::IN | failed),
                writable: interest.writable && flags.intersects(PollFlags::OUT | failed),
            });
        }
        Ok(())
    }
}
