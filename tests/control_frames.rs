// SPDX-License-Identifier: Apache-2.0
//! Control frames: RFC 6455 section 5.5.

mod support;

use std::time::Duration;

use support::*;
use zephyr_websocket::{
    CloseCode, Connection, Error, Event, MIN_RX_BUFFER, MessageKind, Opcode, ProtocolError, Server,
    UsageError,
};

/// RFC 6455 section 5.5: "MUST NOT be fragmented"; Control frames: edge-net accepts FIN=0.
#[test]
fn a_control_frame_without_fin_is_refused() {
    fn rule<R: End>() {
        for first in [CLOSE, PING, PONG] {
            let error = error_of::<R>(&R::from_peer(first & !FIN, b""));
            assert_eq!(error, Some(ProtocolError::FragmentedControlFrame));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5: "MUST have a payload length of 125 bytes or less".
#[test]
fn a_control_frame_of_126_bytes_and_more_is_refused_before_its_payload() {
    fn rule<R: End>() {
        for first in [CLOSE, PING, PONG] {
            for len in [126, 65_535, 65_536, i64::MAX as u64] {
                let header = R::header_from_peer(first, len);
                let error = error_of::<R>(&header[..2]);
                assert_eq!(error, Some(ProtocolError::ControlFrameTooLong));
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.2: "an endpoint MUST send a Pong frame in response", 5.5.3: with
/// "identical Application data".
#[test]
fn a_ping_of_every_length_is_answered_with_its_own_payload() {
    fn rule<R: End>() {
        let payload: Vec<u8> = (0..125).map(|byte: u8| byte.wrapping_mul(77)).collect();
        for len in 0..=125 {
            let mut wire = Wire::bringing([R::from_peer(PING, &payload[..len])]);
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            let (event, _) = websocket.receive().unwrap();
            assert_eq!(event, Event::Ping(&payload[..len]));
            assert_eq!(contents(&wire.sent), [(PONG, payload[..len].to_vec())]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 sections 5.4 and 5.5.2; Control frames: picoserve refuses a Ping here.
#[test]
fn a_ping_within_a_fragmented_message_is_answered_before_the_message_ends() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([R::from_peer(TEXT, b"begun"), R::from_peer(PING, b"?")]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let outcome = receive_until_error(&mut websocket);
        assert_eq!(outcome.seen, [part(MessageKind::Text, b"begun"), ping(b"?")]);
        assert_eq!(contents(&wire.sent), [(PONG, b"?".to_vec())]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: the Pong is no part of our own fragmented message.
#[test]
fn a_ping_is_answered_between_fragments_that_are_being_sent() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([R::from_peer(PING, b"?")]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.sender().send_fragment(MessageKind::Text, b"a", false).unwrap();
        websocket.receive().unwrap();
        websocket.sender().send_fragment(MessageKind::Text, b"b", true).unwrap();
        let expected = [(TEXT, b"a".to_vec()), (PONG, b"?".to_vec()), (FIN, b"b".to_vec())];
        assert_eq!(contents(&wire.sent), expected);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.2; Control frames: civetweb 1406 (pings kill a link in a large transfer).
#[test]
fn a_ping_within_a_frame_sent_in_part_is_answered_behind_that_frame() {
    fn rule<R: End>() {
        for taken in 1..40 {
            let payload = [0x5A; 40];
            let mut wire = Wire::bringing([R::from_peer(PING, b"alive?")]);
            wire.make_room([Room::Bytes(taken), Room::TimedOut]);
            let mut buffers = Buffers::of(MIN_RX_BUFFER, 1024);
            let mut websocket = buffers.open::<R>(&mut wire);
            assert_eq!(websocket.sender().send_binary(&payload), Err(Error::TimedOut));
            assert!(websocket.sender().is_frame_begun());
            assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"alive?"));
            assert_eq!(websocket.transport().sent.len(), taken);
            websocket.sender().resume(&payload).unwrap();
            let expected = [(FIN | BINARY, payload.to_vec()), (PONG, b"alive?".to_vec())];
            assert_eq!(contents(&wire.sent), expected);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.3: "MAY elect to send a Pong frame for only the most recently processed
/// Ping frame".
#[test]
fn of_a_ping_flood_to_a_peer_that_does_not_read_the_last_is_answered() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        for number in 0..1000u16 {
            wire.bring(&R::from_peer(PING, &number.to_be_bytes()));
        }
        wire.bring(&R::from_peer(FIN | TEXT, b"data gets through"));
        wire.block_writes(usize::from(u16::MAX));
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let outcome = receive_until_error(&mut websocket);
        let pings = (0..1000u16).map(|number| ping(&number.to_be_bytes()));
        let expected: Vec<Seen> = pings.chain([text("data gets through")]).collect();
        assert_eq!((outcome.seen, outcome.error), (expected, Error::TimedOut));
        websocket.transport().unblock_writes();
        assert_eq!(websocket.receive().err(), Some(Error::TimedOut));
        assert_eq!(contents(&wire.sent), [(PONG, 999u16.to_be_bytes().to_vec())]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Control frames: civetweb 1406. The peer reads again when its large transfer is through, which
/// it is only if it is received.
#[test]
fn a_pong_that_waits_for_room_does_not_keep_data_from_being_received() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([
            R::from_peer(PING, b"alive?"),
            R::from_peer(BINARY, b"large "),
            R::from_peer(FIN | CONTINUATION, b"transfer"),
        ]);
        wire.waits_for_room = true;
        wire.block_writes(1000);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let mut seen = Vec::new();
        for _ in 0..20 {
            websocket.set_deadline(Some(Duration::from_secs(1)));
            match websocket.receive() {
                Ok((event, _)) => gather(&mut seen, event),
                Err(error) => assert_eq!(error, Error::TimedOut),
            }
        }
        assert_eq!(seen, [ping(b"alive?"), binary(b"large transfer")]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.3: a Pong that has left in part is completed, the next ones follow it.
#[test]
fn a_pong_sent_in_part_is_completed_before_more_is_received() {
    fn rule<R: End>() {
        let pings = [b"first".as_slice(), b"second", b"third"];
        let mut wire = Wire::bringing(pings.map(|payload| R::from_peer(PING, payload)));
        wire.make_room([Room::Bytes(3)]);
        wire.block_writes(4);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"first"));
        assert_eq!(websocket.receive().err(), Some(Error::TimedOut));
        assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"second"));
        assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"third"));
        assert_eq!(contents(&wire.sent), pings.map(|payload| (PONG, payload.to_vec())));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Control frames: a flood must not drop what the application itself asked for.
#[test]
fn a_ping_of_ours_that_finds_no_room_is_not_begun_and_can_be_sent_again() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([R::from_peer(PING, b"theirs")]);
        wire.block_writes(3);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        assert_eq!(websocket.sender().ping(b"ours"), Err(Error::TimedOut));
        assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"theirs"));
        websocket.transport().unblock_writes();
        websocket.sender().ping(b"ours").unwrap();
        let expected = [(PONG, b"theirs".to_vec()), (PING, b"ours".to_vec())];
        assert_eq!(contents(&wire.sent), expected);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Control frames: a queued Close overtakes data (wslay).
#[test]
fn a_close_within_a_frame_sent_in_part_is_answered_behind_that_frame() {
    fn rule<R: End>() {
        let payload = [0x77; 500];
        let mut wire = Wire::bringing([
            R::from_peer(PING, b"overtaken"),
            R::from_peer(CLOSE, &close_payload(1001, "away")),
        ]);
        wire.make_room([Room::Bytes(100), Room::TimedOut]);
        let mut buffers = Buffers::of(MIN_RX_BUFFER, 1024);
        let mut websocket = buffers.open::<R>(&mut wire);
        assert_eq!(websocket.sender().send_binary(&payload), Err(Error::TimedOut));
        let refused = websocket.sender().close(Some(CloseCode::GOING_AWAY), "");
        assert_eq!(refused, Err(UsageError::FrameInProgress.into()));
        websocket.receive().unwrap();
        websocket.receive().unwrap();
        assert_eq!(websocket.transport().sent.len(), 100);
        websocket.sender().resume(&payload).unwrap();
        let expected = [(FIN | BINARY, payload.to_vec()), (CLOSE, close_payload(1001, ""))];
        assert_eq!(contents(&wire.sent), expected);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.2: "unless it already received a Close frame"; 5.5.1: nothing is sent
/// after a Close frame.
#[test]
fn a_ping_after_a_close_frame_in_either_direction_is_not_answered() {
    fn rule<R: End>() {
        let mut buffers = Buffers::default();
        let mut wire = Wire::bringing([R::from_peer(PING, b"late")]);
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.sender().close(None, "").unwrap();
        assert_eq!(websocket.receive().unwrap().0, Event::Ping(b"late"));
        assert_eq!(contents(&wire.sent), [(CLOSE, vec![])]);

        let mut wire =
            Wire::bringing([[R::from_peer(CLOSE, b""), R::from_peer(PING, b"")].concat()]);
        let mut websocket = buffers.open::<R>(&mut wire);
        let outcome = receive_until_error(&mut websocket);
        assert_eq!(outcome.seen, [Seen::Close(None, String::new())]);
        assert_eq!(contents(&wire.sent), [(CLOSE, vec![])]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.3: "A response to an unsolicited Pong frame is not expected."
#[test]
fn an_unsolicited_pong_is_an_event_and_not_answered() {
    fn rule<R: End>() {
        let mut wire =
            Wire::bringing([R::from_peer(PONG, b"beat"), R::from_peer(FIN | TEXT, b"a")]);
        let mut buffers = Buffers::default();
        let outcome = receive_until_error(&mut buffers.open::<R>(&mut wire));
        assert_eq!(outcome.seen, [pong(b"beat"), text("a")]);
        assert_eq!(wire.sent, []);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 sections 5.5.2 and 5.5.3.
#[test]
fn pings_and_pongs_are_sent_with_up_to_125_bytes() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let sender = websocket.sender();
        for len in [0, 1, 125] {
            sender.ping(&vec![0x3C; len]).unwrap();
            sender.pong(&vec![0xC3; len]).unwrap();
        }
        let too_long = Err(UsageError::ControlPayloadTooLong.into());
        assert_eq!(sender.ping(&[0; 126]), too_long);
        assert_eq!(sender.pong(&[0; 126]), too_long);
        assert_eq!(sender.ping(&[0; 65_536 + 4]), too_long);
        let expected: Vec<_> = [0, 1, 125]
            .into_iter()
            .flat_map(|len| [(PING, vec![0x3C; len]), (PONG, vec![0xC3; len])])
            .collect();
        assert_eq!(contents(&wire.sent), expected);
        let mut connection = Connection::<R>::new();
        for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
            for len in [126, usize::MAX] {
                let header = header_of(&mut connection, opcode, len, R::a_key());
                assert_eq!(header, Err(UsageError::ControlPayloadTooLong));
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Control frames: a timeout that cannot be told from an empty frame (esp-protocols 858).
#[test]
fn a_timeout_and_an_empty_frame_are_told_apart() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        for first in [FIN | TEXT, FIN | BINARY, PONG] {
            wire.arrive(Arrival::TimedOut);
            wire.bring(&R::from_peer(first, b""));
        }
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        for expected in [
            Event::Data { kind: MessageKind::Text, payload: b"", fin: true },
            Event::Data { kind: MessageKind::Binary, payload: b"", fin: true },
            Event::Pong(b""),
        ] {
            assert_eq!(websocket.receive().err(), Some(Error::TimedOut));
            assert_eq!(websocket.receive().unwrap().0, expected);
        }
        assert_eq!(websocket.receive().err(), Some(Error::TimedOut));
    }
    rule::<Server>();
    rule::<TestClient>();
}
