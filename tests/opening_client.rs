// SPDX-License-Identifier: Apache-2.0
//! The client's side of the opening handshake: RFC 6455 section 4.1.

mod support;

use support::*;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{Error, MIN_TX_BUFFER, MessageKind, ResponseError, UsageError, connect};

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols";

/// What a client learns from a server that answers `response` and ends the stream.
fn learn<'r>(response: &[u8], request: &Request<'r>) -> Result<Option<&'r str>, Error<WireError>> {
    let mut wire = Wire::bringing([response]).ended();
    connect_with(&mut wire, request, &mut Buffers::of(1024, MIN_TX_BUFFER))
}

fn connect_with<'r>(
    wire: &mut Wire,
    request: &Request<'r>,
    buffers: &mut Buffers,
) -> Result<Option<&'r str>, Error<WireError>> {
    let connected = connect(wire, Pattern::new(NONCE), request, &mut buffers.rx, &mut buffers.tx)?;
    Ok(connected.subprotocol)
}

#[track_caller]
fn assert_refused(response: &[u8], error: ResponseError) {
    let learnt = learn(response, &Request::new("h", "/"));
    assert_eq!(learnt, Err(Error::Response(error)), "{}", response.escape_ascii());
}

#[track_caller]
fn assert_accepted(response: &[u8]) {
    let learnt = learn(response, &Request::new("h", "/"));
    assert_eq!(learnt, Ok(None), "{}", response.escape_ascii());
}

fn response_with(name: &str, lines: &[&str]) -> Vec<u8> {
    head(SWITCHING, &replacing(&RESPONSE_FIELDS, name, lines))
}

/// RFC 6455 sections 1.2 and 4.1.
#[test]
fn the_request_has_every_field_that_is_required_once_and_leaves_in_one_write() {
    let request = Request {
        host: "server.example.com",
        resource_name: "/chat?room=1",
        subprotocols: &["chat", "superchat"],
        fields: &[("Origin", "http://example.com"), ("Cookie", "a=b; c=d")],
    };
    let mut wire = Wire::bringing([head(SWITCHING, &RESPONSE_FIELDS)]);
    assert_eq!(connect_with(&mut wire, &request, &mut Buffers::of(1024, 200)), Ok(None));
    let sent = String::from_utf8(wire.sent.clone()).unwrap();
    let (request_line, fields) = sent.split_once("\r\n").unwrap();
    assert_eq!(request_line, "GET /chat?room=1 HTTP/1.1");
    let mut fields: Vec<&str> = fields.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
    fields.sort_unstable();
    let expected = [
        "Connection: Upgrade",
        "Cookie: a=b; c=d",
        "Host: server.example.com",
        "Origin: http://example.com",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Version: 13",
        "Upgrade: websocket",
    ];
    assert_eq!(fields, expected);
    assert_eq!(wire.writes().len(), 1);
}

/// RFC 6455 section 3: a "/" where the path is empty; RFC 9110 section 7.2 for Host.
#[test]
fn an_empty_path_is_sent_as_a_slash() {
    for (resource_name, line) in [
        ("", "GET / HTTP/1.1\r\n"),
        ("?q", "GET /?q HTTP/1.1\r\n"),
        ("/", "GET / HTTP/1.1\r\n"),
        ("/~%20!$&'()*+,;=:@", "GET /~%20!$&'()*+,;=:@ HTTP/1.1\r\n"),
    ] {
        let mut wire = Wire::default().ended();
        let request = Request::new("[::1]:8080", resource_name);
        let result = connect_with(&mut wire, &request, &mut Buffers::of(1024, 200));
        assert_eq!(result, Err(Error::Disconnected));
        assert!(wire.sent.starts_with(line.as_bytes()));
        assert!(wire.sent.windows(20).any(|window| window == b"\r\nHost: [::1]:8080\r\n"));
        assert!(!wire.sent.windows(8).any(|window| window == b"Protocol"));
    }
}

/// RFC 6455 section 4.1: "The nonce MUST be selected randomly for each connection."
#[test]
fn the_key_is_made_of_fresh_entropy_and_without_it_nothing_is_sent() {
    let mut keys = Vec::new();
    for start in [b'a', b'b'] {
        let mut wire = Wire::default().ended();
        let entropy = Pattern::new(&[start; 16]);
        let mut buffers = Buffers::of(1024, 200);
        let request = Request::new("h", "/");
        assert!(connect(&mut wire, entropy, &request, &mut buffers.rx, &mut buffers.tx).is_err());
        keys.push(wire.sent);
    }
    assert!(keys[0].windows(24).any(|window| window == b"YWFhYWFhYWFhYWFhYWFhYQ=="));
    assert!(keys[1].windows(24).any(|window| window == b"YmJiYmJiYmJiYmJiYmJiYg=="));

    let mut wire = Wire::default();
    let entropy = Pattern::new(NONCE).failing_after(0);
    let mut buffers = Buffers::of(1024, 200);
    let request = Request::new("h", "/");
    let result = connect(&mut wire, entropy, &request, &mut buffers.rx, &mut buffers.tx).map(drop);
    assert_eq!(result, Err(Error::Entropy));
    assert_eq!(wire.sent, []);
}

/// RFC 6455 section 1.3.
#[test]
fn the_example_response_is_accepted_in_any_case_and_order() {
    assert_accepted(&head(SWITCHING, &RESPONSE_FIELDS));
    let mut reversed = RESPONSE_FIELDS;
    reversed.reverse();
    assert_accepted(&head(SWITCHING, &reversed));
    let accept = format!("SEC-WEBSOCKET-ACCEPT:\t{ACCEPT}\t");
    let fields = ["upgrade:WebSocket", "CONNECTION: keep-alive , upgrade", &accept, "Date: today"];
    assert_accepted(&head("HTTP/1.1 101 ", &fields));
    assert_accepted(&head("HTTP/1.1 101 Bienvenue", &fields));
}

/// RFC 6455 section 4.1 item 1; Handshake: Zephyr's client does not look at the status.
#[test]
fn a_status_other_than_101_is_refused_and_told() {
    for status in [200, 201, 204, 301, 302, 400, 401, 403, 404, 426, 500, 503, 599] {
        let response = head(&format!("HTTP/1.1 {status} Some Reason"), &RESPONSE_FIELDS);
        assert_refused(&response, ResponseError::Status(status));
    }
}

/// RFC 6455 section 4.1 item 1: "the client handles the response per HTTP"; an HTTP/1.0 server has
/// a status too, but can switch no protocol.
#[test]
fn an_http_1_0_response_is_refused_with_its_status() {
    assert_refused(&head("HTTP/1.0 404 Not Found", &[]), ResponseError::Status(404));
    let switching = head("HTTP/1.0 101 Switching Protocols", &RESPONSE_FIELDS);
    assert!(learn(&switching, &Request::new("h", "/")).is_err());
}

/// RFC 9112 section 4.
#[test]
fn a_status_line_that_is_not_valid_is_refused() {
    for line in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 10",
        "HTTP/1.1 1010 x",
        "HTTP/1.1 1O1 x",
        "HTTP/1.1 -101 x",
        "HTTP/1.1 000 x",
        "HTTP/1.1 99 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 999 x",
        "HTTP/1.1  101 x",
        "HTTP/1.1 101x",
        "HTTP/1.1\t101 x",
        " HTTP/1.1 101 x",
        "http/1.1 101 x",
        "HTTP/2 101 x",
        "HTTP/2.0 101 x",
        "HTTP/1.11 101 x",
        "HTTP/1.x 101 x",
        "ICY 101 OK",
        "101 Switching Protocols",
    ] {
        assert_refused(&head(line, &RESPONSE_FIELDS), ResponseError::Malformed);
    }
}

/// RFC 9112 section 4: `reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )`, to be ignored.
#[test]
fn a_reason_phrase_may_have_tabs_and_bytes_of_8_bits() {
    for reason in ["Protokoll gewechselt: \u{FC}", "Tab\there"] {
        assert_accepted(&head(&format!("HTTP/1.1 101 {reason}"), &RESPONSE_FIELDS));
    }
}

/// RFC 9112 sections 2.2 and 5: as for a server.
#[test]
fn a_response_that_is_not_http_is_refused() {
    for line in [
        "no colon",
        ": no name",
        " folded: x",
        "\tfolded",
        "X : x",
        "X: \0",
        "X: a\rb",
        "X\u{E4}: x",
    ] {
        let fields = [&RESPONSE_FIELDS[..], &[line]].concat();
        assert_refused(&head(SWITCHING, &fields), ResponseError::Malformed);
    }
    let valid = String::from_utf8(head(SWITCHING, &RESPONSE_FIELDS)).unwrap();
    assert_refused(valid.replace("\r\n", "\n").as_bytes(), ResponseError::Malformed);
}

/// RFC 6455 section 4.1 item 2; Handshake: Zephyr's client does not look at it.
#[test]
fn a_response_without_upgrade_websocket_is_refused() {
    for lines in [
        &[][..],
        &["Upgrade:"],
        &["Upgrade: h2c"],
        &["Upgrade: websockets"],
        &["Upgrade: web socket"],
        &["Upgrade: websocket/13"],
        &["X-Upgrade: websocket"],
    ] {
        assert_refused(&response_with("Upgrade", lines), ResponseError::Upgrade);
    }
}

/// RFC 6455 section 4.1 item 2: "contains a value that is not an ASCII case-insensitive match for
/// the value "websocket"", where the server names what it switched to.
#[test]
fn a_response_that_upgrades_to_something_else_besides_is_refused() {
    for lines in [
        &["Upgrade: websocket, h2c"][..],
        &["Upgrade: h2c, websocket"],
        &["Upgrade: h2c", "Upgrade: websocket"],
    ] {
        assert_refused(&response_with("Upgrade", lines), ResponseError::Upgrade);
    }
}

/// RFC 6455 section 4.1 item 3.
#[test]
fn a_response_without_connection_upgrade_is_refused() {
    for lines in [
        &[][..],
        &["Connection:"],
        &["Connection: close"],
        &["Connection: Upgraded"],
        &["Connection: keep-alive Upgrade"],
        &["X-Connection: Upgrade"],
    ] {
        assert_refused(&response_with("Connection", lines), ResponseError::Connection);
    }
}

/// RFC 6455 section 4.1 item 4; Handshake: compared by prefix (Zephyr), never checked (mongoose).
#[test]
fn only_the_exact_accept_is_accepted() {
    let mut wrong = vec![
        String::new(),
        ACCEPT[..27].to_owned(),
        ACCEPT[..1].to_owned(),
        ACCEPT[1..].to_owned(),
        format!("{ACCEPT}="),
        format!("{ACCEPT}, {ACCEPT}"),
        format!("{ACCEPT} {ACCEPT}"),
        format!("\"{ACCEPT}\""),
        ACCEPT.to_ascii_lowercase(),
        ACCEPT.to_ascii_uppercase(),
        "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
    ];
    for index in 0..ACCEPT.len() {
        let mut changed = ACCEPT.as_bytes().to_vec();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        wrong.push(String::from_utf8(changed).unwrap());
    }
    for value in wrong {
        let line = format!("Sec-WebSocket-Accept: {value}");
        let response = response_with("Sec-WebSocket-Accept", &[&line]);
        assert_refused(&response, ResponseError::Accept);
    }
    assert_refused(&response_with("Sec-WebSocket-Accept", &[]), ResponseError::Accept);
    let right = format!("Sec-WebSocket-Accept: {ACCEPT}");
    let twice = response_with("Sec-WebSocket-Accept", &[&right, &right]);
    assert_refused(&twice, ResponseError::Accept);
}

/// RFC 6455 section 4.1 item 5: none was offered.
#[test]
fn an_extension_is_refused() {
    for line in [
        "Sec-WebSocket-Extensions: permessage-deflate",
        "sec-websocket-extensions: x; y=\"z\"",
        "Sec-WebSocket-Extensions: , foo",
    ] {
        let fields = [&RESPONSE_FIELDS[..], &[line]].concat();
        assert_refused(&head(SWITCHING, &fields), ResponseError::Extension);
    }
}

/// RFC 6455 section 4.1 item 6.
#[test]
fn only_one_subprotocol_that_was_offered_is_accepted() {
    let offering = Request { subprotocols: &["chat", "v2.chat"], ..Request::new("h", "/") };
    let with = |lines: &[&str]| head(SWITCHING, &[&RESPONSE_FIELDS[..], lines].concat());
    assert_eq!(learn(&with(&[]), &offering), Ok(None));
    let chosen = with(&["Sec-WebSocket-Protocol: chat"]);
    assert_eq!(learn(&chosen, &offering), Ok(Some("chat")));
    let chosen = with(&["sec-websocket-protocol:\tv2.chat "]);
    assert_eq!(learn(&chosen, &offering), Ok(Some("v2.chat")));
    let refused = Err(Error::Response(ResponseError::Subprotocol));
    for lines in [
        &["Sec-WebSocket-Protocol: other"][..],
        &["Sec-WebSocket-Protocol: Chat"],
        &["Sec-WebSocket-Protocol: cha"],
        &["Sec-WebSocket-Protocol: chats"],
        &["Sec-WebSocket-Protocol:"],
        &["Sec-WebSocket-Protocol: chat, v2.chat"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: v2.chat"],
    ] {
        assert_eq!(learn(&with(lines), &offering), refused, "{lines:?}");
    }
    // Nothing was offered.
    let chosen = with(&["Sec-WebSocket-Protocol: chat"]);
    assert_eq!(learn(&chosen, &Request::new("h", "/")), refused);
}

/// Straddling: frames in the same segment as the 101 lost (embedded-websocket's client).
#[test]
fn frames_in_the_same_segment_as_the_101_are_kept() {
    let response = head(SWITCHING, &RESPONSE_FIELDS);
    let frames = [unmasked(TEXT, b"ear"), unmasked(PING, b"?"), unmasked(FIN, b"ly")].concat();
    for extra in 0..=frames.len() {
        let segment = [&response, &frames[..extra]].concat();
        // A buffer that the segment just fills, where the request fits too.
        let mut buffers = Buffers::of(segment.len().max(200), MIN_TX_BUFFER);
        let mut wire = Wire::bringing([&segment, &frames[extra..]]);
        let request = Request::new("h", "/");
        let entropy = Pattern::new(NONCE);
        let connected =
            connect(&mut wire, entropy, &request, &mut buffers.rx, &mut buffers.tx).unwrap();
        let mut websocket = connected.websocket;
        let outcome = receive_until_error(&mut websocket);
        let end = Seen::Data { kind: MessageKind::Text, payload: b"ly".to_vec(), fin: true };
        assert_eq!(outcome.seen, [part(MessageKind::Text, b"ear"), ping(b"?"), end], "{extra}");
    }
}

/// Straddling: in pieces of 1, 3 and 61 bytes, interrupted.
#[test]
fn a_response_is_accepted_in_pieces_of_any_length() {
    for len in [1, 2, 3, 61] {
        let mut wire = Wire::default();
        for piece in head(SWITCHING, &RESPONSE_FIELDS).chunks(len) {
            wire.arrive(Arrival::Interrupted);
            wire.bring(piece);
        }
        let request = Request::new("h", "/");
        assert_eq!(connect_with(&mut wire, &request, &mut Buffers::of(300, 200)), Ok(None));
    }
}

/// Limits: a response as long as the buffer fits, one byte more does not.
#[test]
fn a_response_over_the_buffer_is_refused() {
    let filler = format!("X-Filler: {}", "f".repeat(200));
    let response = head(SWITCHING, &[&RESPONSE_FIELDS[..], &[&filler]].concat());
    let request = Request::new("h", "/");
    let mut wire = Wire::bringing([&response]).ended();
    let fits = connect_with(&mut wire, &request, &mut Buffers::of(response.len(), MIN_TX_BUFFER));
    assert_eq!(fits, Ok(None));
    let too_large = Err(Error::Response(ResponseError::HeadTooLarge));
    let mut wire = Wire::bringing([&response]).ended();
    let mut buffers = Buffers::of(response.len() - 1, MIN_TX_BUFFER);
    assert_eq!(connect_with(&mut wire, &request, &mut buffers), too_large);
    let line = format!("X-Filler: {}", "f".repeat(1000));
    let long = head(SWITCHING, &[&RESPONSE_FIELDS[..], &vec![&*line; 100]].concat());
    assert_eq!(learn(&long, &request), too_large);
}

/// RFC 6455 section 4.1: wherever the stream ends, fails or stops.
#[test]
fn a_response_that_is_cut_off_is_an_error() {
    let response = head(SWITCHING, &RESPONSE_FIELDS);
    let request = Request::new("h", "/");
    let mut buffers = Buffers::of(1024, 200);
    for len in 0..response.len() {
        assert_eq!(learn(&response[..len], &request), Err(Error::Disconnected));
        let mut wire = Wire::bringing([&response[..len]]);
        assert_eq!(connect_with(&mut wire, &request, &mut buffers), Err(Error::TimedOut));
        let mut wire = Wire::bringing([&response[..len]]);
        wire.arrive(Arrival::Reset);
        let reset = Err(Error::Transport(WireError::Reset));
        assert_eq!(connect_with(&mut wire, &request, &mut buffers), reset);
    }
    // The same while the request is being sent.
    let mut wire = Wire::default();
    wire.make_room([Room::Interrupted, Room::Bytes(10), Room::TimedOut]);
    assert_eq!(connect_with(&mut wire, &request, &mut buffers), Err(Error::TimedOut));
    assert_eq!(wire.sent.len(), 10);
}

/// RFC 9112: what would end or break a line; Handshake: undici CVE-2026-1527.
#[test]
fn a_request_that_http_does_not_allow_is_a_usage_error_and_nothing_is_sent() {
    let plain = Request::new("h", "/");
    for request in [
        Request::new("", "/"),
        Request::new("h\r\nInjected: x", "/"),
        Request::new("h\0", "/"),
        Request::new("h", "chat"),
        Request::new("h", "http://h/"),
        Request::new("h", "/a b"),
        Request::new("h", "/\r\nInjected: x"),
        Request::new("h", "/ HTTP/1.1\r\nInjected: x"),
        Request::new("h", "/\u{E4}"),
        Request::new("h", "/#fragment"),
        Request::new("h", "/\0"),
        Request { subprotocols: &[""], ..plain },
        Request { subprotocols: &["chat", "a b"], ..plain },
        Request { subprotocols: &["a,b"], ..plain },
        Request { subprotocols: &["a\r\nInjected: x"], ..plain },
        Request { subprotocols: &["\u{E4}"], ..plain },
        Request { fields: &[("", "x")], ..plain },
        Request { fields: &[("A B", "x")], ..plain },
        Request { fields: &[("A:", "x")], ..plain },
        Request { fields: &[("A\r\nInjected", "x")], ..plain },
        Request { fields: &[("A", "x\r\nInjected: x")], ..plain },
        Request { fields: &[("A", "x\nInjected: x")], ..plain },
        Request { fields: &[("A", "x\rInjected: x")], ..plain },
        Request { fields: &[("A", "x\0")], ..plain },
    ] {
        let mut wire = Wire::bringing([head(SWITCHING, &RESPONSE_FIELDS)]);
        let result = connect_with(&mut wire, &request, &mut Buffers::of(1024, 200));
        assert_eq!(result, Err(UsageError::InvalidHeader.into()), "{request:?}");
        assert_eq!(wire.calls, []);
    }
}

/// `connect` promises: "a buffer is too small [...]; nothing was sent".
#[test]
fn a_buffer_that_is_too_small_is_a_usage_error_and_nothing_is_sent() {
    let request = Request::new("h", "/");
    let len = request.encode(&Request::key(NONCE), &mut [0; 1024]).unwrap();
    let mut wire = Wire::default().ended();
    let fits = connect_with(&mut wire, &request, &mut Buffers::of(len, MIN_TX_BUFFER));
    assert_eq!(fits, Err(Error::Disconnected));
    for (rx, tx) in
        [(len - 1, MIN_TX_BUFFER), (0, MIN_TX_BUFFER), (len, MIN_TX_BUFFER - 1), (len, 0)]
    {
        let mut wire = Wire::bringing([head(SWITCHING, &RESPONSE_FIELDS)]);
        let result = connect_with(&mut wire, &request, &mut Buffers::of(rx, tx));
        assert_eq!(result, Err(UsageError::BufferTooSmall.into()), "{rx} {tx}");
        assert_eq!(wire.calls, [], "{rx} {tx}");
    }
}
