// SPDX-License-Identifier: Apache-2.0
//! Text: RFC 6455 sections 5.6 and 8.1, and RFC 3629.

mod support;

use support::*;
use zephyr_websocket::{
    Connection, Error, Message, MessageBuffer, MessageKind, ProtocolError, Server,
};

/// The bounds of every range of RFC 3629 section 4, and characters of every length.
const VALID: [&str; 10] = [
    "",
    "ascii",
    "\u{0}\u{7F}",
    "\u{80}\u{7FF}",
    "\u{800}\u{FFF}\u{1000}\u{CFFF}",
    "\u{D7FF}\u{E000}\u{FFFD}\u{FFFF}",
    "\u{10000}\u{3FFFF}\u{40000}\u{FFFFF}",
    "\u{100000}\u{10FFFF}",
    "\u{3BA}\u{1F79}\u{3C3}\u{3BC}\u{3B5}",
    "a\u{E4}b\u{20AC}c\u{1F600}d, after that a tail of ASCII",
];

/// Text before the first impossible byte, that byte, and what is no longer looked at.
const INVALID: [(&[u8], &[u8]); 26] = [
    (b"", b"\x80"),
    (b"", b"\xBF"),
    (b"", b"\xC0\x80"),
    (b"", b"\xC1\xBF"),
    (b"", b"\xF5\x80\x80\x80"),
    (b"", b"\xFE"),
    (b"", b"\xFF"),
    (b"\xC2", b"\x7F"),
    (b"\xC2", b"\xC2"),
    (b"\xDF", b"\xC0"),
    (b"\xE0", b"\x80\x80"),
    (b"\xE0", b"\x9F\xBF"),
    (b"\xE0\xA0", b"\x7F"),
    (b"\xE1\x80", b"\xC0"),
    (b"\xEF\xBF", b"abc"),
    // Surrogates, U+D800 and U+DFFF.
    (b"\xED", b"\xA0\x80"),
    (b"\xED", b"\xBF\xBF"),
    (b"\xF0", b"\x80\x80\x80"),
    (b"\xF0", b"\x8F\xBF\xBF"),
    (b"\xF0\x90\x80", b"\x7F"),
    (b"\xF0\x90", b" "),
    // U+110000.
    (b"\xF4", b"\x90\x80\x80"),
    (b"\xF4\x8F\xBF", b"\xC0"),
    (b"four", b"\x80 and more"),
    (b"a word, \xC3\xA4", b"\xA4 and more words"),
    (b"\xCE\xBA\xE1\xBD\xB9\xED", b"\xA0\x80 edited"),
];

/// RFC 6455 section 5.6, in one frame and with every split between two fragments, where "a
/// particular text frame might include a partial UTF-8 sequence".
#[test]
fn valid_text_is_received_with_every_split_between_fragments() {
    fn rule<R: End>() {
        for valid in VALID {
            assert_eq!(
                receive::<R>(&R::from_peer(FIN | TEXT, valid.as_bytes())).seen,
                [text(valid)]
            );
            for split in 0..=valid.len() {
                let (first, last) = valid.as_bytes().split_at(split);
                let stream = [
                    R::from_peer(TEXT, first),
                    R::from_peer(PING, b"\xFF"),
                    R::from_peer(CONTINUATION, b""),
                    R::from_peer(FIN | CONTINUATION, last),
                ];
                let outcome = receive::<R>(&stream.concat());
                assert_eq!(outcome.error, None, "{valid} {split}");
                let received: Vec<u8> = outcome.seen.iter().flat_map(payload_of_data).collect();
                assert_eq!(received, valid.as_bytes());
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

fn payload_of_data(seen: &Seen) -> Vec<u8> {
    match seen {
        Seen::Data { payload, .. } => payload.clone(),
        _ => Vec::new(),
    }
}

/// RFC 6455 section 8.1, failing fast; UTF-8: others check only at the message's end.
#[test]
fn text_fails_at_its_first_impossible_byte_and_not_before() {
    fn rule<R: End>() {
        for (start, rest) in INVALID {
            let payload = [start, rest, b"never looked at"].concat();
            // Far from the end of its frame, and of its message.
            let frame = R::from_peer(TEXT, &payload);
            let header_len = frame.len() - payload.len();
            let impossible = header_len + start.len();
            for split in 0..=impossible {
                let pieces = [&frame[..split], &frame[split..impossible]];
                let mut connection = Connection::<R>::new();
                assert_eq!(receive_pieces(&mut connection, pieces).error, None, "{payload:x?}");
                let piece = &frame[impossible..=impossible];
                let error = receive_pieces(&mut connection, [piece]).error;
                assert_eq!(error, Some(ProtocolError::InvalidUtf8), "{payload:x?}");
                let mut more = [0; 5];
                let mut input = &mut more[..];
                let error = connection.receive(&mut input);
                assert_eq!((error, input.len()), (Err(ProtocolError::InvalidUtf8), 0));
            }
            assert_eq!(error_of::<R>(&frame), Some(ProtocolError::InvalidUtf8));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 8.1, over fragments.
#[test]
fn invalid_text_fails_with_every_split_between_fragments() {
    fn rule<R: End>() {
        for (start, rest) in INVALID {
            let payload = [start, rest].concat();
            for split in 0..=payload.len() {
                let (first, last) = payload.split_at(split);
                let stream =
                    [R::from_peer(TEXT, first), R::from_peer(FIN | CONTINUATION, last)].concat();
                assert_eq!(error_of::<R>(&stream), Some(ProtocolError::InvalidUtf8));
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 8.1: the message as a whole has to be valid.
#[test]
fn a_character_that_is_cut_off_fails_at_the_end_of_the_message_only() {
    fn rule<R: End>() {
        for cut in [&b"\xC3"[..], b"\xE2", b"\xE2\x82", b"\xF0", b"\xF0\x9F", b"ab\xF0\x9F\x98"] {
            let whole = R::from_peer(FIN | TEXT, cut);
            assert_eq!(error_of::<R>(&whole), Some(ProtocolError::InvalidUtf8));
            let fragments = [R::from_peer(TEXT, cut), R::from_peer(CONTINUATION, b"")].concat();
            assert_eq!(error_of::<R>(&fragments), None);
            let end = [fragments, R::from_peer(FIN | CONTINUATION, b"")].concat();
            assert_eq!(error_of::<R>(&end), Some(ProtocolError::InvalidUtf8));
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.6: binary data is arbitrary, and so is what Pings carry.
#[test]
fn only_text_is_checked() {
    fn rule<R: End>() {
        for (start, rest) in INVALID {
            let payload = [start, rest].concat();
            let stream = [
                R::from_peer(FIN | BINARY, &payload),
                R::from_peer(PING, &payload),
                R::from_peer(PONG, &payload),
                R::from_peer(FIN | TEXT, b"text"),
            ];
            let expected = [binary(&payload), ping(&payload), pong(&payload), text("text")];
            assert_eq!(receive::<R>(&stream.concat()).seen, expected);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.5.1: the reason is "UTF-8-encoded data"; UTF-8: wslay's check of it skips
/// bytes of each piece.
#[test]
fn the_close_reason_is_checked_with_every_split() {
    fn rule<R: End>() {
        let filler = "twelve bytes";
        let reasons = INVALID.iter().map(|(start, rest)| [*start, *rest].concat());
        let cut = [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x98"].map(<[u8]>::to_vec);
        for reason in reasons.chain(cut) {
            for before in ["", filler] {
                let payload = [b"\x03\xE8", before.as_bytes(), &reason].concat();
                let frame = R::from_peer(CLOSE, &payload);
                for split in 0..frame.len() {
                    let pieces = [&frame[..split], &frame[split..]];
                    let outcome = receive_pieces(&mut Connection::<R>::new(), pieces);
                    assert_eq!(outcome.error, Some(ProtocolError::InvalidUtf8), "{payload:x?}");
                    assert_eq!(outcome.seen, []);
                }
            }
        }
        for reason in VALID {
            let frame = R::from_peer(CLOSE, &close_payload(1000, reason));
            for split in 0..frame.len() {
                let pieces = [&frame[..split], &frame[split..]];
                let outcome = receive_pieces(&mut Connection::<R>::new(), pieces);
                assert_eq!(outcome.seen, [closed(1000, reason)]);
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 8.1 with 7.4.1: 1007.
#[test]
fn text_that_is_not_utf_8_fails_the_connection_with_1007() {
    fn rule<R: End>() {
        for frame in [R::from_peer(TEXT, b"\xFF"), R::from_peer(CLOSE, b"\x03\xE8\xFF")] {
            let mut wire = Wire::bringing([frame]);
            let mut buffers = Buffers::default();
            let error = buffers.open::<R>(&mut wire).receive().err();
            assert_eq!(error, Some(Error::Protocol(ProtocolError::InvalidUtf8)));
            assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1007, ""))]);
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.6: whole messages are text to the application.
#[test]
fn a_text_message_whose_characters_arrive_in_pieces_is_whole_in_its_buffer() {
    let message = "\u{3BA}\u{20AC}\u{1F600}".repeat(5);
    let mut wire = Wire::bringing(masked(FIN | TEXT, message.as_bytes()).chunks(1));
    let mut buffers = Buffers::default();
    let mut storage = vec![0; message.len()];
    let mut messages = MessageBuffer::new(&mut storage);
    let received = messages.receive(&mut buffers.open::<Server>(&mut wire));
    assert_eq!(received, Ok(Message::Text(&message)));
}

/// RFC 6455 section 5.6: a fragment that we send may end within a character.
#[test]
fn a_character_may_be_split_between_fragments_that_are_sent() {
    let mut wire = Wire::default();
    let mut buffers = Buffers::default();
    let mut server = buffers.open::<Server>(&mut wire);
    let (first, last) = "\u{20AC}".as_bytes().split_at(1);
    server.sender().send_fragment(MessageKind::Text, first, false).unwrap();
    server.sender().send_fragment(MessageKind::Text, last, true).unwrap();
    assert_eq!(contents(&wire.sent), [(TEXT, first.to_vec()), (FIN, last.to_vec())]);
}
