// SPDX-License-Identifier: Apache-2.0
//! Closing: RFC 6455 sections 5.5.1 and 7.

mod support;

use std::time::Duration;

use support::*;
use zephyr_websocket::{
    CloseCode, CloseFrame, Connection, Error, MIN_RX_BUFFER, Message, MessageBuffer, Opcode,
    ProtocolError, Server, State, UsageError,
};

/// RFC 6455 section 7.4 and the IANA registry: what may stand in a Close frame.
fn may_be_sent(code: u16) -> bool {
    match code {
        1000..=1003 => true,
        // Reserved, no status received, abnormal closure.
        1004..=1006 => false,
        1007..=1014 => true,
        // TLS handshake; reserved for the protocol; not registered.
        1015..=2999 => false,
        3000..=4999 => true,
        _ => false,
    }
}

/// RFC 6455 section 7.4.
#[test]
fn of_all_codes_exactly_the_valid_ones_are_received_and_sent() {
    fn rule<R: End>() {
        for code in 0..=u16::MAX {
            let frame = R::from_peer(CLOSE, &code.to_be_bytes());
            let outcome = receive::<R>(&frame);
            if may_be_sent(code) {
                assert_eq!((outcome.error, outcome.seen), (None, vec![closed(code, "")]));
                assert_eq!(CloseCode::new(code).map(CloseCode::value), Some(code));
            } else {
                let refused = (Some(ProtocolError::CloseCode), vec![]);
                assert_eq!((outcome.error, outcome.seen), refused, "{code}");
                assert_eq!(CloseCode::new(code), None);
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.4.1.
#[test]
fn each_named_code_has_its_number() {
    let named = [
        (CloseCode::NORMAL_CLOSURE, 1000),
        (CloseCode::GOING_AWAY, 1001),
        (CloseCode::PROTOCOL_ERROR, 1002),
        (CloseCode::UNSUPPORTED_DATA, 1003),
        (CloseCode::INVALID_FRAME_PAYLOAD_DATA, 1007),
        (CloseCode::POLICY_VIOLATION, 1008),
        (CloseCode::MESSAGE_TOO_BIG, 1009),
        (CloseCode::MANDATORY_EXTENSION, 1010),
        (CloseCode::INTERNAL_ERROR, 1011),
        (CloseCode::SERVICE_RESTART, 1012),
        (CloseCode::TRY_AGAIN_LATER, 1013),
    ];
    for (code, number) in named {
        assert_eq!(CloseCode::new(number), Some(code));
        assert_eq!(code.value(), number);
    }
}

/// RFC 6455 section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte
/// unsigned integer".
#[test]
fn a_close_frame_of_one_byte_is_refused_and_an_empty_one_is_not() {
    fn rule<R: End>() {
        let error = error_of::<R>(&R::from_peer(CLOSE, &[3]));
        assert_eq!(error, Some(ProtocolError::ClosePayloadLength));
        let empty = receive::<R>(&R::from_peer(CLOSE, b""));
        assert_eq!(empty.seen, [Seen::Close(None, String::new())]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5: 125 bytes with the code; embedded-websocket limits a reason to 254.
#[test]
fn a_reason_has_up_to_123_bytes() {
    fn rule<R: End>() {
        let longest = "\u{20AC}".repeat(CloseFrame::MAX_REASON_LEN / 3);
        assert_eq!(longest.len(), 123);
        let received = receive::<R>(&R::from_peer(CLOSE, &close_payload(4999, &longest)));
        assert_eq!(received.seen, [closed(4999, &longest)]);
        let too_long = R::from_peer(CLOSE, &close_payload(4999, &"r".repeat(124)));
        assert_eq!(error_of::<R>(&too_long), Some(ProtocolError::ControlFrameTooLong));

        let mut wire = Wire::default();
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let code = CloseCode::new(4999);
        let refused = websocket.sender().close(code, &"r".repeat(124));
        assert_eq!(refused, Err(UsageError::ControlPayloadTooLong.into()));
        assert_eq!(websocket.state(), State::Open);
        websocket.sender().close(code, &longest).unwrap();
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(4999, &longest))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.1: a reason follows a code.
#[test]
fn a_reason_without_a_code_is_a_usage_error() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let refused = websocket.sender().close(None, "why");
        assert_eq!(refused, Err(UsageError::ReasonWithoutCode.into()));
        assert_eq!(websocket.state(), State::Open);
        websocket.sender().close(None, "").unwrap();
        assert_eq!(contents(&wire.sent), [(CLOSE, vec![])]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.1: "the endpoint typically echos the status code it received"; 7.1.4.
#[test]
fn a_close_frame_is_answered_once_with_its_code() {
    fn rule<R: End>() {
        for (payload, answer) in [
            (vec![], vec![]),
            (close_payload(1000, "done"), close_payload(1000, "")),
            (close_payload(4999, ""), close_payload(4999, "")),
        ] {
            let mut wire = Wire::bringing([R::from_peer(CLOSE, &payload)]);
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            assert_eq!(websocket.state(), State::Open);
            websocket.receive().unwrap();
            assert_eq!(websocket.state(), State::Closed);
            assert_eq!(websocket.receive().err(), Some(Error::Closed));
            assert_eq!(websocket.receive().err(), Some(Error::Closed));
            assert_eq!(contents(&wire.sent), [(CLOSE, answer)]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.2: the one that closes still receives until the peer closes too.
#[test]
fn after_a_close_frame_was_sent_messages_still_arrive_until_the_peers_close() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([
            R::from_peer(FIN | TEXT, b"on its way"),
            R::from_peer(CLOSE, &close_payload(1000, "")),
        ]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.sender().close(Some(CloseCode::GOING_AWAY), "").unwrap();
        assert_eq!(websocket.state(), State::Closing);
        let outcome = receive_until_error(&mut websocket);
        assert_eq!(outcome.seen, [text("on its way"), closed(1000, "")]);
        assert_eq!((outcome.error, websocket.state()), (Error::Closed, State::Closed));
        // The simultaneous Close of the peer is not answered: ours was sent before.
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1001, ""))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.1: "MUST NOT send any more data frames after sending a Close frame".
#[test]
fn nothing_is_sent_after_a_close_frame() {
    fn rule<R: End>() {
        for closed_by_peer in [false, true] {
            let mut wire = Wire::bringing([R::from_peer(CLOSE, b"")]);
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            // A message that will never end.
            let sender = websocket.sender();
            sender.send_fragment(zephyr_websocket::MessageKind::Text, b"a", false).unwrap();
            if closed_by_peer {
                websocket.receive().unwrap();
            } else {
                sender.close(None, "").unwrap();
            }
            let sender = websocket.sender();
            let refused = Err(UsageError::NotOpen.into());
            assert_eq!(sender.send_text("x"), refused);
            assert_eq!(sender.send_binary(b"x"), refused);
            assert_eq!(sender.ping(b""), refused);
            assert_eq!(sender.pong(b""), refused);
            assert_eq!(sender.close(Some(CloseCode::NORMAL_CLOSURE), ""), refused);
            assert_eq!(contents(&wire.sent), [(TEXT, b"a".to_vec()), (CLOSE, vec![])]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 1.4: "After receiving [...] a Close frame, a peer discards any further data".
#[test]
fn what_follows_the_peers_close_frame_is_dropped_even_if_it_is_invalid() {
    fn rule<R: End>() {
        for junk in [R::from_peer(FIN | TEXT, b"late"), R::from_peer(CLOSE, b""), vec![0xFF; 200]] {
            let stream = [R::from_peer(CLOSE, &close_payload(1000, "")), junk.clone()].concat();
            let outcome = receive::<R>(&stream);
            assert_eq!((outcome.seen, outcome.error), (vec![closed(1000, "")], None));
            let mut wire = Wire::bringing([stream, junk]).ended();
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            let outcome = receive_until_error(&mut websocket);
            assert_eq!((outcome.seen, outcome.error), (vec![closed(1000, "")], Error::Closed));
            websocket.finish(Duration::from_secs(1));
            assert!(wire.is_read_out());
            assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1000, ""))]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: a Close frame may come in the middle of a message, which then never ends.
#[test]
fn a_close_frame_in_mid_message_closes() {
    fn rule<R: End>() {
        let stream = [
            R::from_peer(TEXT, b"begun"),
            R::from_peer(CLOSE, &close_payload(1001, "bye")),
            R::from_peer(FIN | CONTINUATION, b"ended"),
        ];
        let mut wire = Wire::bringing(stream);
        let mut buffers = Buffers::default();
        let mut storage = [0; 100];
        let mut websocket = buffers.open::<R>(&mut wire);
        let mut messages = MessageBuffer::new(&mut storage);
        let received = messages.receive(&mut websocket);
        assert_eq!(received, Ok(Message::Close(Some(CloseCode::GOING_AWAY))));
        assert_eq!(messages.receive(&mut websocket), Err(Error::Closed));
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1001, ""))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.5: 1006, which is no code of a frame.
#[test]
fn the_end_of_the_stream_without_a_close_frame_is_a_disconnection_wherever_it_comes() {
    fn rule<R: End>() {
        let frames = [R::from_peer(FIN | TEXT, b"whole"), R::from_peer(PING, b"ping")].concat();
        for end in 0..=frames.len() {
            let mut wire = Wire::bringing([&frames[..end]]).ended();
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            assert_eq!(receive_until_error(&mut websocket).error, Error::Disconnected, "{end}");
            assert_eq!(websocket.receive().err(), Some(Error::Disconnected));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.1: a reset is the transport's error.
#[test]
fn a_transport_that_fails_is_reported_with_its_own_error() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([&R::from_peer(FIN | TEXT, b"cut off")[..9]]);
        wire.arrive(Arrival::Reset);
        wire.make_room([Room::Bytes(1), Room::Reset]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let outcome = receive_until_error(&mut websocket);
        assert_eq!(outcome.error, Error::Transport(WireError::Reset));
        let sent = websocket.sender().send_text("x");
        assert_eq!(sent, Err(Error::Transport(WireError::Reset)));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.7: after a failure nothing is processed any more.
#[test]
fn a_failure_latches() {
    fn rule<R: End>() {
        let mut connection = Connection::<R>::new();
        let mut broken = R::from_peer(0xF1, b"");
        assert_eq!(connection.receive(&mut &mut broken[..]), Err(ProtocolError::ReservedBits));
        assert_eq!(connection.state(), State::Closed);
        assert!(connection.is_receive_over() && !connection.is_close_sent());
        let mut valid = R::from_peer(FIN | TEXT, b"valid");
        let mut input = &mut valid[..];
        assert_eq!(connection.receive(&mut input), Err(ProtocolError::ReservedBits));
        assert!(input.is_empty());
        for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Text, Opcode::Binary] {
            let refused = header_of(&mut connection, opcode, 0, R::a_key());
            assert_eq!(refused, Err(UsageError::NotOpen));
        }
        // Only the Close frame that tells why may follow, and only once.
        assert!(header_of(&mut connection, Opcode::Close, 2, R::a_key()).is_ok());
        let refused = header_of(&mut connection, Opcode::Close, 2, R::a_key());
        assert_eq!(refused, Err(UsageError::NotOpen));

        let mut wire = Wire::bringing([[broken, valid.clone()].concat(), valid]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        assert!(matches!(websocket.receive(), Err(Error::Protocol(_))));
        for _ in 0..3 {
            assert_eq!(websocket.receive().err(), Some(Error::Closed));
        }
        assert_eq!(websocket.sender().send_text("x"), Err(UsageError::NotOpen.into()));
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1002, ""))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.7: a peer that breaks a rule and does not read holds nobody up.
#[test]
fn a_failure_is_told_without_waiting_and_by_finish_if_there_was_no_room() {
    fn rule<R: End>() {
        let mut wire = Wire::bringing([R::from_peer(0xF1, b"")]).ended();
        wire.make_room([Room::Bytes(1), Room::TimedOut]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        assert!(matches!(websocket.receive(), Err(Error::Protocol(_))));
        let calls = &websocket.transport().calls;
        let write = calls.iter().position(|call| matches!(call, Call::Write { .. })).unwrap();
        assert_eq!(calls[write - 1], Call::Now, "{calls:?}");
        websocket.finish(Duration::from_secs(1));
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1002, ""))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.1: the server closes first, the client waits for it; both read to the end.
#[test]
fn finish_ends_our_side_first_as_a_server_and_only_reads_as_a_client() {
    fn rule<R: End>(is_server: bool) {
        let mut wire = Wire::bringing([R::from_peer(CLOSE, b"")]);
        wire.bring(&[0xEE; 1000]);
        let mut wire = wire.ended();
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.receive().unwrap();
        let at = websocket.transport().calls.len();
        websocket.finish(Duration::from_secs(3));
        let calls = &wire.calls[at..];
        assert_eq!(calls[0], Call::Deadline(Some(Duration::from_secs(3))));
        assert_eq!(calls[1] == Call::Shutdown, is_server);
        assert_eq!(wire.is_shut_down(), is_server);
        assert_eq!(calls.last(), Some(&Call::Read(0)));
        assert!(wire.is_read_out());
    }
    rule::<Server>(true);
    rule::<TestClient>(false);
}

/// RFC 6455 section 7.1.1: where our side cannot be ended alone, the peer may be waiting for us, so
/// what it has sent already is read, but not for all of the time.
#[test]
fn finish_of_a_server_that_cannot_end_its_side_reads_what_has_come_for_a_shorter_time() {
    let mut wire = Wire::bringing([masked(CLOSE, b"")]);
    wire.bring(&[0; 1000]);
    wire.cannot_shut_down = true;
    let mut buffers = Buffers::default();
    let mut server = buffers.open::<Server>(&mut wire);
    server.receive().unwrap();
    server.finish(Duration::from_secs(3));
    assert!(wire.is_read_out());
    let last_deadline = wire.calls.iter().rev().find_map(|call| match call {
        Call::Deadline(after) => *after,
        _ => None,
    });
    assert!(last_deadline.is_some_and(|after| after < Duration::from_secs(1)));
}

/// RFC 6455 section 7.1.1; Life cycle: cpp-httplib CVE-2026-77358 (freed before Close is sent).
#[test]
fn finish_sends_what_waits_before_it_ends_our_side() {
    fn rule<R: End>() {
        for room in [vec![Room::TimedOut], vec![Room::Bytes(1), Room::TimedOut]] {
            let mut wire = Wire::default().ended();
            wire.make_room(room);
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            let close = websocket.sender().close(Some(CloseCode::NORMAL_CLOSURE), "bye");
            assert_eq!((close, websocket.state()), (Err(Error::TimedOut), State::Closing));
            websocket.finish(Duration::from_secs(1));
            assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1000, "bye"))]);
            let last_write = wire.calls.iter().rposition(|call| matches!(call, Call::Write { .. }));
            let shutdown = wire.calls.iter().position(|call| *call == Call::Shutdown);
            assert!(shutdown.is_none_or(|shutdown| last_write < Some(shutdown)));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Life cycle: a stop that blocks for 90 s (esp-protocols PR 729).
#[test]
fn finish_ends_at_its_deadline_whether_the_peer_does_not_read_or_does_not_end() {
    fn rule<R: End>() {
        // The wire times out whenever nothing is left to be read.
        let mut wire = Wire::bringing([R::from_peer(CLOSE, b"")]);
        wire.bring(&[0; 500]);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        websocket.receive().unwrap();
        websocket.finish(Duration::from_secs(2));
        assert!(wire.is_read_out());

        let mut wire = Wire::default().ended();
        wire.make_room([Room::Bytes(1)]);
        wire.block_writes(3);
        let mut websocket = buffers.open::<R>(&mut wire);
        assert_eq!(websocket.sender().close(None, ""), Err(Error::TimedOut));
        websocket.finish(Duration::from_secs(2));
        assert_eq!(wire.sent.len(), 1);

        // An interrupted read is no end.
        let mut wire = Wire::default();
        wire.arrive(Arrival::Interrupted);
        wire.bring(&[0; MIN_RX_BUFFER + 1]);
        wire.arrive(Arrival::Interrupted);
        let mut wire = wire.ended();
        buffers.open::<R>(&mut wire).finish(Duration::from_secs(2));
        assert!(wire.is_read_out());
        assert_eq!(wire.calls.last(), Some(&Call::Read(0)));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 7.1.2: `finish` does not speak for the application.
#[test]
fn finish_sends_no_close_frame_of_its_own() {
    fn rule<R: End>() {
        let mut wire = Wire::default().ended();
        let mut buffers = Buffers::default();
        buffers.open::<R>(&mut wire).finish(Duration::from_secs(1));
        assert_eq!(wire.sent, []);
    }
    rule::<Server>();
    rule::<TestClient>();
}
