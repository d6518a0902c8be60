// SPDX-License-Identifier: Apache-2.0
//! An echo server with many connections in one thread, on the core that does no I/O.
//!
//! All connections share one receive buffer, in which replies are made in place: a server's header
//! is shorter than the client's that it is written over. Of its own a connection has only the start
//! of a frame that has not arrived completely, and what its socket did not take.

#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zephyr_websocket::handshake::server::Handshake;
use zephyr_websocket::{Connection, MAX_HEADER_LEN, Opcode, Server, State};

const HELP: &str = "\
Echoes WebSocket messages, all connections in one thread.

Usage: poll_server [--port PORT]

  --port PORT  TCP port on all addresses of this machine, 0 for any [default: 9001]
  --help       print this";

/// The most that is received at once, and that is kept for a peer that does not read. Its memory
/// is touched as far as it is used; with an eighth, long messages take more processor time.
const BUFFER: usize = 2 * 1024 * 1024;
/// A longer payload is not moved to gather replies: to send it alone takes less time.
const MAX_MOVED: usize = 64 * 1024;
/// A longer head of a request is refused.
const MAX_HEAD: usize = 8 * 1024;
/// Free in front of what is received, for the header of a frame that goes on there.
const HEADROOM: usize = MAX_HEADER_LEN;

/// For the whole opening handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Without a sign of life before a Ping is sent, and again before the peer is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the last bytes to leave, and for the peer to end its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A socket, and what it did not take.
struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Socket {
    /// Sends as much of `bytes` as the socket takes, and keeps the rest.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend(&bytes[sent..]);
        Ok(())
    }

    /// Sends what was kept, and returns whether that is all.
    fn flush(&mut self) -> io::Result<bool> {
        let sent = self.write(&self.unsent)?;
        self.unsent.drain(..sent);
        let is_all = self.unsent.is_empty();
        if is_all {
            // Gives the memory back: most connections never need it.
            self.unsent = Vec::new();
        }
        Ok(is_all)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        would_block((&self.stream).write(bytes)).map(|count| count.unwrap_or(0))
    }

    /// `None` if nothing has arrived.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        would_block((&self.stream).read(buffer))
    }
}

/// The next event repeats what would have to wait, or was interrupted by a signal.
fn would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        result => result.map(Some),
    }
}

enum Phase {
    Opening(Handshake),
    Open(Connection<Server>),
    /// The last bytes are on their way.
    Closing,
    /// They have left. What arrives is dropped until the peer ends its side: closing before it
    /// has would reset the connection, and the last bytes could be lost.
    Draining,
}

struct Peer {
    socket: Socket,
    phase: Phase,
    /// What is not complete yet: the head of the request, a header, or a control frame.
    unread: Vec<u8>,
    deadline: Instant,
    /// A Ping was sent since the last sign of life.
    asked: bool,
}

impl Peer {
    fn new(stream: TcpStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            socket: Socket { stream, unsent: Vec::new() },
            phase: Phase::Opening(Handshake::new()),
            unread: Vec::new(),
            deadline: now + HANDSHAKE_TIMEOUT,
            asked: false,
        })
    }

    /// Whether it waits until the socket takes more, and otherwise for what arrives. As nothing is
    /// read meanwhile, TCP stops a peer that does not read, and `unsent` is never longer than the
    /// replies to one buffer.
    fn waits_to_send(&self) -> bool {
        !self.socket.unsent.is_empty()
    }

    /// Goes on because the socket is ready, or else because the deadline has passed, and returns
    /// whether the connection goes on.
    fn go_on(&mut self, ready: bool, buffer: &mut [u8], now: Instant) -> io::Result<bool> {
        let goes_on = if ready { self.transfer(buffer, now)? } else { self.time_out(now)? };
        if ready && matches!(self.phase, Phase::Open(_)) {
            self.deadline = now + IDLE_TIMEOUT;
            self.asked = false;
        }
        if matches!(self.phase, Phase::Closing) && !self.waits_to_send() {
            self.socket.stream.shutdown(Shutdown::Write)?;
            self.phase = Phase::Draining;
        }
        Ok(goes_on)
    }

    /// Sends what was kept, then receives once: so each connection gets its turn.
    fn transfer(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<bool> {
        if !self.socket.flush()? {
            return Ok(true);
        }
        let start = HEADROOM + self.unread.len();
        buffer[HEADROOM..start].copy_from_slice(&self.unread);
        let end = match self.socket.read(&mut buffer[start..])? {
            Some(0) => return Ok(false),
            Some(count) => start + count,
            None => return Ok(true),
        };
        let mut read = HEADROOM;
        if let Phase::Opening(handshake) = &mut self.phase
            && (handshake.read(&buffer[read..end]) || end > MAX_HEAD)
        {
            self.socket.send(handshake.respond().as_bytes())?;
            read += handshake.head_len();
            match handshake.verdict() {
                Ok(()) => self.phase = Phase::Open(Connection::new()),
                Err(_) => self.close(now),
            }
        }
        if let Phase::Open(connection) = &mut self.phase {
            read = echo(connection, &mut self.socket, buffer, read..end)?;
            if connection.state() == State::Closed {
                self.close(now);
            }
        }
        self.unread.clear();
        if let Phase::Opening(_) | Phase::Open(_) = self.phase {
            self.unread.extend(&buffer[read..end]);
        }
        Ok(true)
    }

    /// Ends the connection once everything has left.
    fn close(&mut self, now: Instant) {
        self.phase = Phase::Closing;
        self.deadline = now + CLOSE_TIMEOUT;
    }

    /// Acts on the deadline, and returns whether the connection goes on.
    fn time_out(&mut self, now: Instant) -> io::Result<bool> {
        match &mut self.phase {
            Phase::Opening(handshake) => {
                handshake.time_out();
                self.socket.send(handshake.respond().as_bytes())?;
                self.close(now);
            }
            Phase::Open(connection) if !self.asked && self.socket.unsent.is_empty() => {
                let mut header = [0; MAX_HEADER_LEN];
                let ping = connection.send(Opcode::Ping, true, 0, (), &mut header);
                self.socket.send(ping.map_err(io::Error::other)?)?;
                self.deadline = now + IDLE_TIMEOUT;
                self.asked = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Answers the frames that are `received` in `buffer`, and returns where the first one begins that
/// is not complete. The replies gather in front of it, and leave together.
fn echo(
    connection: &mut Connection<Server>,
    socket: &mut Socket,
    buffer: &mut [u8],
    mut received: Range<usize>,
) -> io::Result<usize> {
    let mut replies = 0..0;
    let mut header = [0; MAX_HEADER_LEN];
    loop {
        let mut input = &mut buffer[received.clone()];
        let frame = connection.receive(&mut input);
        received.start = received.end - input.len();
        let (opcode, fin, len) = match frame {
            Ok(None) => break,
            Ok(Some(frame)) => match frame.opcode {
                Opcode::Pong => continue,
                Opcode::Ping => (Opcode::Pong, true, frame.payload.len()),
                opcode => (opcode, frame.fin, frame.payload.len()),
            },
            Err(error) => {
                let code = error.close_code().to_be_bytes();
                let header = connection.send(Opcode::Close, true, code.len(), (), &mut header);
                socket.send(&buffer[replies])?;
                socket.send(&[header.map_err(io::Error::other)?, &code].concat())?;
                return Ok(received.end);
            }
        };
        let header = connection.send(opcode, fin, len, (), &mut header);
        let header = header.map_err(io::Error::other)?;
        let payload = received.start - len..received.start;
        if replies.is_empty() || len > MAX_MOVED {
            socket.send(&buffer[replies])?;
            // This payload is right where it is.
            replies = payload.start - header.len()..payload.start - header.len();
        }
        let place = replies.end + header.len();
        buffer[replies.end..place].copy_from_slice(header);
        if place != payload.start {
            buffer.copy_within(payload, place);
        }
        replies.end = place + len;
    }
    socket.send(&buffer[replies])?;
    Ok(received.start)
}

#[cfg(target_os = "linux")]
mod poll {
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::buffer::spare_capacity;
    use rustix::event::Timespec;
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use rustix::io::Errno;

    use super::*;

    /// How late a deadline is acted on at the most.
    const TICK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    struct Peers {
        epoll: OwnedFd,
        /// The place of each is its descriptor, which is always the lowest number that is free.
        by_descriptor: Vec<Option<Peer>>,
        buffer: Vec<u8>,
    }

    /// Serves all connections of `listener`; fails only when epoll does.
    pub fn serve(listener: &TcpListener) -> io::Result<()> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Told once: with no descriptor left, a connection that waits would be told for ever.
        epoll::add(&epoll, listener, data(listener), EventFlags::IN | EventFlags::ET)?;
        listener.set_nonblocking(true)?;
        let buffer = vec![0; HEADROOM + BUFFER];
        let mut peers = Peers { epoll, by_descriptor: Vec::new(), buffer };
        let mut events = Vec::with_capacity(256);
        let mut last_tick = Instant::now();
        loop {
            match epoll::wait(&peers.epoll, spare_capacity(&mut events), Some(&TICK)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let now = Instant::now();
            for event in events.drain(..) {
                let data = event.data;
                if data == self::data(listener) {
                    peers.accept(listener, now);
                } else {
                    peers.go_on(data.u64() as usize, true, now);
                }
            }
            if now.duration_since(last_tick).as_secs() >= TICK.tv_sec as u64 {
                last_tick = now;
                peers.accept(listener, now);
                for at in 0..peers.by_descriptor.len() {
                    let peer = peers.by_descriptor[at].as_ref();
                    if peer.is_some_and(|peer| peer.deadline <= now) {
                        peers.go_on(at, false, now);
                    }
                }
            }
        }
    }

    fn data(socket: &impl AsRawFd) -> EventData {
        EventData::new_u64(socket.as_raw_fd() as u64)
    }

    fn interest(peer: &Peer) -> EventFlags {
        if peer.waits_to_send() { EventFlags::OUT } else { EventFlags::IN }
    }

    impl Peers {
        fn accept(&mut self, listener: &TcpListener, now: Instant) {
            loop {
                let added = listener.accept().and_then(|(stream, _)| {
                    let peer = Peer::new(stream, now)?;
                    let stream = &peer.socket.stream;
                    let at = stream.as_raw_fd() as usize;
                    epoll::add(&self.epoll, stream, data(stream), interest(&peer))?;
                    if at >= self.by_descriptor.len() {
                        self.by_descriptor.resize_with(at + 1, || None);
                    }
                    self.by_descriptor[at] = Some(peer);
                    Ok(())
                });
                match added {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                    // Such as too many open files: the next tick tries again.
                    Err(error) => return eprintln!("accept: {error}"),
                }
            }
        }

        fn go_on(&mut self, at: usize, ready: bool, now: Instant) {
            let Some(Some(peer)) = self.by_descriptor.get_mut(at) else { return };
            let before = interest(peer);
            let result = peer.go_on(ready, &mut self.buffer, now).and_then(|goes_on| {
                let stream = &peer.socket.stream;
                if goes_on && interest(peer) != before {
                    epoll::modify(&self.epoll, stream, data(stream), interest(peer))?;
                }
                Ok(goes_on)
            });
            if let Err(error) = &result {
                eprintln!("connection {at}: {error}");
            }
            if !matches!(result, Ok(true)) {
                // Closes it, which ends its registration.
                self.by_descriptor[at] = None;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod poll {
    pub fn serve(_: &super::TcpListener) -> super::io::Result<()> {
        Err(super::io::Error::other("only Linux has epoll"))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(9001),
        ["--port", port] => port.parse().ok(),
        ["--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    match listen(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poll_server: port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(port: u16) -> io::Result<()> {
    // One socket for IPv6 and IPv4 where the system has both.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    println!("listening on http://localhost:{}/", listener.local_addr()?.port());
    poll::serve(&listener)
}
