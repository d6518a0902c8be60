// SPDX-License-Identifier: Apache-2.0
//! A request in arbitrary pieces: the verdict must not depend on them, must be that of RFC 6455
//! section 4.2.1 on what httparse reads, and the answer must fit it.
//!
//! Input: where the request is cut; the request and what follows it.

#![no_main]

use base64ct::{Base64, Encoding};
use fuzz::http::{Parsed, Theirs, is_lenient, parse_request, parse_response};
use fuzz::script::{Cuts, Script};
use libfuzzer_sys::fuzz_target;
use zephyr_websocket::handshake::Key;
use zephyr_websocket::handshake::server::{Acceptance, Handshake, Request};
use zephyr_websocket::{RequestError, UsageError};

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let cuts = script.cuts();
    let bytes = script.rest();
    let mut handshake = Handshake::new();
    let is_over = handshake.read(bytes);
    check_pieces(bytes, cuts, is_over, &handshake);
    check_verdict(bytes, is_over, &handshake);
    check_reply(bytes, handshake);
});

fn check_pieces(bytes: &[u8], cuts: Cuts<'_>, is_over: bool, whole: &Handshake) {
    let mut handshake = Handshake::new();
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
            assert_eq!(handshake.verdict(), Err(RequestError::HeadTooLarge));
        }
        was_over = is_over;
    }
    assert_eq!(was_over, is_over);
    assert_eq!(handshake.verdict(), whole.verdict());
    assert_eq!(handshake.head_len(), whole.head_len());
}

/// What httparse makes of the request. It knows HTTP/1.0 and 1.1 only; RFC 9110 section 2.5 has a
/// recipient take a higher minor version for 1.1.
fn parsed(bytes: &[u8]) -> Theirs {
    let end = bytes.iter().position(|&byte| byte == b'\r').unwrap_or(0);
    if let [.., b'2'..=b'9'] = bytes[..end]
        && bytes[..end - 1].ends_with(b" HTTP/1.")
    {
        let mut bytes = bytes.to_vec();
        bytes[end - 1] = b'1';
        return parse_request(&bytes);
    }
    parse_request(bytes)
}

fn is_key(word: &[u8]) -> bool {
    let mut nonce = [0; 18];
    let text = core::str::from_utf8(word).unwrap_or_default();
    Base64::decode(text, &mut nonce).is_ok_and(|nonce| nonce.len() == 16)
}

fn is_target(target: &[u8]) -> bool {
    let lower = target.to_ascii_lowercase();
    let schemes: [&[u8]; 3] = [b"/", b"http://", b"https://"];
    schemes.iter().any(|scheme| lower.starts_with(scheme)) && !target.contains(&b'#')
}

/// The rules that a request breaks, in the order that [`RequestError`] gives, and whether one of
/// them is told as soon as it is seen.
fn broken_rules(request: &Parsed) -> (Vec<RequestError>, bool) {
    let host = request.words("host");
    let version = request.words("sec-websocket-version");
    let key = request.words("sec-websocket-key");
    let is_old = request.minor == 0;
    let upgrades = request.list_has("upgrade", "websocket");
    let rules = [
        (RequestError::NotWebSocket, !is_old),
        (RequestError::Host, host.len() == 1),
        (RequestError::Method, request.method == "GET"),
        (RequestError::NotWebSocket, upgrades),
        (RequestError::Connection, request.list_has("connection", "upgrade")),
        (RequestError::Version, version == [b"13"]),
        (RequestError::Key, key.len() == 1 && is_key(key[0])),
        (RequestError::Target, is_target(&request.target)),
    ];
    let is_told_at_once = host.len() > 1
        || !version.is_empty() && version != [b"13"]
        || !key.is_empty() && (key.len() > 1 || !is_key(key[0]));
    let broken = rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect();
    (broken, is_told_at_once)
}

fn check_verdict(bytes: &[u8], is_over: bool, handshake: &Handshake) {
    let shown = bytes.escape_ascii();
    let verdict = handshake.verdict();
    let request = match (parsed(bytes), verdict) {
        (Theirs::Complete(request), _) => request,
        (Theirs::Incomplete, Err(RequestError::HeadTooLarge)) => return,
        // Told before the end of the head.
        (_, Err(RequestError::Host | RequestError::Version | RequestError::Key)) => return,
        (_, Err(RequestError::Malformed | RequestError::HttpVersion)) => return,
        // A first byte out of place is refused in the next piece, when CR turns out to be alone.
        (Theirs::Refused, Err(RequestError::HeadTooLarge)) if !is_over => return,
        (theirs, _) => panic!("we: {verdict:?}, they: {theirs:?}: {shown}"),
    };
    let (broken, is_told_at_once) = broken_rules(&request);
    match verdict {
        // No URI has bytes over 7F (RFC 3986 section 2).
        Err(RequestError::Malformed) if is_lenient(bytes) || !request.target.is_ascii() => return,
        Err(error) if is_told_at_once => {
            assert!(broken.contains(&error), "{error:?}, not {broken:?}: {shown}");
            return;
        }
        _ => assert_eq!(verdict.err().as_ref(), broken.first(), "{broken:?}: {shown}"),
    }

    let head_len = handshake.head_len();
    assert_eq!(head_len, request.len, "{shown}");
    let ours = Request::new(&bytes[..head_len]);
    assert_eq!(ours.method(), request.method, "{shown}");
    let fields = ours.head().fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
    assert_eq!(fields.collect::<Vec<_>>(), request.fields, "{shown}");
    for (name, _) in &request.fields {
        let name = core::str::from_utf8(name).expect("names are ASCII");
        assert_eq!(ours.head().field(name), request.values(name).next());
    }
    let target = core::str::from_utf8(&request.target).expect("only ASCII passes");
    let name = ours.resource_name();
    assert!(target.ends_with(name) || name == "/", "{shown}");
    if target.starts_with('/') {
        assert_eq!(name, target, "{shown}");
    } else if verdict.is_ok() {
        assert!(name.starts_with(['/', '?']), "{shown}");
    }
    let query = ours.query().map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(format!("{}{query}", ours.path()), name, "{shown}");
    assert!(!ours.path().contains('?'));
    let lists = request.values("sec-websocket-protocol");
    let members = lists.flat_map(|list| list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    let members = members.filter(|member| !member.is_empty());
    let offered = members.map(|member| core::str::from_utf8(member).unwrap_or_default());
    assert!(offered.eq(ours.subprotocols()), "{shown}");
}

fn check_reply(bytes: &[u8], mut handshake: Handshake) {
    let verdict = handshake.verdict();
    let reply = handshake.respond();
    assert_eq!(handshake.verdict(), verdict, "an answer changed the verdict");
    let Theirs::Complete(response) = parse_response(reply.as_bytes()) else { panic!() };
    assert_eq!((response.len, response.minor), (reply.as_bytes().len(), 1));
    let Err(error) = verdict else { return check_acceptance(bytes, handshake, &response) };
    assert_eq!(response.status, error.status().code());
    assert!(response.list_has("connection", "close"));
    assert_eq!(response.values("sec-websocket-accept").count(), 0);
}

fn check_acceptance(bytes: &[u8], mut handshake: Handshake, response: &Parsed) {
    assert_eq!(response.status, 101);
    let request = Request::new(&bytes[..handshake.head_len()]);
    let Theirs::Complete(theirs) = parsed(bytes) else { panic!("checked before") };
    let key: Key = theirs.words("sec-websocket-key")[0].try_into().expect("checked before");
    let mut sha1 = sha1_smol::Sha1::from(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = Base64::encode_string(&sha1.digest().bytes());
    assert!(response.values("sec-websocket-accept").eq([accept.as_bytes()]));
    assert!(response.list_has("connection", "upgrade"));
    assert!(response.list_has("upgrade", "websocket"));

    let mut buffer = [0; 4096];
    let fields = [("X-More", "more")];
    for subprotocol in request.subprotocols().take(3) {
        let acceptance = Acceptance { subprotocol: Some(subprotocol), fields: &fields };
        match acceptance.encode(&mut handshake, &request, &mut buffer) {
            Ok(len) => {
                let Theirs::Complete(response) = parse_response(&buffer[..len]) else { panic!() };
                assert_eq!(response.len, len);
                assert_eq!(response.fields.len(), 5);
                let mut chosen = response.values("sec-websocket-protocol");
                assert_eq!(chosen.next(), Some(subprotocol.trim().as_bytes()));
            }
            Err(error) => assert!(error == UsageError::BufferTooSmall && subprotocol.len() > 3000),
        }
    }
    let acceptance = Acceptance { subprotocol: Some("not, offered"), fields: &[] };
    let result = acceptance.encode(&mut handshake, &request, &mut buffer);
    assert_eq!(result, Err(UsageError::SubprotocolNotOffered));
}
