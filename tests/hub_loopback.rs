// SPDX-License-Identifier: Apache-2.0
//! A server for many connections in one thread, over real TCP on the loopback interface.

#![cfg(unix)]

#[path = "support/server.rs"]
mod server;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use server::{HubServer, WATCHDOG, rest};
use support::*;
use zephyr_websocket::hub::{Settings, Timeouts};

/// Timeouts that no test reaches.
fn patient() -> Settings {
    let timeouts = Timeouts {
        opening_handshake: WATCHDOG,
        ping: None,
        pong: WATCHDOG,
        idle: None,
        send: WATCHDOG,
        closing_handshake: WATCHDOG,
    };
    Settings { timeouts, ..Settings::default() }
}

/// Sends `message` and reads its echo, which may come in fragments.
fn assert_echoes(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&masked(FIN | BINARY, message)).unwrap();
    let (mut bytes, mut echo) = (Vec::new(), Vec::new());
    loop {
        while let Some((frame, len)) = first_frame(&bytes) {
            bytes.drain(..len);
            echo.extend(frame.payload);
            if frame.first & FIN != 0 {
                assert!(echo == message);
                return;
            }
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the server has gone");
        bytes.extend(&piece[..count]);
    }
}

/// No peer delays another; what a slow one is owed waits with TCP, not in the server.
#[test]
fn a_peer_that_does_not_read_delays_nobody_and_loses_nothing() {
    let server = HubServer::start(4, 1024, patient());
    let mut slow = server.open();
    let mut writer = slow.try_clone().unwrap();
    let message: Vec<u8> = (0..16_000_000u32).map(|at| (at * 7) as u8).collect();
    let sent = message.clone();
    // More than the buffers of both sockets hold, so that it waits for the echo to be read.
    let writing = thread::spawn(move || {
        writer.write_all(&masked(FIN | BINARY, &sent)).unwrap();
        writer.write_all(&masked(CLOSE, &close_payload(1000, ""))).unwrap();
    });
    let mut fast = [server.open(), server.open()];
    for round in 0..200 {
        for stream in &mut fast {
            assert_echoes(stream, &message[..round * 20]);
        }
    }
    assert!(!writing.is_finished(), "the sockets' buffers took it all");
    let mut echo = Vec::new();
    slow.read_to_end(&mut echo).unwrap();
    writing.join().unwrap();
    let mut rest = &echo[..];
    let mut at = 0;
    while let Some((frame, len)) = first_frame(rest) {
        rest = &rest[len..];
        if frame.first == CLOSE {
            break;
        }
        assert!(message[at..].starts_with(&frame.payload));
        at += frame.payload.len();
    }
    assert_eq!((at, rest.len()), (message.len(), 0));
    server.assert_serves();
}

#[test]
fn a_peer_that_resets_ends_only_its_own_connection() {
    let server = HubServer::start(4, 1024, patient());
    let mut other = server.open();
    for taken in [0, 1, 50, 99] {
        let mut stream = server.open();
        stream.write_all(&masked(FIN | BINARY, &[b'x'; 100])[..6 + taken]).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_echoes(&mut other, b"untouched");
    }
    server.assert_serves();
}

/// The answer is not lost to a reset, though the request was never read.
#[test]
fn a_peer_of_a_full_server_reads_503_and_when_to_come_again() {
    let server = HubServer::start(1, 1024, patient());
    let mut first = server.open();
    for _ in 0..20 {
        let mut stream = server.dial();
        // It may have been answered already.
        let _ = stream.write_all(&request());
        let answer = String::from_utf8(rest(stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
        assert_echoes(&mut first, b"untouched");
    }
    first.write_all(&masked(CLOSE, b"")).unwrap();
    assert_eq!(rest(first), unmasked(CLOSE, b""));
    server.assert_serves();
}

/// RFC 6455 section 7.1.5, but what was asked before is still answered.
#[test]
fn a_peer_that_ends_only_its_side_still_reads_all_its_echoes() {
    let server = HubServer::start(2, 1024, patient());
    let message: Vec<u8> = (0..500_000u32).map(|at| (at * 3) as u8).collect();
    let stream = server.open();
    let mut writer = stream.try_clone().unwrap();
    let sent = message.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&masked(FIN | BINARY, &sent)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let echo: Vec<u8> =
        contents(&rest(stream)).into_iter().flat_map(|(_, payload)| payload).collect();
    assert!(echo == message);
    writing.join().unwrap();
    server.assert_serves();
}

/// Life cycle: a stop that blocks for 90 s (esp-protocols PR 729).
#[test]
fn a_server_that_stops_says_so_to_all_and_does_not_wait_for_ever() {
    let server = HubServer::start(3, 1024, patient());
    let mut clean = server.open();
    let silent = server.open();
    let mut opening = server.dial();
    opening.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // So that it has been accepted, too.
    server.assert_full();
    server.stop();
    let goodbye = unmasked(CLOSE, &close_payload(1001, ""));
    let mut close = vec![0; goodbye.len()];
    clean.read_exact(&mut close).unwrap();
    assert_eq!(close, goodbye);
    clean.write_all(&masked(CLOSE, &close_payload(1001, ""))).unwrap();
    assert_eq!(rest(clean), b"");
    assert_eq!(rest(silent), goodbye);
    assert!(rest(opening).starts_with(b"HTTP/1.1 503 "));
    drop(server);
}

/// As many as there are slots, again and again.
#[test]
fn every_slot_is_used_again() {
    let server = HubServer::start(8, 512, patient());
    for round in 0..10 {
        let mut streams: Vec<_> = (0..8).map(|_| server.open()).collect();
        for stream in &mut streams {
            assert_echoes(stream, &[round; 2000]);
        }
        for stream in &mut streams {
            stream.write_all(&masked(CLOSE, b"")).unwrap();
        }
        for stream in streams {
            assert_eq!(rest(stream), unmasked(CLOSE, b""));
        }
    }
}
