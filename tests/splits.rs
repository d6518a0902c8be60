// SPDX-License-Identifier: Apache-2.0
//! A stream means the same in whatever pieces it arrives (RFC 6455 section 5: TCP knows no
//! frames). Straddling: embedded-websocket fails with pieces of 1, 3 and 61 bytes.

mod support;

use support::*;
use zephyr_websocket::{Connection, Error, ProtocolError, Server};

/// A stream from the peer, and the error that it ends in.
struct Stream {
    name: &'static str,
    bytes: Vec<u8>,
    error: Option<ProtocolError>,
}

fn corpus<R: End>() -> Vec<Stream> {
    use ProtocolError as P;
    let f = R::from_peer;
    let mask = R::header_from_peer(FIN, 0)[1];
    let text_of = |len: usize| "t\u{20AC}xt ".repeat(len).into_bytes()[..len].to_vec();
    let bytes_of = |len: usize| (0..len).map(|index| (index * 31) as u8).collect::<Vec<u8>>();
    let wrong_mask = |first| {
        // What the peer's own peer sends.
        if mask == 0 { masked(first, b"masked") } else { unmasked(first, b"unmasked") }
    };
    let valid: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("nothing", vec![]),
        ("an empty text", vec![f(FIN | TEXT, b"")]),
        ("an empty binary", vec![f(FIN | BINARY, b"")]),
        (
            "text of characters of every length",
            vec![f(FIN | TEXT, "a\u{E4}\u{20AC}\u{1F600}".as_bytes())],
        ),
        ("binary that is not UTF-8", vec![f(FIN | BINARY, b"\xFF\xFE\x80\0")]),
        ("125 bytes", vec![f(FIN | BINARY, &bytes_of(125))]),
        ("126 bytes", vec![f(FIN | BINARY, &bytes_of(126))]),
        ("text over the receive buffer", vec![f(FIN | TEXT, &text_of(400)[..398])]),
        ("65,535 bytes", vec![f(FIN | BINARY, &bytes_of(65_535)), f(PING, b"then")]),
        ("65,536 bytes", vec![f(FIN | BINARY, &bytes_of(65_536)), f(PING, b"then")]),
        ("fragments", vec![f(TEXT, b"one "), f(0, b"two "), f(FIN, b"three")]),
        ("empty fragments", vec![f(BINARY, b""), f(0, b""), f(0, b""), f(FIN, b"")]),
        ("only the last fragment has data", vec![f(TEXT, b""), f(0, b""), f(FIN, b"end")]),
        ("only the first fragment has data", vec![f(TEXT, b"start"), f(0, b""), f(FIN, b"")]),
        (
            "a character in four fragments",
            vec![f(TEXT, b"\xF0"), f(0, b"\x9F"), f(0, b"\x98"), f(FIN, b"\x80")],
        ),
        ("an empty Ping", vec![f(PING, b"")]),
        ("the longest Ping", vec![f(PING, &bytes_of(125))]),
        ("an empty Pong", vec![f(PONG, b"")]),
        ("the longest Pong", vec![f(PONG, &bytes_of(125))]),
        ("Pings in a row", vec![f(PING, b"1"), f(PING, b"22"), f(PING, b""), f(PONG, b"333")]),
        (
            "control frames between fragments",
            vec![
                f(TEXT, b"\xE2"),
                f(PING, b"\xFF"),
                f(0, b"\x82"),
                f(PONG, &bytes_of(125)),
                f(FIN, b"\xAC"),
            ],
        ),
        (
            "messages in a row",
            vec![f(FIN | TEXT, b"a"), f(FIN | BINARY, b"b"), f(TEXT, b"c"), f(FIN, b"d")],
        ),
        ("an empty Close", vec![f(CLOSE, b"")]),
        ("a Close with a code", vec![f(CLOSE, &close_payload(1000, ""))]),
        ("the longest Close", vec![f(CLOSE, &close_payload(3000, &"\u{20AC}".repeat(41)))]),
        (
            "a Close within a message",
            vec![f(TEXT, b"begun"), f(CLOSE, &close_payload(1001, "gone"))],
        ),
        ("data after Close", vec![f(CLOSE, b""), f(FIN | TEXT, b"late"), f(PING, b"late")]),
        ("junk after Close", vec![f(CLOSE, &close_payload(4000, "x")), vec![0xFF; 150]]),
        (
            "a header cut off",
            vec![f(FIN | TEXT, b"whole"), vec![FIN | BINARY, mask | 127, 0, 0, 0]],
        ),
        (
            "a payload cut off",
            vec![f(FIN | TEXT, b"cut")[..8 - usize::from(mask == 0) * 4].to_vec()],
        ),
        ("a Ping cut off", vec![f(PING, &bytes_of(125))[..100].to_vec()]),
        (
            "a huge frame's start",
            vec![R::header_from_peer(FIN | BINARY, i64::MAX as u64), bytes_of(200)],
        ),
    ];
    let invalid: Vec<(&str, ProtocolError, Vec<Vec<u8>>)> = vec![
        ("RSV1", P::ReservedBits, vec![f(0x40 | FIN | TEXT, b"x")]),
        ("RSV2 on a Ping", P::ReservedBits, vec![f(FIN | TEXT, b"x"), f(0x20 | PING, b"x")]),
        ("RSV3 on a continuation", P::ReservedBits, vec![f(TEXT, b"x"), f(0x10, b"x")]),
        ("opcode 3", P::ReservedOpcode, vec![f(FIN | 3, b"x")]),
        ("opcode 7 in a message", P::ReservedOpcode, vec![f(TEXT, b"x"), f(7, b"x")]),
        ("opcode 11", P::ReservedOpcode, vec![f(FIN | 11, b"")]),
        ("opcode 15 after a Ping", P::ReservedOpcode, vec![f(PING, b"x"), f(15, b"")]),
        ("a Close without FIN", P::FragmentedControlFrame, vec![f(8, b"")]),
        ("a Ping without FIN", P::FragmentedControlFrame, vec![f(9, b"ping")]),
        ("a Pong without FIN", P::FragmentedControlFrame, vec![f(10, b"pong")]),
        ("a Ping of 126 bytes", P::ControlFrameTooLong, vec![f(PING, &bytes_of(126))]),
        ("a Pong of 65,536 bytes", P::ControlFrameTooLong, vec![R::header_from_peer(PONG, 65_536)]),
        (
            "a Close of 126 bytes",
            P::ControlFrameTooLong,
            vec![f(CLOSE, &close_payload(1000, &"r".repeat(124)))],
        ),
        (
            "125 in 16 bits",
            P::LengthNotMinimal,
            vec![vec![FIN | TEXT, mask | 126, 0, 125], bytes_of(129)],
        ),
        (
            "65,535 in 64 bits",
            P::LengthNotMinimal,
            vec![vec![BINARY, mask | 127, 0, 0, 0, 0, 0, 0, 255, 255]],
        ),
        (
            "2^63 bytes",
            P::LengthTooLarge,
            vec![vec![FIN | TEXT, mask | 127, 128, 0, 0, 0, 0, 0, 0, 0]],
        ),
        ("2^64 - 1 bytes", P::LengthTooLarge, vec![vec![FIN | BINARY, mask | 127], vec![255; 12]]),
        ("a continuation first", P::NothingToContinue, vec![f(FIN, b"x")]),
        (
            "a continuation after the end",
            P::NothingToContinue,
            vec![f(FIN | TEXT, b"x"), f(0, b"")],
        ),
        ("text within text", P::MessageNotFinished, vec![f(TEXT, b"x"), f(FIN | TEXT, b"y")]),
        (
            "binary within text",
            P::MessageNotFinished,
            vec![f(TEXT, b"x"), f(PING, b""), f(BINARY, b"")],
        ),
        ("text that never was", P::InvalidUtf8, vec![f(FIN | TEXT, b"valid \xFF invalid")]),
        ("an overlong character", P::InvalidUtf8, vec![f(TEXT, b"abc\xE0\x80"), f(FIN, b"\x80")]),
        (
            "a surrogate in two fragments",
            P::InvalidUtf8,
            vec![f(TEXT, b"abc\xED"), f(FIN, b"\xA0\x80")],
        ),
        (
            "a character cut off by FIN",
            P::InvalidUtf8,
            vec![f(FIN | TEXT, b"x"), f(FIN | TEXT, b"y\xE2\x82")],
        ),
        (
            "a character cut off by an empty FIN",
            P::InvalidUtf8,
            vec![f(TEXT, b"y\xF0\x9F"), f(FIN, b"")],
        ),
        (
            "bad text over the receive buffer",
            P::InvalidUtf8,
            vec![f(FIN | TEXT, &[&text_of(299)[..], b"\xC0"].concat())],
        ),
        ("a Close of one byte", P::ClosePayloadLength, vec![f(PING, b"x"), f(CLOSE, &[3])]),
        ("close code 0", P::CloseCode, vec![f(CLOSE, &[0, 0])]),
        ("close code 1005", P::CloseCode, vec![f(TEXT, b"x"), f(CLOSE, &close_payload(1005, "r"))]),
        ("close code 65,535", P::CloseCode, vec![f(CLOSE, &[255, 255])]),
        ("a reason that is not UTF-8", P::InvalidUtf8, vec![f(CLOSE, b"\x03\xE8why\xFF?")]),
        ("a reason cut off", P::InvalidUtf8, vec![f(CLOSE, b"\x03\xE8why\xE2\x82")]),
        (
            "a frame of the wrong masking",
            mask_error(mask),
            vec![f(FIN | TEXT, b"x"), wrong_mask(FIN | TEXT)],
        ),
        ("a Ping of the wrong masking", mask_error(mask), vec![wrong_mask(PING)]),
        (
            "a wrong masking within a message",
            mask_error(mask),
            vec![f(TEXT, b"x"), wrong_mask(FIN)],
        ),
    ];
    let valid = valid.into_iter().map(|(name, frames)| (name, None, frames));
    let invalid = invalid.into_iter().map(|(name, error, frames)| (name, Some(error), frames));
    valid
        .chain(invalid)
        .map(|(name, error, frames)| Stream { name, bytes: frames.concat(), error })
        .collect()
}

const fn mask_error(mask_of_peer: u8) -> ProtocolError {
    if mask_of_peer == 0 { ProtocolError::Masked } else { ProtocolError::NotMasked }
}

/// Calls `check` with every way to cut `bytes` that is worth a look.
fn for_every_cut(bytes: &[u8], mut check: impl FnMut(&[&[u8]])) {
    for len in [1, 3, 61] {
        check(&bytes.chunks(len).collect::<Vec<_>>());
    }
    for split in 0..=bytes.len() {
        // The inside of a long payload is all the same.
        let is_inside = 300 < split && split + 300 < bytes.len();
        if !is_inside || split % 4099 == 0 {
            let (first, second) = bytes.split_at(split);
            check(&[first, second]);
        }
    }
}

/// The same events. Of text that turns out to be invalid, as much may have been handed out before
/// as had arrived by then.
fn assert_same(whole: &[Seen], cut: &[Seen], error: Option<ProtocolError>, name: &str) {
    let (whole, cut) = if error == Some(ProtocolError::InvalidUtf8) {
        (without_begun_message(whole), without_begun_message(cut))
    } else {
        (whole, cut)
    };
    assert!(whole == cut, "{name}: {whole:?} became {cut:?}");
}

fn without_begun_message(seen: &[Seen]) -> &[Seen] {
    match seen {
        [before @ .., Seen::Data { fin: false, .. }] => before,
        all => all,
    }
}

#[test]
fn a_connection_finds_the_same_events_and_error_in_whatever_pieces() {
    fn rule<R: End>() {
        for Stream { name, bytes, error } in corpus::<R>() {
            let whole = receive::<R>(&bytes);
            assert_eq!(whole.error, error, "{name}");
            for_every_cut(&bytes, |pieces| {
                let cut = receive_pieces(&mut Connection::<R>::new(), pieces.iter().copied());
                assert_eq!(cut.error, error, "{name}");
                assert_same(&whole.seen, &cut.seen, error, name);
            });
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

#[test]
fn a_websocket_with_the_smallest_buffers_finds_and_answers_the_same_in_whatever_pieces() {
    fn rule<R: End>() {
        let mut buffers = Buffers::default();
        for Stream { name, bytes, error } in corpus::<R>() {
            let expected = receive::<R>(&bytes).seen;
            let is_closed = matches!(expected.last(), Some(Seen::Close(..)));
            let mut answers = None;
            for_every_cut(&bytes, |pieces| {
                let mut wire = Wire::bringing(pieces).ended();
                let cut = receive_until_error(&mut buffers.open::<R>(&mut wire));
                match error {
                    Some(error) => assert_eq!(cut.error, Error::Protocol(error), "{name}"),
                    None if is_closed => assert_eq!(cut.error, Error::Closed, "{name}"),
                    None => assert_eq!(cut.error, Error::Disconnected, "{name}"),
                }
                assert_same(&expected, &cut.seen, error, name);
                let answers = answers.get_or_insert_with(|| wire.sent.clone());
                assert!(*answers == wire.sent, "{name}");
            });
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// The corpus itself: every event and every error of a role is in it.
#[test]
fn the_corpus_has_every_event_and_every_error() {
    fn rule<R: End>(mask_error: ProtocolError) {
        let corpus = corpus::<R>();
        for error in [
            ProtocolError::ReservedBits,
            ProtocolError::ReservedOpcode,
            ProtocolError::FragmentedControlFrame,
            ProtocolError::ControlFrameTooLong,
            ProtocolError::LengthNotMinimal,
            ProtocolError::LengthTooLarge,
            mask_error,
            ProtocolError::NothingToContinue,
            ProtocolError::MessageNotFinished,
            ProtocolError::InvalidUtf8,
            ProtocolError::ClosePayloadLength,
            ProtocolError::CloseCode,
        ] {
            assert!(corpus.iter().any(|stream| stream.error == Some(error)), "{error:?}");
        }
        let seen: Vec<Seen> =
            corpus.iter().flat_map(|stream| receive::<R>(&stream.bytes).seen).collect();
        assert!(seen.contains(&text("")) && seen.contains(&binary(b"")));
        assert!(seen.contains(&ping(b"")) && seen.contains(&pong(b"")));
        assert!(
            seen.contains(&closed(1000, "")) && seen.contains(&Seen::Close(None, String::new()))
        );
    }
    rule::<Server>(ProtocolError::NotMasked);
    rule::<TestClient>(ProtocolError::Masked);
}
