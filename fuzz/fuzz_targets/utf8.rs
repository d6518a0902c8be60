// SPDX-License-Identifier: Apache-2.0
//! Text in fragments and pieces, and reasons of Close frames, against the standard library: what is
//! not UTF-8 is refused at the first byte that no valid text could have there.
//!
//! Input: a byte of which bit 0 is the role and bit 1 says whether Pings go between the fragments;
//! where the stream is cut; where the text is cut into fragments; the text.

#![no_main]

use fuzz::receiving::receive;
use fuzz::script::Script;
use fuzz::support::{CLOSE, End, FIN, PING, Seen, TEXT, TestClient};
use libfuzzer_sys::fuzz_target;
use zephyr_websocket::{CloseFrame, ProtocolError, Server};

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let mode = script.byte();
    if mode & 1 == 0 { check::<Server>(mode, script) } else { check::<TestClient>(mode, script) }
});

/// The first byte that makes `text` the start of no valid text.
fn first_fault(text: &[u8]) -> Option<usize> {
    let is_start = |text: &[u8]| match core::str::from_utf8(text) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let valid = match core::str::from_utf8(text) {
        Ok(_) => return None,
        Err(error) => error.valid_up_to(),
    };
    let broken = &text[valid..];
    (1..=broken.len()).find(|&len| !is_start(&broken[..len])).map(|len| valid + len - 1)
}

fn check<R: End>(mode: u8, mut script: Script<'_>) {
    let cuts = script.cuts();
    let fragments = script.cuts();
    let text = script.rest();
    let fault = first_fault(text);
    let is_valid = core::str::from_utf8(text).is_ok();

    let mut stream = Vec::new();
    let mut rest = fragments.of_up_to(20, text).into_iter().peekable();
    let mut first = TEXT;
    let mut is_last_empty = false;
    while let Some(fragment) = rest.next() {
        let fin = if rest.peek().is_none() { FIN } else { 0 };
        stream.extend(R::from_peer(first | fin, fragment));
        first = 0;
        is_last_empty = fragment.is_empty();
        if mode & 2 != 0 && fin == 0 {
            stream.extend(R::from_peer(PING, b"\xFF"));
        }
    }
    let expected = if is_valid { None } else { Some(ProtocolError::InvalidUtf8) };
    let ways =
        [(vec![&stream[..]], false), (cuts.of(&stream), false), (stream.chunks(1).collect(), true)];
    for (pieces, is_bytewise) in ways {
        let received = receive::<R>(&stream, &pieces);
        assert_eq!(received.error, expected);
        let mut heard = Vec::new();
        let mut is_ended = false;
        for seen in &received.seen {
            if let Seen::Data { payload, fin, .. } = seen {
                heard.extend(payload);
                is_ended = *fin;
            }
        }
        assert!(text.starts_with(&heard));
        if is_valid {
            assert!(heard.len() == text.len() && is_ended);
        } else if is_bytewise {
            // The last byte may be one that a valid text has, but does not end with.
            let limit = fault.unwrap_or(text.len() - usize::from(!is_last_empty));
            assert_eq!(heard.len(), limit);
        } else {
            assert!(heard.len() <= fault.unwrap_or(text.len()) && !is_ended);
        }
    }

    let reason = &text[..text.len().min(CloseFrame::MAX_REASON_LEN)];
    let payload = [&1000u16.to_be_bytes(), reason].concat();
    let stream = R::from_peer(CLOSE, &payload);
    let received = receive::<R>(&stream, &cuts.of(&stream));
    match core::str::from_utf8(reason) {
        Ok(reason) => {
            assert_eq!(received.error, None);
            assert_eq!(received.seen, [Seen::Close(Some(1000), reason.to_owned())]);
        }
        Err(_) => {
            assert_eq!(received.error, Some(ProtocolError::InvalidUtf8));
            assert_eq!(received.seen, []);
        }
    }
}
