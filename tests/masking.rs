// SPDX-License-Identifier: Apache-2.0
//! Masking: RFC 6455 sections 5.1, 5.3 and 10.3.

mod support;

use support::*;
use zephyr_websocket::{Client, CloseCode, Connection, Error, MessageKind, ProtocolError, Server};

/// RFC 6455 section 5.1: "The server MUST close the connection upon receiving a frame that is not
/// masked", and a client "upon detecting a masked frame".
#[test]
fn a_frame_masked_against_its_role_fails_the_connection_whatever_it_is() {
    for first in [FIN | TEXT, BINARY, CLOSE, PING, PONG] {
        for payload in [b"".as_slice(), &close_payload(1000, "bye")] {
            let error = error_of::<Server>(&unmasked(first, payload));
            assert_eq!(error, Some(ProtocolError::NotMasked), "{first:x}");
            let error = error_of::<Client>(&masked(first, payload));
            assert_eq!(error, Some(ProtocolError::Masked), "{first:x}");
        }
    }
}

/// RFC 6455 section 5.1: "In this case, a server MAY send a Close frame with a status code of
/// 1002".
#[test]
fn the_peer_is_told_1002_for_a_masking_error() {
    let mut buffers = Buffers::default();
    let mut wire = Wire::bringing([unmasked(FIN | TEXT, b"plain")]);
    let error = buffers.open::<Server>(&mut wire).receive().err();
    assert_eq!(error, Some(Error::Protocol(ProtocolError::NotMasked)));
    assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1002, ""))]);

    let mut wire = Wire::bringing([masked(FIN | TEXT, b"hidden")]);
    let error = buffers.open::<TestClient>(&mut wire).receive().err();
    assert_eq!(error, Some(Error::Protocol(ProtocolError::Masked)));
    assert_eq!(contents(&wire.sent), [(CLOSE, close_payload(1002, ""))]);
}

/// RFC 6455 section 5.3; Straddling: moddable PR 1695 loses the phase across TCP splits, in
/// control payloads too.
#[test]
fn the_phase_of_the_mask_is_kept_over_every_two_splits() {
    let payload: Vec<u8> = (0..23).map(|index| index * 11).collect();
    let stream = [
        masked_with([1, 2, 4, 8], BINARY, &payload),
        masked_with([0x80, 0x41, 0x22, 0x13], PING, b"a ping in between"),
        masked_with([0xFF, 0x0F, 0xF0, 0x3C], FIN | CONTINUATION, &payload),
    ]
    .concat();
    let whole = receive::<Server>(&stream);
    assert_eq!(whole.error, None);
    let Seen::Data { payload: last, fin: true, .. } = &whole.seen[2] else { panic!() };
    assert!(whole.seen[1] == ping(b"a ping in between") && *last == payload);
    for first in 0..stream.len() {
        for second in first..stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(
                receive_pieces(&mut Connection::<Server>::new(), pieces),
                whole,
                "{first} {second}"
            );
        }
    }
}

/// RFC 6455 section 5.3: octet i of the payload is XORed with octet i modulo 4 of the key.
#[test]
fn a_client_masks_payloads_of_every_length_and_leaves_the_data_as_it_was() {
    let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let mut buffers = Buffers::default();
    for len in (0..300).chain([999, 1000]) {
        let mut wire = Wire::default();
        let payload = data[..len].to_vec();
        buffers.open::<TestClient>(&mut wire).sender().send_binary(&payload).unwrap();
        assert_eq!(payload, data[..len]);
        assert!(wire.sent == masked(FIN | BINARY, &payload), "{len}");
    }
}

/// RFC 6455 section 5.3: "The masking key needs to be unpredictable"; a new one for each frame.
#[test]
fn every_frame_of_a_client_has_a_fresh_key_from_the_entropy_source() {
    let pattern: Vec<u8> = (1..=28).collect();
    let mut buffers = Buffers::default();
    let mut wire = Wire::bringing([unmasked(PING, b"?")]);
    let mut client = buffers.open_as(&mut wire, Client(Pattern::new(&pattern)));
    client.sender().send_text("one").unwrap();
    client.sender().send_fragment(MessageKind::Binary, b"two", false).unwrap();
    client.sender().send_fragment(MessageKind::Binary, b"three", true).unwrap();
    client.sender().ping(b"four").unwrap();
    client.sender().pong(b"five").unwrap();
    client.receive().unwrap();
    client.sender().close(Some(CloseCode::NORMAL_CLOSURE), "seven").unwrap();
    let keys: Vec<[u8; 4]> = frames(&wire.sent).iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!(keys, pattern.as_chunks::<4>().0);
    let last = frames(&wire.sent).pop().unwrap();
    assert_eq!(last.payload, close_payload(1000, "seven"));
}

/// RFC 6455 section 5.1: "A server MUST NOT mask any frames"; Sending: Zephyr PR 83477.
#[test]
fn a_server_never_masks() {
    let mut buffers = Buffers::default();
    let mut wire = Wire::bringing([masked(PING, b"?"), masked(CLOSE, &close_payload(1000, ""))]);
    let mut server = buffers.open::<Server>(&mut wire);
    server.sender().send_text("text").unwrap();
    server.sender().send_binary(&[0; 300]).unwrap();
    server.sender().send_fragment(MessageKind::Text, b"", false).unwrap();
    server.sender().ping(b"ping").unwrap();
    server.sender().pong(b"pong").unwrap();
    server.receive().unwrap();
    server.receive().unwrap();
    let frames = frames(&wire.sent);
    assert_eq!(frames.len(), 7);
    assert!(frames.iter().all(|frame| frame.key.is_none()), "{frames:?}");
}

/// RFC 6455 section 10.3: a client without unpredictable bytes must not send predictable ones.
#[test]
fn without_entropy_nothing_is_sent() {
    let mut buffers = Buffers::default();
    let mut wire = Wire::default();
    let role = Client(Pattern::new(&KEY).failing_after(0));
    let mut client = buffers.open_as(&mut wire, role);
    assert_eq!(client.sender().send_text("secret"), Err(Error::Entropy));
    let fragment = client.sender().send_fragment(MessageKind::Text, b"secret", false);
    assert_eq!(fragment, Err(Error::Entropy));
    assert_eq!(client.sender().ping(b"secret"), Err(Error::Entropy));
    assert_eq!(client.sender().pong(b"secret"), Err(Error::Entropy));
    assert_eq!(client.sender().close(None, ""), Err(Error::Entropy));
    assert!(!client.sender().is_frame_begun());
    assert_eq!(wire.calls, []);
}

/// RFC 6455 section 10.3.
#[test]
fn a_ping_or_close_that_cannot_be_answered_for_want_of_entropy_is_an_error() {
    let mut buffers = Buffers::default();
    for first in [PING, CLOSE] {
        let mut wire = Wire::bringing([unmasked(first, b"")]);
        let role = Client(Pattern::new(&KEY).failing_after(0));
        assert_eq!(buffers.open_as(&mut wire, role).receive().err(), Some(Error::Entropy));
        assert_eq!(wire.sent, []);
    }
}
