// SPDX-License-Identifier: Apache-2.0
//! Fragmentation: RFC 6455 section 5.4, and limits on what the fragments add up to.

mod support;

use support::*;
use zephyr_websocket::{
    Connection, Error, Message, MessageBuffer, MessageKind, ProtocolError, Server, UsageError,
    WebSocket,
};

/// RFC 6455 section 5.4: a message is its fragments' payloads in order.
#[test]
fn fragments_of_any_length_make_up_one_message() {
    fn rule<R: End>() {
        let stream = [
            R::from_peer(TEXT, b""),
            R::from_peer(CONTINUATION, b"one, "),
            R::from_peer(CONTINUATION, b""),
            R::from_peer(CONTINUATION, b"two"),
            R::from_peer(FIN | CONTINUATION, b""),
            R::from_peer(BINARY, &[1]),
            R::from_peer(FIN | CONTINUATION, &[2]),
        ];
        assert_eq!(receive::<R>(&stream.concat()).seen, [text("one, two"), binary(&[1, 2])]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: an empty message, whole or in fragments, is a message.
#[test]
fn an_empty_message_is_one_event() {
    fn rule<R: End>() {
        assert_eq!(receive::<R>(&R::from_peer(FIN | TEXT, b"")).seen, [text("")]);
        let fragments = [R::from_peer(BINARY, b""), R::from_peer(FIN | CONTINUATION, b"")];
        assert_eq!(receive::<R>(&fragments.concat()).seen, [binary(b"")]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: a continuation continues something.
#[test]
fn a_continuation_without_a_message_is_refused() {
    fn rule<R: End>() {
        for first in [CONTINUATION, FIN | CONTINUATION] {
            let error = error_of::<R>(&R::from_peer(first, b"x"));
            assert_eq!(error, Some(ProtocolError::NothingToContinue));
            let after = [R::from_peer(FIN | TEXT, b"whole"), R::from_peer(first, b"")].concat();
            assert_eq!(error_of::<R>(&after), Some(ProtocolError::NothingToContinue));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: "The fragments of one message MUST NOT be interleaved between the
/// fragments of another message".
#[test]
fn a_message_within_another_is_refused() {
    fn rule<R: End>() {
        for begun in [TEXT, BINARY] {
            for next in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
                let stream = [R::from_peer(begun, b"a"), R::from_peer(next, b"b")].concat();
                assert_eq!(error_of::<R>(&stream), Some(ProtocolError::MessageNotFinished));
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: "Control frames MAY be injected in the middle of a fragmented message";
/// Control frames: picoserve refuses them.
#[test]
fn control_frames_between_fragments_are_handled_at_once() {
    fn rule<R: End>() {
        let stream = [
            R::from_peer(TEXT, b"a"),
            R::from_peer(PING, b"1"),
            R::from_peer(PONG, b"2"),
            R::from_peer(CONTINUATION, b"b"),
            R::from_peer(PING, b"3"),
            R::from_peer(FIN | CONTINUATION, b"c"),
        ];
        let end = Seen::Data { kind: MessageKind::Text, payload: b"c".to_vec(), fin: true };
        let seen = [
            part(MessageKind::Text, b"a"),
            ping(b"1"),
            pong(b"2"),
            part(MessageKind::Text, b"b"),
            ping(b"3"),
            end,
        ];
        assert_eq!(receive::<R>(&stream.concat()).seen, seen);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Limits: the number of empty fragments (CVE-2026-12151). Nothing is kept of any.
#[test]
fn a_million_empty_fragments_fit_in_the_smallest_buffer() {
    fn rule<R: End>() {
        let mut connection = Connection::<R>::new();
        let mut fragments = R::from_peer(CONTINUATION, b"").repeat(1000);
        let mut first = R::from_peer(TEXT, b"");
        for (bytes, times, frames) in [(&mut first, 1, 1), (&mut fragments, 1000, 1000)] {
            for _ in 0..times {
                let mut input = &mut bytes[..];
                for _ in 0..frames {
                    let frame = connection.receive(&mut input).unwrap().unwrap();
                    assert!(frame.payload.is_empty() && !frame.fin);
                }
                assert!(input.is_empty());
            }
        }
        let end = R::from_peer(FIN | CONTINUATION, b"end");
        assert_eq!(receive_pieces(&mut connection, [end.as_slice()]).seen, [text("end")]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Limits: CVE-2026-12151, through the stream and its buffers.
#[test]
fn empty_fragments_do_not_count_towards_the_limit_of_a_message() {
    let mut wire = Wire::bringing([
        masked(BINARY, b""),
        masked(CONTINUATION, b"").repeat(10_000),
        masked(FIN | CONTINUATION, b"four"),
    ]);
    let mut buffers = Buffers::default();
    let mut storage = [0; 4];
    let mut messages = MessageBuffer::new(&mut storage);
    let received = messages.receive(&mut buffers.open::<Server>(&mut wire));
    assert_eq!(received, Ok(Message::Binary(b"four")));
}

/// A message of `lens` fragments, from the peer of `R`.
fn fragments_from_peer<R: End>(lens: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..lens.iter().sum::<usize>()).map(|index| index as u8).collect();
    let mut stream = Vec::new();
    let mut rest = &payload[..];
    for (index, &len) in lens.iter().enumerate() {
        let opcode = if index == 0 { BINARY } else { CONTINUATION };
        let fin = if index + 1 == lens.len() { FIN } else { 0 };
        let (fragment, after) = rest.split_at(len);
        stream.extend(R::from_peer(fin | opcode, fragment));
        rest = after;
    }
    (stream, payload)
}

/// Limits: the size over all fragments counts (CVE-2026-9675).
#[test]
fn a_message_of_exactly_the_limit_is_received_however_it_is_fragmented() {
    fn rule<R: End>() {
        for lens in [&[1000][..], &[999, 1], &[1, 0, 999], &[500, 500, 0], &[250; 4]] {
            let (stream, payload) = fragments_from_peer::<R>(lens);
            let mut wire = Wire::bringing([&stream, &stream]);
            let mut buffers = Buffers::default();
            let mut websocket = buffers.open::<R>(&mut wire);
            let mut storage = vec![0; 1000];
            let mut messages = MessageBuffer::new(&mut storage);
            // The second one shows that the first is not counted any more.
            for _ in 0..2 {
                let message = messages.receive(&mut websocket);
                assert_eq!(message, Ok(Message::Binary(&payload)));
            }
            assert!(wire.sent.is_empty());
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Limits: CVE-2026-9675; rejected at the limit and 1, not truncated (python websockets 1715).
#[test]
fn a_message_of_the_limit_and_one_byte_is_refused_with_1009() {
    fn rule<R: End>() {
        for lens in [&[1001][..], &[1000, 1], &[1000, 0, 1], &[1, 1000], &[501, 500], &[91; 11]] {
            let (stream, _) = fragments_from_peer::<R>(lens);
            let mut wire = Wire::bringing([&stream]);
            let mut buffers = Buffers::default();
            let mut storage = vec![0; 1000];
            let mut messages = MessageBuffer::new(&mut storage);
            let message = messages.receive(&mut buffers.open::<R>(&mut wire));
            assert_eq!(message, Err(Error::MessageTooBig), "{lens:?}");
            assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1009, ""))]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Limits: what follows a piece that did not fit must not pass for the message (python
/// websockets 1715); RFC 6455 section 7.1.7: the failure is final.
#[test]
fn after_a_message_was_too_big_no_rest_of_it_is_received() {
    fn rule<R: End>() {
        let stream = [
            R::from_peer(BINARY, &[1; 6]),
            R::from_peer(CONTINUATION, &[2; 6]),
            R::from_peer(FIN | CONTINUATION, &[3; 2]),
        ];
        let mut wire = Wire::bringing(stream);
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let mut storage = [0; 10];
        let mut messages = MessageBuffer::new(&mut storage);
        assert_eq!(messages.receive(&mut websocket), Err(Error::MessageTooBig));
        assert_eq!(messages.receive(&mut websocket), Err(Error::Closed));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Limits: what arrived before the deadline is kept.
#[test]
fn a_message_goes_on_after_the_deadline_passed_within_it() {
    fn rule<R: End>() {
        let (stream, payload) = fragments_from_peer::<R>(&[3, 4, 5]);
        let mut wire = Wire::default();
        for byte in &stream {
            wire.bring(&[*byte]);
            wire.arrive(Arrival::TimedOut);
        }
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        let mut storage = [0; 12];
        let mut messages = MessageBuffer::new(&mut storage);
        for _ in 1..stream.len() {
            assert_eq!(messages.receive(&mut websocket), Err(Error::TimedOut));
        }
        assert_eq!(messages.receive(&mut websocket), Ok(Message::Binary(&payload)));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// A message buffer of no length still receives the empty message.
#[test]
fn a_limit_of_zero_lets_only_the_empty_message_through() {
    let mut wire = Wire::bringing([masked(FIN | TEXT, b""), masked(FIN | TEXT, b"x")]);
    let mut buffers = Buffers::default();
    let mut server = buffers.open::<Server>(&mut wire);
    let mut messages = MessageBuffer::new(&mut []);
    assert_eq!(messages.receive(&mut server), Ok(Message::Text("")));
    assert_eq!(messages.receive(&mut server), Err(Error::MessageTooBig));
}

/// RFC 6455 section 5.4: first the kind, then continuations, the last with FIN.
#[test]
fn fragments_are_sent_as_a_first_frame_continuations_and_a_last() {
    fn rule<R: End>() {
        let mut wire = Wire::default();
        let mut buffers = Buffers::default();
        let mut websocket = buffers.open::<R>(&mut wire);
        for kind in [MessageKind::Text, MessageKind::Binary] {
            websocket.sender().send_fragment(kind, b"a", false).unwrap();
            websocket.sender().ping(b"?").unwrap();
            websocket.sender().send_fragment(kind, b"", false).unwrap();
            websocket.sender().send_fragment(kind, b"c", true).unwrap();
            websocket.sender().send_fragment(kind, b"d", true).unwrap();
        }
        let expected: Vec<(u8, &[u8])> = [TEXT, BINARY]
            .into_iter()
            .flat_map(|opcode| {
                [
                    (opcode, b"a".as_slice()),
                    (PING, b"?"),
                    (CONTINUATION, b""),
                    (FIN | CONTINUATION, b"c"),
                    (FIN | opcode, b"d"),
                ]
            })
            .collect();
        let sent = contents(&wire.sent);
        assert!(
            sent.iter().map(|(first, payload)| (*first, &payload[..])).eq(expected),
            "{sent:?}"
        );
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.4: messages of two kinds are not interleaved by us either.
#[test]
fn a_fragment_of_the_other_kind_is_refused_and_the_message_goes_on() {
    fn rule<R: End>() {
        for (kind, other, opcode) in [
            (MessageKind::Text, MessageKind::Binary, TEXT),
            (MessageKind::Binary, MessageKind::Text, BINARY),
        ] {
            let mut wire = Wire::default();
            let mut buffers = Buffers::default();
            let mut websocket: WebSocket<'_, _, R> = buffers.open(&mut wire);
            let sender = websocket.sender();
            sender.send_fragment(kind, b"a", false).unwrap();
            for fin in [false, true] {
                let refused = sender.send_fragment(other, b"x", fin);
                assert_eq!(refused, Err(UsageError::OtherMessageInProgress.into()));
            }
            sender.send_fragment(kind, b"b", true).unwrap();
            sender.send_fragment(other, b"c", true).unwrap();
            let other = if opcode == TEXT { BINARY } else { TEXT };
            let expected = [
                (opcode, b"a".to_vec()),
                (FIN | CONTINUATION, b"b".to_vec()),
                (FIN | other, b"c".to_vec()),
            ];
            assert_eq!(contents(&wire.sent), expected);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}
