// SPDX-License-Identifier: Apache-2.0
//! Zephyr's sockets, entropy and configuration as the library sees them, with both ends of each
//! connection in this image. With CONFIG_SAMPLE_TLS the connections are over TLS.

#![no_std]

#[cfg(CONFIG_SAMPLE_TLS)]
mod tls;

use core::time::Duration;

use embedded_io::{Read, Write};
use log::{error, info};
use zephyr::kconfig::CONFIG_ZVFS_POLL_MAX;
use zephyr::printkln;
use zephyr_websocket::zephyr::{
    Csprng, Error, Keepalive, PollSocket, TcpListener, TcpStream, config, poll, uptime_ms,
};
use zephyr_websocket::{Entropy, Transport};

const HOST: &core::ffi::CStr = c"127.0.0.1";
const SOON: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_secs(5);

/// What did not hold.
struct Failed(&'static str);

type Checked = Result<(), Failed>;
type Check = fn() -> Checked;

fn check(holds: bool, what: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(Failed(what)) }
}

/// The value, or which call failed.
fn ok<T>(result: Result<T, Error>, what: &'static str) -> Result<T, Failed> {
    result.map_err(|error| {
        error!("{}", error);
        Failed(what)
    })
}

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    #[cfg(CONFIG_SAMPLE_TLS)]
    if let Err(Failed(what)) = tls::begin() {
        return error!("FAILED: {}", what);
    }
    let checks: [(&str, Check); 16] = [
        ("Kconfig reaches the application", configuration),
        ("entropy differs from call to call", entropy),
        ("a closed port refuses", closed_port),
        ("a name that does not exist is not resolved", unknown_name),
        ("every address of a host is tried in turn", several_addresses),
        ("a port in use is told", port_in_use),
        ("deadlines of accept and read are kept", deadlines),
        ("a gathered write arrives in order", gathered_write),
        ("a peer that does not read holds nobody up", silent_peer),
        ("options can be set, and the state asked", options_and_state),
        ("a descriptor that nobody has is an error", foreign_descriptor),
        ("the end of the peer is the end of the stream", end_of_stream),
        ("an accept that never waits finds what is there", accept_at_once),
        ("poll tells who is ready for what", poll_sockets),
        ("poll refuses more than it can watch", poll_too_many),
        // Last: the simulator does not count the time that it computes, and lets waits after it be
        // over sooner to catch up.
        ("interrupted writes go on where they stopped", interrupted_writes),
    ];
    for (name, run) in checks {
        match run() {
            Ok(()) => info!("ok: {}", name),
            Err(Failed(what)) => return error!("FAILED: {}: {}", name, what),
        }
    }
    #[cfg(CONFIG_SAMPLE_TLS)]
    match tls::mistakes() {
        Ok(()) => info!("ok: mistakes with TLS are told"),
        Err(Failed(what)) => return error!("FAILED: mistakes with TLS are told: {}", what),
    }
    printkln!("all checks passed");
}

fn configuration() -> Checked {
    check(config::RX_BUFFER_SIZE == 2222, "a size from prj.conf")?;
    check(config::CLOSE_TIMEOUT == Duration::from_millis(1234), "a time from prj.conf")?;
    check(config::TX_BUFFER_SIZE >= 192, "a default within its range")
}

fn entropy() -> Checked {
    let mut samples = [[0; 16]; 2];
    for sample in &mut samples {
        check(Csprng.fill(sample).is_ok(), "fill")?;
    }
    check(samples[0] != samples[1] && samples[0] != [0; 16], "two samples")
}

fn closed_port() -> Checked {
    let listener = ok(TcpListener::bind(0), "bind")?;
    let port = listener.local_port();
    drop(listener);
    let refused = TcpStream::connect(HOST, port, LATER).err();
    check(refused == Some(Error::Refused), "connect")
}

fn unknown_name() -> Checked {
    let unknown = TcpStream::connect(c"no-such-host.invalid", 80, LATER).err();
    check(matches!(unknown, Some(Error::Resolve(_))), "connect")
}

/// resolver.c knows this host: its last address is the one here.
fn several_addresses() -> Checked {
    const SEVERAL: &core::ffi::CStr = c"several.test";
    let listener = ok(TcpListener::bind(0), "bind")?;
    let port = listener.local_port();
    let stream = ok(TcpStream::connect(SEVERAL, port, LATER), "connect")?;
    drop((stream, ok(listener.accept(Some(LATER)), "accept")?));
    drop(listener);
    let refused = TcpStream::connect(SEVERAL, port, LATER).err();
    check(refused == Some(Error::Refused), "the error of the last address")
}

fn port_in_use() -> Checked {
    let listener = ok(TcpListener::bind(0), "bind")?;
    check(listener.local_port() != 0, "the port that was chosen")?;
    let again = TcpListener::bind(listener.local_port()).err();
    check(again == Some(Error::AddressInUse), "bind again")
}

/// Both ends of a connection.
fn pair() -> Result<(TcpStream, TcpStream), Failed> {
    let (mut near, mut far) = connected()?;
    near.set_deadline(Some(LATER));
    far.set_deadline(Some(LATER));
    Ok((near, far))
}

#[cfg(CONFIG_SAMPLE_TLS)]
use tls::pair as connected;

#[cfg(not(CONFIG_SAMPLE_TLS))]
fn connected() -> Result<(TcpStream, TcpStream), Failed> {
    let listener = ok(TcpListener::bind(0), "bind")?;
    let near = ok(TcpStream::connect(HOST, listener.local_port(), LATER), "connect")?;
    let far = ok(listener.accept(Some(LATER)), "accept")?;
    Ok((near, far))
}

fn deadlines() -> Checked {
    let listener = ok(TcpListener::bind(0), "bind")?;
    let start = uptime_ms();
    check(listener.accept(Some(SOON)).err() == Some(Error::TimedOut), "accept")?;
    check(uptime_ms() - start >= 50, "accept gave up too early")?;
    let (mut near, _far) = pair()?;
    let mut byte = [0];
    near.set_deadline(Some(SOON));
    let start = uptime_ms();
    check(near.read(&mut byte) == Err(Error::TimedOut), "read")?;
    check(uptime_ms() - start >= 50, "read gave up too early")?;
    near.set_deadline(Some(Duration::ZERO));
    check(near.read(&mut byte) == Err(Error::TimedOut), "read that never waits")
}

fn read_exact(stream: &mut TcpStream, buffer: &mut [u8]) -> Checked {
    let mut len = 0;
    while len < buffer.len() {
        let count = ok(stream.read(&mut buffer[len..]), "read")?;
        check(count > 0, "the stream ended")?;
        len += count;
    }
    Ok(())
}

fn gathered_write() -> Checked {
    let (mut near, mut far) = pair()?;
    check(ok(near.write_gather(b"head ", b"payload"), "write_gather")? == 12, "one call")?;
    check(ok(near.write_gather(b"", b"!"), "write_gather")? == 1, "without a head")?;
    check(ok(near.write_now(b"?"), "write_now")? == 1, "at once")?;
    let mut buffer = [0; 14];
    read_exact(&mut far, &mut buffer)?;
    check(&buffer == b"head payload!?", "what arrived")?;
    let writable = ok(far.read_or_writable(&mut buffer), "read_or_writable")?;
    check(writable.is_none(), "a stream with room and nothing to read")?;
    ok(near.write(b"x"), "write")?;
    check(ok(far.read(&mut buffer), "read")? == 1, "one byte")
}

fn silent_peer() -> Checked {
    let (mut near, mut far) = pair()?;
    near.set_deadline(Some(Duration::from_millis(200)));
    let block = [0x5A; 4096];
    let mut sent = 0usize;
    for write in [TcpStream::write, TcpStream::write_now] {
        let error = loop {
            match write(&mut near, &block) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
        };
        check(error == Error::TimedOut, "write")?;
    }
    near.set_deadline(Some(SOON));
    let mut buffer = [0; 4096];
    check(near.read_or_writable(&mut buffer) == Err(Error::TimedOut), "neither")?;
    // Not a byte is lost or doubled by a write that timed out.
    far.set_deadline(Some(Duration::from_millis(200)));
    let mut received = 0usize;
    while let Ok(count) = far.read(&mut buffer) {
        check(buffer[..count].iter().all(|byte| *byte == 0x5A), "what arrived")?;
        received += count;
    }
    check(received == sent, "how much arrived")
}

/// Byte number `position` of a stream that repeats itself nowhere near.
fn pattern(position: usize) -> u8 {
    (position ^ position >> 8 ^ position >> 16) as u8
}

/// Reads all that has arrived, from byte number `received` on.
fn read_pattern(stream: &mut TcpStream, received: &mut usize) -> Checked {
    let mut buffer = [0; 1000];
    loop {
        match stream.read(&mut buffer) {
            Ok(count) => {
                check(count > 0, "the stream ended")?;
                let mut bytes = buffer[..count].iter().zip(*received..);
                check(bytes.all(|(byte, position)| *byte == pattern(position)), "a byte")?;
                *received += count;
            }
            Err(error) => return check(error == Error::TimedOut, "read"),
        }
    }
}

/// Whatever its length, a write that finds no room has taken nothing, or what it says.
fn interrupted_writes() -> Checked {
    let (mut near, mut far) = pair()?;
    far.set_deadline(Some(Duration::from_millis(20)));
    let (mut sent, mut received, mut interrupted) = (0, 0, 0);
    let mut buffer = [0; 4100];
    for (header, len) in [(0, 4096), (0, 131), (4, 300), (14, 117)] {
        // Fills the way to the peer.
        for at_once in [false, true] {
            near.set_deadline(Some(Duration::ZERO));
            loop {
                for (byte, position) in buffer.iter_mut().zip(sent..) {
                    *byte = pattern(position);
                }
                let (head, payload) = buffer[..header + len].split_at(header);
                let result = if at_once && header == 0 {
                    near.write_now(payload)
                } else {
                    near.write_gather(head, payload)
                };
                match result {
                    Ok(count) => sent += count,
                    Err(error) => {
                        check(error == Error::TimedOut, "write")?;
                        break;
                    }
                }
            }
            interrupted += 1;
            check(near.write_now(&buffer[..header + len]) == Err(Error::TimedOut), "again")?;
            read_pattern(&mut far, &mut received)?;
        }
        // What was begun is completed with the same length.
        near.set_deadline(Some(LATER));
        for (byte, position) in buffer.iter_mut().zip(sent..) {
            *byte = pattern(position);
        }
        sent += ok(near.write(&buffer[..header + len]), "write")?;
    }
    while received < sent {
        let before = received;
        read_pattern(&mut far, &mut received)?;
        check(received > before, "what was sent arrives")?;
    }
    check(received == sent && interrupted == 8, "how much arrived")
}

fn options_and_state() -> Checked {
    let (near, far) = pair()?;
    check(near.is_connected() && far.is_connected(), "connected")?;
    ok(near.set_nodelay(false), "nodelay off")?;
    ok(near.set_nodelay(true), "nodelay on")?;
    let idle = Duration::from_millis(1500);
    let keepalive = Keepalive { idle, interval: Duration::from_secs(1), count: 3 };
    ok(near.set_keepalive(Some(keepalive)), "keepalive on")?;
    ok(near.set_keepalive(None), "keepalive off")?;
    check(config::KEEPALIVE.is_none(), "keepalive is off by default")?;
    // The PC's sockets cannot tell; Zephyr's own can.
    check(near.peer_addr() == Err(Error::Unsupported), "the peer's address")
}

/// Whoever makes a stream of it, nothing outside of Zephyr's table is looked at.
fn foreign_descriptor() -> Checked {
    for fd in [1_000_000, i32::MAX] {
        let mut stream = TcpStream::from_fd(fd);
        stream.set_deadline(Some(SOON));
        check(!stream.is_connected(), "its state")?;
        let mut buffer = [0; 1];
        check(stream.read(&mut buffer).is_err(), "read")?;
        check(stream.write(&buffer).is_err(), "write")?;
    }
    Ok(())
}

fn end_of_stream() -> Checked {
    let (mut near, mut far) = pair()?;
    ok(near.write(b"bye"), "write")?;
    drop(near);
    let mut buffer = [0; 3];
    read_exact(&mut far, &mut buffer)?;
    check(ok(far.read(&mut buffer), "read")? == 0, "read at the end")
}

fn accept_at_once() -> Checked {
    let listener = ok(TcpListener::bind(0), "bind")?;
    check(listener.accept(Some(Duration::ZERO)).err() == Some(Error::TimedOut), "nobody there")?;
    let _near = ok(TcpStream::connect(HOST, listener.local_port(), LATER), "connect")?;
    let [first, second] = listener.fds();
    let mut sockets = [first, second].map(|fd| PollSocket::new(fd, PollSocket::READ));
    check(ok(poll(&mut sockets, Some(LATER)), "poll")? == 1, "one listener is ready")?;
    ok(listener.accept(Some(Duration::ZERO)), "accept").map(drop)
}

fn poll_sockets() -> Checked {
    const BOTH: u8 = PollSocket::READ | PollSocket::WRITE;
    let (mut near, mut far) = pair()?;
    let mut sockets = [
        PollSocket::new(-1, BOTH),
        PollSocket::new(near.fd(), 0),
        PollSocket::new(far.fd(), PollSocket::READ),
    ];
    let start = uptime_ms();
    check(ok(poll(&mut sockets, Some(SOON)), "poll")? == 0, "nothing is ready")?;
    check(uptime_ms() - start >= 50, "poll gave up too early")?;
    ok(near.write(b"x"), "write")?;
    check(ok(poll(&mut sockets, None), "poll")? == 1, "one byte")?;
    check(sockets.map(|socket| socket.ready) == [0, 0, PollSocket::READ], "who has it")?;
    check(ok(poll(&mut sockets, Some(Duration::ZERO)), "poll")? == 1, "at once")?;
    check(ok(far.read(&mut [0; 8]), "read")? == 1, "read")?;
    sockets[1].interest = BOTH;
    sockets[2].interest = BOTH;
    check(ok(poll(&mut sockets, Some(LATER)), "poll")? == 2, "both")?;
    let expected = [0, PollSocket::WRITE, PollSocket::WRITE];
    check(sockets.map(|socket| socket.ready) == expected, "for what")?;
    // The end of the stream is something to read too.
    drop(near);
    let mut last = [PollSocket::new(far.fd(), PollSocket::READ)];
    check(ok(poll(&mut last, Some(LATER)), "poll")? == 1, "the end")?;
    check(last[0].ready == PollSocket::READ, "for reading")
}

fn poll_too_many() -> Checked {
    let listener = ok(TcpListener::bind(0), "bind")?;
    let [first, second] = listener.fds();
    let fd = first.max(second);
    let mut sockets = [PollSocket::new(fd, PollSocket::READ); CONFIG_ZVFS_POLL_MAX as usize + 1];
    check(poll(&mut sockets, Some(SOON)) == Err(Error::TooManyToPoll), "one more")?;
    // What is not watched does not count.
    for socket in &mut sockets[1..] {
        socket.interest = 0;
    }
    check(poll(&mut sockets, Some(SOON)) == Ok(0), "one of them")
}
