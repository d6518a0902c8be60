// SPDX-License-Identifier: Apache-2.0
//! A response in arbitrary pieces: the verdict must not depend on them, and must be that of RFC
//! 6455 section 4.1 on what httparse reads. And a request made of whatever an application supplies,
//! which httparse and our own server must read as it was meant.
//!
//! Input: a byte that chooses which of the two, and the subprotocols that are offered. Then where
//! the response is cut and the response, or the parts of the request.

#![no_main]

use fuzz::http::{Parsed, Theirs, is_lenient, parse_request, parse_response};
use fuzz::script::{Cuts, Script};
use libfuzzer_sys::fuzz_target;
use zephyr_websocket::handshake::client::{Handshake, Request};
use zephyr_websocket::handshake::{Head, server};
use zephyr_websocket::{RequestError, ResponseError, UsageError};

/// The nonce of RFC 6455 section 1.3, and its answer.
const NONCE: &[u8; 16] = b"the sample nonce";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const OFFERS: [&[&str]; 4] = [&[], &["chat"], &["chat", "superchat"], &["Chat", "c"]];

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let mode = script.byte();
    if mode & 4 != 0 {
        return check_request(script);
    }
    let offered = OFFERS[usize::from(mode & 3)];
    let cuts = script.cuts();
    let bytes = script.rest();
    let request = Request { subprotocols: offered, ..Request::new("h", "/") };
    let new = || Handshake::new(&request, &Request::key(NONCE));
    let mut handshake = new();
    let is_over = handshake.read(bytes);
    check_pieces(bytes, cuts, new(), is_over, &handshake);
    check_verdict(bytes, is_over, &handshake, offered);
});

fn check_pieces(
    bytes: &[u8],
    cuts: Cuts<'_>,
    mut handshake: Handshake<'_>,
    is_over: bool,
    whole: &Handshake<'_>,
) {
    let mut arrived = 0;
    let mut was_over = false;
    for piece in cuts.of(bytes) {
        arrived += piece.len();
        let before = handshake.verdict();
        let is_over = handshake.read(&bytes[..arrived]);
        assert!(handshake.head_len() <= arrived);
        if was_over {
            assert!(is_over);
            assert_eq!(handshake.verdict(), before);
        } else if !is_over {
            assert_eq!(handshake.verdict(), Err(ResponseError::HeadTooLarge));
        }
        was_over = is_over;
    }
    assert_eq!(was_over, is_over);
    assert_eq!(handshake.verdict(), whole.verdict());
    assert_eq!(handshake.subprotocol(), whole.subprotocol());
    assert_eq!(handshake.head_len(), whole.head_len());
}

/// The rules that a response with the status 101 breaks, in the order of [`ResponseError`], and
/// whether one of them is told as soon as it is seen.
fn broken_rules(response: &Parsed, offered: &[&str]) -> (Vec<ResponseError>, bool) {
    let upgrade = response.words("upgrade");
    let accept = response.words("sec-websocket-accept");
    let extensions = response.words("sec-websocket-extensions");
    let chosen = response.words("sec-websocket-protocol");
    let is_upgrade = upgrade.len() == 1 && upgrade[0].eq_ignore_ascii_case(b"websocket");
    let is_chosen = match chosen[..] {
        [] => response.values("sec-websocket-protocol").count() == 0,
        [chosen] => {
            // An empty field before the one that chooses is no choice.
            let first = response.values("sec-websocket-protocol").next().unwrap_or_default();
            let is_offered = offered.iter().any(|offered| offered.as_bytes() == chosen);
            is_offered && first.iter().any(|byte| !b" \t,".contains(byte))
        }
        _ => false,
    };
    let rules = [
        (ResponseError::Malformed, response.minor == 1),
        (ResponseError::Upgrade, is_upgrade),
        (ResponseError::Connection, response.list_has("connection", "upgrade")),
        (ResponseError::Accept, accept == [ACCEPT]),
        (ResponseError::Subprotocol, is_chosen),
        (ResponseError::Extension, extensions.is_empty()),
    ];
    let is_told_at_once = !upgrade.is_empty() && !is_upgrade
        || !accept.is_empty() && accept != [ACCEPT]
        || !is_chosen
        || !extensions.is_empty();
    let broken = rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect();
    (broken, is_told_at_once)
}

fn check_verdict(bytes: &[u8], is_over: bool, handshake: &Handshake<'_>, offered: &[&str]) {
    use ResponseError as Error;
    let shown = bytes.escape_ascii();
    let verdict = handshake.verdict();
    let response = match (parse_response(bytes), verdict) {
        (Theirs::Complete(response), _) => response,
        (Theirs::Incomplete, Err(Error::HeadTooLarge)) => return,
        // Told before the end of the head.
        (_, Err(Error::Malformed | Error::Status(_) | Error::Upgrade | Error::Accept)) => return,
        (_, Err(Error::Subprotocol | Error::Extension)) => return,
        (Theirs::Refused, Err(Error::HeadTooLarge)) if !is_over => return,
        (theirs, _) => panic!("we: {verdict:?}, they: {theirs:?}: {shown}"),
    };
    let (broken, is_told_at_once) = broken_rules(&response, offered);
    match verdict {
        Err(Error::Malformed) if is_lenient(bytes) => return,
        // RFC 9110 section 15: a status has one of five classes.
        Err(Error::Malformed) if !(100..600).contains(&response.status) => return,
        Err(Error::Status(status)) => {
            assert!(status == response.status && status != 101, "{shown}");
            return;
        }
        Err(error) if is_told_at_once => {
            assert!(broken.contains(&error), "{error:?}, not {broken:?}: {shown}");
            return;
        }
        _ => assert_eq!(verdict.err().as_ref(), broken.first(), "{broken:?}: {shown}"),
    }
    assert_eq!(response.status, 101, "{shown}");
    assert_eq!(handshake.head_len(), response.len, "{shown}");
    let fields = Head::new(&bytes[..response.len]).fields();
    let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec()));
    assert_eq!(fields.collect::<Vec<_>>(), response.fields, "{shown}");
    let chosen = response.words("sec-websocket-protocol");
    assert_eq!(handshake.subprotocol().map(str::as_bytes), chosen.first().copied(), "{shown}");
}

/// A field that an application supplies must not be able to become two, or end the head.
fn check_request(mut script: Script<'_>) {
    let room = usize::from(script.byte()) * 8;
    let host = script.text();
    let resource_name = script.text();
    let mut subprotocols = Vec::new();
    let mut fields = Vec::new();
    for _ in 0..script.byte() & 3 {
        subprotocols.push(script.text());
    }
    for _ in 0..script.byte() & 3 {
        fields.push((script.text(), script.text()));
    }
    let subprotocols: Vec<&str> = subprotocols.iter().map(String::as_str).collect();
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = Request {
        host: &host,
        resource_name: &resource_name,
        subprotocols: &subprotocols,
        fields: &fields,
    };
    let key = Request::key(NONCE);
    let mut buffer = vec![0; 4096];
    let result = request.encode(&key, &mut buffer);
    let mut small = vec![0; room];
    match (result, request.encode(&key, &mut small)) {
        (Ok(len), Ok(small_len)) => assert_eq!((len, &buffer[..len]), (small_len, &small[..len])),
        (Ok(len), Err(error)) => {
            assert!(error == UsageError::BufferTooSmall && len > room);
        }
        (Err(error), small) => {
            assert!(error == UsageError::InvalidHeader && small == Err(error));
            return;
        }
    }
    let len = result.unwrap_or_default();
    let head = &buffer[..len];
    let shown = head.escape_ascii();
    let Theirs::Complete(parsed) = parse_request(head) else { panic!("{shown}") };
    assert_eq!((parsed.len, parsed.method.as_str(), parsed.minor), (len, "GET", 1), "{shown}");
    let slash = if resource_name.starts_with('/') { "" } else { "/" };
    assert_eq!(parsed.target, format!("{slash}{resource_name}").into_bytes(), "{shown}");
    let list = subprotocols.join(", ");
    let mut expected = vec![
        ("Host", host.as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    if !list.is_empty() {
        expected.push(("Sec-WebSocket-Protocol", &list));
    }
    expected.extend(fields.iter().copied());
    let expected = expected
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().trim_ascii().to_vec()));
    assert_eq!(parsed.fields, expected.collect::<Vec<_>>(), "{shown}");

    let mut handshake = server::Handshake::new();
    assert!(handshake.read(head));
    // Our server refuses what an application may say twice or wrongly, but finds no other fault.
    let is_own = |name: &str| {
        let own = ["host", "upgrade", "connection", "sec-websocket-version", "sec-websocket-key"];
        own.iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    match handshake.verdict() {
        Ok(()) => assert_eq!(handshake.head_len(), len),
        Err(RequestError::Host) if parsed.words("host").len() != 1 => {}
        Err(error) => assert!(fields.iter().any(|(name, _)| is_own(name)), "{error:?}: {shown}"),
    }
}
