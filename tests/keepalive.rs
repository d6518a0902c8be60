// SPDX-License-Identifier: Apache-2.0
//! Pings, their timeout and the timeout of a connection that is not used (RFC 6455 sections 5.5.2
//! and 5.5.3), on a clock that a test moves.

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use support::*;
use zephyr_websocket::{
    CloseCode, Due, Error, Event, Keepalive, KeepaliveTimeout, MIN_RX_BUFFER, MIN_TX_BUFFER,
    MessageKind, Server, Transport, WebSocket,
};

const INTERVAL: Duration = Duration::from_millis(20_000);
const TIMEOUT: Duration = Duration::from_millis(5_000);

/// Bytes come and are taken at their times; waiting moves the clock.
#[derive(Default)]
struct World {
    now: u64,
    deadline: Option<u64>,
    arrivals: VecDeque<(u64, Vec<u8>)>,
    /// From when on so many more bytes are taken.
    room: VecDeque<(u64, usize)>,
    /// With the time at which it was written.
    output: Vec<(u64, Vec<u8>)>,
}

impl World {
    /// Moves on to `at`, or to the deadline if that is earlier.
    fn wait(&mut self, at: Option<u64>) -> Result<(), ErrorKind> {
        let at = at.map(|at| at.max(self.now));
        match (at, self.deadline) {
            (Some(at), deadline)
                if deadline.is_none_or(|deadline| at <= deadline.max(self.now)) =>
            {
                self.now = at;
                Ok(())
            }
            (_, Some(deadline)) => {
                self.now = deadline.max(self.now);
                Err(ErrorKind::TimedOut)
            }
            _ => panic!("this waits for ever"),
        }
    }
}

#[derive(Clone, Default)]
struct Wire(Rc<RefCell<World>>);

impl Wire {
    fn at(now: u64) -> Self {
        let wire = Self::default();
        wire.0.borrow_mut().now = now;
        wire.room(0, usize::MAX);
        wire
    }

    fn now(&self) -> u64 {
        self.0.borrow().now
    }

    fn arrive(&self, at: u64, bytes: Vec<u8>) {
        self.0.borrow_mut().arrivals.push_back((at, bytes));
    }

    fn room(&self, at: u64, count: usize) {
        self.0.borrow_mut().room.push_back((at, count));
    }

    fn written(&self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.0.borrow_mut().output)
    }
}

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let world = &mut *self.0.borrow_mut();
        let at = world.arrivals.front().map(|(at, _)| *at);
        world.wait(at)?;
        let (_, bytes) = &mut world.arrivals[0];
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        bytes.drain(..count);
        if bytes.is_empty() {
            world.arrivals.pop_front();
        }
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let world = &mut *self.0.borrow_mut();
        let at = world.room.front().map(|(at, _)| *at);
        world.wait(at)?;
        let (_, room) = &mut world.room[0];
        let count = bytes.len().min(*room);
        *room -= count;
        if *room == 0 {
            world.room.pop_front();
        }
        world.output.push((world.now, bytes[..count].to_vec()));
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Transport for Wire {
    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let deadline = self.0.borrow_mut().deadline.replace(0);
        let result = self.write(bytes);
        self.0.borrow_mut().deadline = deadline;
        result
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        let world = &mut *self.0.borrow_mut();
        world.deadline = after.map(|after| world.now + after.as_millis() as u64);
    }

    fn shutdown(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn with_server(wire: &Wire, test: impl FnOnce(&mut WebSocket<'_, Wire, Server>)) {
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    test(&mut WebSocket::new(wire.clone(), Server, &mut rx, &mut tx).unwrap());
}

fn pinging(wire: &Wire) -> Keepalive {
    Keepalive::new(wire.now()).with_ping(INTERVAL, TIMEOUT)
}

#[track_caller]
fn assert_gives_up<T: std::fmt::Debug>(
    result: Result<T, Error<ErrorKind>>,
    expected: KeepaliveTimeout,
) {
    assert!(matches!(result, Err(Error::Keepalive(timeout)) if timeout == expected), "{result:?}");
}

/// Also 50 days after the start, where 32 bits of milliseconds wrap around.
#[test]
fn a_silent_peer_is_asked_once_and_given_up() {
    for start in [0, 1_000, u64::from(u32::MAX) - 21_000, u64::from(u32::MAX), u64::MAX >> 20] {
        let wire = Wire::at(start);
        with_server(&wire, |websocket| {
            let mut keepalive = pinging(&wire);
            let result = keepalive.receive(websocket, || wire.now()).map(drop);
            assert_gives_up(result, KeepaliveTimeout::Pong);
            assert_eq!(wire.now() - start, 25_000);
            assert_eq!(wire.written(), [(start + 20_000, unmasked(PING, b""))]);
        });
    }
}

#[test]
fn a_peer_that_answers_stays_for_ever() {
    let wire = Wire::at(0);
    for round in 1..=1_000 {
        wire.arrive(round * 24_000, masked(PONG, b""));
    }
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        for round in 1..=1_000 {
            let (event, _) = keepalive.receive(websocket, || wire.now()).unwrap();
            assert_eq!((event, wire.now()), (Event::Pong(b""), round * 24_000));
        }
        assert_eq!(wire.written().len(), 1_000);
        assert_gives_up(
            keepalive.receive(websocket, || wire.now()).map(drop),
            KeepaliveTimeout::Pong,
        );
    });
}

/// Data in flight is a sign of life too, and so is each byte of a frame that is not complete.
#[test]
fn whatever_arrives_is_a_sign_of_life() {
    let wire = Wire::at(0);
    let mut at = 0;
    for byte in masked(PING, b"byte by byte") {
        at += 24_000;
        wire.arrive(at, vec![byte]);
    }
    for _ in 0..5 {
        at += 19_000;
        wire.arrive(at, masked(TEXT, b"piece")[..].to_vec());
        wire.arrive(at, masked(CONTINUATION | FIN, b"")[..].to_vec());
    }
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        let (event, _) = keepalive.receive(websocket, || wire.now()).unwrap();
        assert_eq!(event, Event::Ping(b"byte by byte"));
        wire.written();
        for _ in 0..10 {
            let (event, _) = keepalive.receive(websocket, || wire.now()).unwrap();
            assert!(matches!(event, Event::Data { .. }));
        }
        assert_eq!((wire.now(), wire.written()), (at, vec![]));
    });
}

#[test]
fn what_has_arrived_meanwhile_counts() {
    let wire = Wire::at(0);
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire).with_idle_timeout(INTERVAL);
        keepalive.pinged(20_000);
        wire.0.borrow_mut().now = 1_000_000;
        wire.arrive(21_000, masked(FIN | TEXT, b"in time"));
        let (event, _) = keepalive.receive(websocket, || wire.now()).unwrap();
        assert!(matches!(event, Event::Data { .. }));
        assert_eq!(keepalive.due(1_000_000), Ok(Due::Wait(Some(INTERVAL))));
    });
}

#[test]
fn control_frames_are_no_use_of_a_connection() {
    let wire = Wire::at(7);
    for round in 1..=9 {
        wire.arrive(round * 10_000, masked(if round % 2 == 0 { PING } else { PONG }, b""));
    }
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire).with_idle_timeout(Duration::from_millis(60_000));
        let mut answer = || keepalive.receive(websocket, || wire.now()).map(|_| ());
        for _ in 1..=6 {
            answer().unwrap();
        }
        let error = answer().unwrap_err();
        assert_eq!((error, wire.now()), (Error::Keepalive(KeepaliveTimeout::Idle), 60_007));
        assert_eq!(error.close_code(), Some(CloseCode::GOING_AWAY));
        // Sending is use.
        keepalive
            .send_fragment(websocket.sender(), MessageKind::Text, b"used", true, || wire.now())
            .unwrap();
        keepalive.receive(websocket, || wire.now()).map(drop).unwrap();
    });
}

/// Control frames: pings that kill a healthy link during a large transfer (civetweb 1406).
#[test]
fn a_long_transfer_lives_as_long_as_the_peer_takes_bytes() {
    let wire = Wire::at(0);
    wire.0.borrow_mut().room = (0..100).map(|round| (round * 9_000, 1_000)).collect();
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        let payload = vec![1; 90_000];
        let send = |keepalive: &mut Keepalive, websocket: &mut WebSocket<'_, Wire, Server>| {
            let now = || wire.now();
            keepalive.send_fragment(websocket.sender(), MessageKind::Binary, &payload, true, now)
        };
        // Nine seconds are more than the timeout: it takes nothing for too long.
        assert_gives_up(send(&mut keepalive, websocket), KeepaliveTimeout::Pong);
    });

    let wire = Wire::at(0);
    wire.0.borrow_mut().room = (0..100).map(|round| (round * 4_000, 1_000)).collect();
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        let now = || wire.now();
        let payload = vec![1; 90_000];
        keepalive
            .send_fragment(websocket.sender(), MessageKind::Binary, &payload, true, now)
            .unwrap();
        assert_eq!(now(), 360_000);
        assert_eq!(keepalive.due(now()), Ok(Due::Wait(Some(INTERVAL))));
        let written: Vec<u8> = wire.written().into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert!(written == unmasked(FIN | BINARY, &payload));
    });
}

/// Bytes that only fill the network's buffers say nothing of the peer.
#[test]
fn what_fits_into_buffers_is_no_sign_of_life() {
    let wire = Wire::at(0);
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        for second in 1..20 {
            wire.0.borrow_mut().now = second * 1_000;
            let now = || wire.now();
            keepalive
                .send_fragment(websocket.sender(), MessageKind::Text, b"measured", true, now)
                .unwrap();
        }
        wire.written();
        let result = keepalive.receive(websocket, || wire.now()).map(drop);
        assert_gives_up(result, KeepaliveTimeout::Pong);
        assert_eq!(wire.written(), [(20_000, unmasked(PING, b""))]);
    });
}

/// A Ping that finds no room neither holds receiving up nor is forgotten as a question.
#[test]
fn a_ping_that_cannot_leave_counts_as_asked() {
    let wire = Wire::at(0);
    wire.0.borrow_mut().room.clear();
    wire.arrive(22_000, masked(FIN | TEXT, b"still there"));
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        assert!(keepalive.receive(websocket, || wire.now()).is_ok());
        assert_eq!(wire.now(), 22_000);
        assert_gives_up(
            keepalive.receive(websocket, || wire.now()).map(drop),
            KeepaliveTimeout::Pong,
        );
        assert_eq!((wire.now(), wire.written()), (47_000, vec![]));
    });
}

#[test]
fn a_frame_that_was_begun_takes_no_ping() {
    let wire = Wire::at(0);
    wire.0.borrow_mut().room = [(0, 4)].into();
    with_server(&wire, |websocket| {
        let mut keepalive = pinging(&wire);
        websocket.set_deadline(Some(Duration::ZERO));
        assert_eq!(websocket.sender().send_text("Hello"), Err(Error::TimedOut));
        assert_gives_up(
            keepalive.receive(websocket, || wire.now()).map(drop),
            KeepaliveTimeout::Pong,
        );
        assert_eq!(wire.now(), 25_000);
    });
}

#[test]
fn times_are_bounded_and_nothing_is_watched_unasked() {
    assert_eq!(Keepalive::new(5).due(u64::MAX), Ok(Due::Wait(None)));
    let keepalive = Keepalive::new(5).with_idle_timeout(Duration::ZERO);
    assert_eq!(keepalive.due(5), Ok(Due::Wait(Some(Duration::from_millis(1)))));
    let keepalive = Keepalive::new(5).with_ping(Duration::MAX, Duration::MAX);
    let longest = Duration::from_millis(0x7FFF_FFFF);
    assert_eq!(keepalive.due(5), Ok(Due::Wait(Some(longest))));
    assert_eq!(keepalive.due(5 + 0x7FFF_FFFF), Ok(Due::Ping));
    let keepalive = Keepalive::new(5).with_ping(Duration::from_nanos(1), TIMEOUT);
    assert_eq!(keepalive.due(5), Ok(Due::Wait(Some(Duration::from_millis(1)))));
}

/// A thread may have read the clock before another one noted a sign of life.
#[test]
fn what_came_behind_now_has_not_timed_out() {
    for start in [0, 1 << 31, 1 << 32] {
        let mut keepalive = Keepalive::new(start).with_ping(INTERVAL, TIMEOUT);
        keepalive = keepalive.with_idle_timeout(2 * INTERVAL);
        keepalive.alive(start + 1);
        keepalive.used(start + 1);
        assert_eq!(keepalive.due(start), Ok(Due::Wait(Some(INTERVAL))));
        keepalive.pinged(start + 1);
        assert_eq!(keepalive.due(start), Ok(Due::Wait(Some(TIMEOUT))));
        // Late is not early.
        assert_eq!(keepalive.due(start + (1 << 31)), Err(KeepaliveTimeout::Idle));
    }
}
