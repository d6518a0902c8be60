// SPDX-License-Identifier: Apache-2.0
//! The base framing protocol: RFC 6455 section 5.2, and the examples of section 5.7.

mod support;

use support::*;
use zephyr_websocket::{
    Client, Connection, Error, MessageKind, Opcode, ProtocolError, Server, UsageError,
};

const MASKED_HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
const MASKED_HELLO_PONG: [u8; 11] =
    [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];

/// RFC 6455 section 5.7.
#[test]
fn every_example_frame_is_received() {
    assert_eq!(receive::<Client>(b"\x81\x05Hello").seen, [text("Hello")]);
    assert_eq!(receive::<Server>(&MASKED_HELLO).seen, [text("Hello")]);
    assert_eq!(receive::<Client>(b"\x01\x03Hel\x80\x02lo").seen, [text("Hello")]);
    assert_eq!(receive::<Client>(b"\x89\x05Hello").seen, [ping(b"Hello")]);
    assert_eq!(receive::<Server>(&MASKED_HELLO_PONG).seen, [pong(b"Hello")]);
    let payload: Vec<u8> = (0..65_536u32).map(|index| ((index * 7) >> 3) as u8).collect();
    let middle = [b"\x82\x7E\x01\x00".as_slice(), &payload[..256]].concat();
    assert_eq!(receive::<Client>(&middle).seen, [binary(&payload[..256])]);
    let long = [b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00".as_slice(), &payload].concat();
    assert_eq!(receive::<Client>(&long).seen, [binary(&payload)]);
}

/// RFC 6455 section 5.7.
#[test]
fn every_example_frame_is_sent() {
    let mut buffers = Buffers::default();
    let mut wire = Wire::default();
    let mut server = buffers.open::<Server>(&mut wire);
    let payload = vec![0xA7; 65_536];
    server.sender().send_text("Hello").unwrap();
    server.sender().send_fragment(MessageKind::Text, b"Hel", false).unwrap();
    server.sender().send_fragment(MessageKind::Text, b"lo", true).unwrap();
    server.sender().ping(b"Hello").unwrap();
    server.sender().send_binary(&payload[..256]).unwrap();
    server.sender().send_binary(&payload).unwrap();
    let expected = [
        b"\x81\x05Hello\x01\x03Hel\x80\x02lo\x89\x05Hello\x82\x7E\x01\x00".as_slice(),
        &payload[..256],
        b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00",
        &payload,
    ];
    assert!(wire.sent == expected.concat());

    let mut wire = Wire::default();
    let mut client = buffers.open::<TestClient>(&mut wire);
    client.sender().send_text("Hello").unwrap();
    client.sender().pong(b"Hello").unwrap();
    assert_eq!(wire.sent, [MASKED_HELLO, MASKED_HELLO_PONG].concat());
}

/// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
/// embedded-websocket sends 65,535 with the 64-bit length.
#[test]
fn each_length_is_sent_in_its_shortest_form() {
    for (len, expected) in [
        (0, b"\x82\x00".as_slice()),
        (1, b"\x82\x01"),
        (125, b"\x82\x7D"),
        (126, b"\x82\x7E\x00\x7E"),
        (127, b"\x82\x7E\x00\x7F"),
        (65_535, b"\x82\x7E\xFF\xFF"),
        (65_536, b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00"),
        (1 << 32, b"\x82\x7F\x00\x00\x00\x01\x00\x00\x00\x00"),
        (i64::MAX as usize, b"\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
    ] {
        let mut server = Connection::<Server>::new();
        assert_eq!(header_of(&mut server, Opcode::Binary, len, ()).unwrap(), expected);
        let mut client = Connection::<Client>::new();
        let mut expected = [expected, &KEY].concat();
        expected[1] |= 0x80;
        assert_eq!(header_of(&mut client, Opcode::Binary, len, KEY).unwrap(), expected);
    }
}

/// RFC 6455 section 5.4: whether a frame continues a message follows from the frames before it.
#[test]
fn the_opcode_of_a_continuation_is_not_for_the_application_to_give() {
    let mut server = Connection::<Server>::new();
    let header = header_of(&mut server, Opcode::Continuation, 1, ());
    assert_eq!(header, Err(UsageError::NoMessage));
}

/// RFC 6455 section 5.2: 7, 7+16 and 7+64 bits of length.
#[test]
fn each_length_is_received_on_both_sides_of_every_boundary() {
    fn rule<R: End>() {
        for len in [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537] {
            let payload: Vec<u8> = (0..len).map(|index| ((index * 13) >> 2) as u8).collect();
            let outcome = receive::<R>(&R::from_peer(FIN | BINARY, &payload));
            assert!(outcome.error.is_none() && outcome.seen == [binary(&payload)], "{len}");
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.2, Lengths: embedded-websocket accepts lengths that are not minimal.
#[test]
fn a_length_that_is_not_in_its_shortest_form_is_refused() {
    fn rule<R: End>() {
        let mask = R::header_from_peer(FIN, 0)[1];
        for (form, len) in [(126, 0), (126, 125), (127, 0), (127, 125), (127, 126), (127, 65_535)] {
            let len = u64::to_be_bytes(len);
            let len = if form == 126 { &len[6..] } else { &len };
            let bytes = [&[FIN | BINARY, mask | form], len, &[0; 4]].concat();
            assert_eq!(error_of::<R>(&bytes), Some(ProtocolError::LengthNotMinimal), "{bytes:x?}");
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.2: "the most significant bit MUST be 0". Lengths: nopoll 84 (the sign of a
/// 64-bit length), undici CVE-2026-1528, baresip/re PR 1584 (header and length wrap round).
#[test]
fn a_length_of_2_to_the_63_and_more_is_refused_before_any_payload() {
    fn rule<R: End>() {
        for len in [1 << 63, (1 << 63) + 5, u64::MAX - 14, u64::MAX - 4, u64::MAX - 1, u64::MAX] {
            let bytes = R::header_from_peer(FIN | BINARY, len);
            assert_eq!(error_of::<R>(&bytes), Some(ProtocolError::LengthTooLarge), "{len:x}");
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Lengths: resiprocate 478 (the sum wraps past the cap), baresip/re PR 1584.
#[test]
fn a_length_at_the_edge_of_any_integer_is_received_as_it_comes() {
    fn rule<R: End>() {
        for len in [
            (1 << 31) - 1,
            1 << 31,
            (1 << 32) - 15,
            (1 << 32) - 1,
            1 << 32,
            (1 << 32) + 3,
            (1 << 63) - 15,
            (1 << 63) - 1,
        ] {
            let mut connection = Connection::<R>::new();
            let mut bytes = R::header_from_peer(FIN | BINARY, len);
            let mut input = &mut bytes[..];
            assert_eq!(connection.receive(&mut input), Ok(None));
            assert!(input.is_empty());
            // Two frames, the second of which is still the payload of the first.
            for _ in 0..2 {
                let payload = R::from_peer(FIN | BINARY, b"few bytes");
                let outcome = receive_pieces(&mut connection, [payload.as_slice()]);
                assert_eq!(outcome.error, None);
                let [Seen::Data { fin: false, payload: seen, .. }] = &outcome.seen[..] else {
                    panic!("{len:x}: {outcome:?}");
                };
                assert_eq!(seen.len(), payload.len(), "{len:x}");
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// Lengths: the sum of fragments wraps (resiprocate 478). Nothing adds them up here.
#[test]
fn fragments_whose_lengths_add_up_to_more_than_64_bits_do_not_wrap() {
    fn rule<R: End>() {
        let mut connection = Connection::<R>::new();
        let first = [R::header_from_peer(BINARY, 2), vec![1, 2]].concat();
        let huge = R::header_from_peer(CONTINUATION, i64::MAX as u64);
        let outcome = receive_pieces(&mut connection, [&first[..], &huge, &[3, 4, 5]]);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.seen, [part(MessageKind::Binary, &[1, 2, 3, 4, 5])]);
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.2: RSV1 to RSV3 "MUST be 0 unless an extension is negotiated".
#[test]
fn each_reserved_bit_in_each_kind_of_frame_is_refused_at_the_second_byte() {
    fn rule<R: End>() {
        for bit in [0x40, 0x20, 0x10, 0x70] {
            for first in [FIN | TEXT, TEXT, FIN | BINARY, FIN | CONTINUATION, CLOSE, PING, PONG] {
                let bytes = R::from_peer(first | bit, b"");
                assert_eq!(error_of::<R>(&bytes[..1]), None);
                assert_eq!(error_of::<R>(&bytes[..2]), Some(ProtocolError::ReservedBits));
            }
        }
        // Within a message too, where RSV1 would be on a continuation.
        let bytes = [R::from_peer(TEXT, b"a"), R::from_peer(0x40 | FIN, b"b")].concat();
        assert_eq!(error_of::<R>(&bytes), Some(ProtocolError::ReservedBits));
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.2: "If an unknown opcode is received, [...] MUST _Fail the WebSocket
/// Connection_".
#[test]
fn each_reserved_opcode_is_refused_with_and_without_fin() {
    fn rule<R: End>() {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for fin in [0, FIN] {
                let bytes = R::from_peer(fin | opcode, b"x");
                assert_eq!(error_of::<R>(&bytes), Some(ProtocolError::ReservedOpcode));
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// RFC 6455 section 5.2: a header is read only when it is complete.
#[test]
fn a_header_in_part_is_neither_an_error_nor_consumed() {
    for len in [0, 125, 126, 65_535, 65_536, i64::MAX as u64] {
        read_in_part::<Server>(len);
        read_in_part::<TestClient>(len);
    }
}

fn read_in_part<R: End>(len: u64) {
    let mut bytes = R::header_from_peer(FIN | BINARY, len);
    for end in 0..bytes.len() {
        let mut connection = Connection::<R>::new();
        let mut input = &mut bytes[..end];
        assert_eq!(connection.receive(&mut input), Ok(None));
        assert_eq!(input.len(), end);
    }
}

/// RFC 6455 sections 5.2 and 7.1.7: the peer is told 1002, and the error is the application's too.
#[test]
fn a_broken_header_fails_the_connection_with_1002() {
    fn rule<R: End>() {
        let mut buffers = Buffers::default();
        let mut wire = Wire::bringing([R::from_peer(0xF1, b"")]);
        let mut websocket = buffers.open::<R>(&mut wire);
        let error = websocket.receive().err();
        assert_eq!(error, Some(Error::Protocol(ProtocolError::ReservedBits)));
        assert_eq!(websocket.receive().err(), Some(Error::Closed));
        assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1002, ""))]);
    }
    rule::<Server>();
    rule::<TestClient>();
}
