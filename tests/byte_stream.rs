// SPDX-License-Identifier: Apache-2.0
//! Bytes without ends of messages, as protocols over WebSocket have them (MQTT 5.0 section 6).

mod support;

use embedded_io::{Error as _, ErrorKind, Read, Write};
use support::*;
use zephyr_websocket::{ByteStream, CloseCode, Error, Server};

fn read_all(stream: &mut impl Read, at_once: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = vec![0; at_once];
    loop {
        match stream.read(&mut bytes).unwrap() {
            0 => return all,
            count => all.extend(&bytes[..count]),
        }
    }
}

#[test]
fn what_is_read_is_the_payload_of_all_binary_messages() {
    let sent = [
        masked(BINARY, b"one "),
        masked(PING, b"between"),
        masked(CONTINUATION, b"message in "),
        masked(CONTINUATION, b""),
        masked(FIN | CONTINUATION, b"fragments, "),
        masked(FIN | BINARY, b""),
        masked(PONG, b""),
        masked(FIN | BINARY, &[b'x'; 300]),
        masked(CLOSE, &close_payload(1000, "")),
    ];
    let expected = [b"one message in fragments, ".to_vec(), vec![b'x'; 300]].concat();
    for at_once in [1, 7, 1000] {
        for piece in [1, 3, 61, 4096] {
            let mut wire = Wire::bringing(sent.concat().chunks(piece));
            let mut buffers = Buffers::default();
            let mut stream = ByteStream::new(buffers.open::<Server>(&mut wire));
            assert_eq!(read_all(&mut stream, at_once), expected);
            assert_eq!(stream.read(&mut [0; 8]), Ok(0), "the end stays");
            let answers = [unmasked(PONG, b"between"), unmasked(CLOSE, &close_payload(1000, ""))];
            assert_eq!(wire.sent, answers.concat());
        }
    }
}

#[test]
fn a_read_of_nothing_does_not_wait() {
    let mut wire = Wire::default();
    let mut buffers = Buffers::default();
    let mut stream = ByteStream::new(buffers.open::<Server>(&mut wire));
    assert_eq!(stream.read(&mut []), Ok(0));
    assert_eq!(stream.read(&mut [0]), Err(Error::TimedOut));
}

#[test]
fn a_text_message_fails_the_connection_with_1003() {
    let mut wire = Wire::bringing([masked(FIN | TEXT, b"CONNECT")]);
    let mut buffers = Buffers::default();
    let mut stream = ByteStream::new(buffers.open::<Server>(&mut wire));
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!((error, error.kind()), (Error::UnsupportedData, ErrorKind::InvalidData));
    assert_eq!(error.close_code(), Some(CloseCode::UNSUPPORTED_DATA));
    assert_eq!(stream.read(&mut [0; 8]), Err(Error::Closed));
    assert_eq!(wire.sent, unmasked(CLOSE, &close_payload(1003, "")));
}

#[test]
fn a_peer_that_goes_without_a_close_frame_is_no_end_of_the_stream() {
    let mut wire = Wire::bringing([masked(FIN | BINARY, b"half a ")]).ended();
    let mut buffers = Buffers::default();
    let mut stream = ByteStream::new(buffers.open::<Server>(&mut wire));
    assert_eq!(stream.read(&mut [0; 100]), Ok(7));
    assert_eq!(stream.read(&mut [0; 100]), Err(Error::Disconnected));
}

#[test]
fn a_write_is_one_binary_message_however_often_it_is_interrupted() {
    let payload: Vec<u8> = (0..2000u32).map(|i| (i % 251) as u8).collect();
    let mut wire = Wire::default();
    wire.make_room([
        Room::Bytes(1),
        Room::TimedOut,
        Room::Bytes(700),
        Room::TimedOut,
        Room::TimedOut,
    ]);
    let mut buffers = Buffers::default();
    let mut stream = ByteStream::new(buffers.open::<Server>(&mut wire));
    let mut timeouts = 0;
    while let Err(error) = stream.write(&payload) {
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        timeouts += 1;
    }
    assert_eq!(timeouts, 3);
    assert_eq!(stream.write(b""), Ok(0));
    stream.write_all(b"next").unwrap();
    let expected = [unmasked(FIN | BINARY, &payload), unmasked(FIN | BINARY, b"next")].concat();
    assert!(wire.sent == expected);
}
