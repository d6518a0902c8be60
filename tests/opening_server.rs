// SPDX-License-Identifier: Apache-2.0
//! The server's side of the opening handshake: RFC 6455 section 4.2 and RFC 9112.

mod support;

use std::time::Duration;

use support::*;
use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Handshake, Request, Response};
use zephyr_websocket::{
    Error, Event, Incoming, MIN_RX_BUFFER, MIN_TX_BUFFER, RequestError, Server, UsageError,
    WebSocket,
};

/// The answer of a server that accepts whatever it may, and what it learned itself.
fn answer(wire: &mut Wire, acceptance: &Acceptance<'_>) -> Result<(), Error<WireError>> {
    let mut buffers = Buffers::of(1024, 512);
    accept(wire, &mut buffers, acceptance).map(drop)
}

fn accept<'b>(
    wire: &'b mut Wire,
    buffers: &'b mut Buffers,
    acceptance: &Acceptance<'_>,
) -> Result<WebSocket<'b, &'b mut Wire, Server>, Error<WireError>> {
    Incoming::read(wire, &mut buffers.rx, &mut buffers.tx)?.accept(acceptance)
}

#[track_caller]
fn assert_accepted(request: &[u8]) {
    let mut wire = Wire::bringing([request]).ended();
    let result = answer(&mut wire, &Acceptance::default());
    assert_eq!(result, Ok(()), "{}", request.escape_ascii());
    assert_eq!(status(&wire), 101);
}

/// The peer gets `code` in one write, then the end of the stream.
#[track_caller]
fn assert_refused(request: &[u8], error: RequestError, code: u16) {
    let mut wire = Wire::bringing([request]).ended();
    let result = answer(&mut wire, &Acceptance::default());
    assert_eq!(result, Err(Error::Request(error)), "{}", request.escape_ascii());
    assert_eq!(status(&wire), code, "{}", request.escape_ascii());
    assert_eq!(error.status().code(), code);
    assert_eq!(wire.writes().len(), 1);
    assert!(wire.is_shut_down());
}

#[track_caller]
fn assert_malformed(request: &[u8]) {
    assert_refused(request, RequestError::Malformed, 400);
}

fn status(wire: &Wire) -> u16 {
    let response = std::str::from_utf8(&wire.sent).unwrap();
    let (line, _) = response.split_once("\r\n").unwrap();
    line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap()
}

/// The lines of the response's head behind the first, sorted.
fn response_fields(wire: &Wire) -> Vec<&str> {
    let response = std::str::from_utf8(&wire.sent).unwrap();
    let (head, _) = response.split_once("\r\n\r\n").unwrap();
    let mut fields: Vec<&str> = head.split("\r\n").skip(1).collect();
    fields.sort_unstable();
    fields
}

/// RFC 6455 sections 1.2 and 1.3.
#[test]
fn the_example_is_accepted_with_exactly_the_response_that_the_rfc_shows() {
    let example = head(
        "GET /chat HTTP/1.1",
        &[
            "Host: server.example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Origin: http://example.com",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Version: 13",
        ],
    );
    let mut wire = Wire::bringing([&example]);
    let acceptance = Acceptance { subprotocol: Some("chat"), fields: &[] };
    answer(&mut wire, &acceptance).unwrap();
    let expected = b"HTTP/1.1 101 \r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(wire.sent.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

/// edge-net sends one response in 20 tiny writes.
#[test]
fn the_acceptance_leaves_in_one_write_and_the_stream_stays_open() {
    let mut wire = Wire::bringing([request()]);
    answer(&mut wire, &Acceptance::default()).unwrap();
    assert_eq!(wire.writes().len(), 1);
    assert!(!wire.is_shut_down());
}

/// RFC 6455 section 4.2.1: an "|Upgrade| header field containing the value "websocket", treated
/// as an ASCII case-insensitive value"; RFC 9110 section 5.6.1 for lists. Handshake:
/// arduinoWebSockets 6 and edge-http refuse `Connection: keep-alive, Upgrade`.
#[test]
fn upgrade_and_connection_are_lists_in_any_case_on_any_number_of_lines() {
    for lines in [
        &["Upgrade: WebSocket"][..],
        &["UPGRADE: WEBSOCKET"],
        &["upgrade:websocket"],
        &["Upgrade: \t websocket \t"],
        &["Upgrade: h2c, websocket"],
        &["Upgrade: websocket,h2c"],
        &["Upgrade: ,, websocket ,"],
        &["Upgrade: h2c", "Upgrade: websocket"],
    ] {
        assert_accepted(&request_with(&replacing(&REQUEST_FIELDS, "Upgrade", lines)));
    }
    for lines in [
        &["Connection: upgrade"][..],
        &["cOnNeCtIoN: UPGRADE"],
        &["Connection: keep-alive, Upgrade"],
        &["Connection: Upgrade,keep-alive"],
        &["Connection: keep-alive\t,\tupgrade\t"],
        &["Connection: keep-alive", "Connection: Upgrade"],
    ] {
        assert_accepted(&request_with(&replacing(&REQUEST_FIELDS, "Connection", lines)));
    }
}

/// RFC 9110 section 5.3: "The order in which header fields with differing field names are
/// received [...] is not significant".
#[test]
fn the_fields_may_come_in_any_order_and_case_among_others() {
    let mut fields = REQUEST_FIELDS;
    for _ in 0..fields.len() {
        fields.rotate_left(1);
        assert_accepted(&request_with(&fields));
        fields.reverse();
        assert_accepted(&request_with(&fields));
        fields.reverse();
    }
    let lower = REQUEST_FIELDS.map(|field| {
        let (name, value) = field.split_once(':').unwrap();
        format!("{}:{value}", name.to_ascii_lowercase())
    });
    let mut fields: Vec<&str> = lower.iter().map(String::as_str).collect();
    fields.extend([
        "Cookie: a=b; c=\"d\"",
        "!#$%&'*+-.^_`|~09azAZ: \x21~",
        "X-Empty:",
        "X-Tab:\ta\tb",
    ]);
    assert_accepted(&request_with(&fields));
}

/// RFC 6455 section 4.2.1: the items a server requires.
#[test]
fn each_field_that_is_missing_has_its_error_and_status() {
    for (name, error, code) in [
        ("Host", RequestError::Host, 400),
        ("Upgrade", RequestError::NotWebSocket, 426),
        ("Connection", RequestError::Connection, 400),
        ("Sec-WebSocket-Key", RequestError::Key, 400),
        ("Sec-WebSocket-Version", RequestError::Version, 426),
    ] {
        assert_refused(&request_with(&replacing(&REQUEST_FIELDS, name, &[])), error, code);
    }
    assert_refused(&request_with(&["Host: h"]), RequestError::NotWebSocket, 426);
}

/// RFC 6455 section 11.3: "MUST NOT appear more than once in an HTTP request"; RFC 9112 section
/// 3.2 for Host.
#[test]
fn each_field_that_is_repeated_and_must_not_be_has_its_error_and_status() {
    for (name, error, code) in [
        ("Host", RequestError::Host, 400),
        ("Sec-WebSocket-Key", RequestError::Key, 400),
        ("Sec-WebSocket-Version", RequestError::Version, 426),
    ] {
        let again = REQUEST_FIELDS.iter().find(|field| field.starts_with(name)).unwrap();
        let fields = [&REQUEST_FIELDS[..], &[again]].concat();
        assert_refused(&request_with(&fields), error, code);
    }
}

/// RFC 6455 section 4.2.1.
#[test]
fn each_field_with_a_wrong_value_has_its_error_and_status() {
    let wrong = |name: &str, values: &[&str], error: RequestError, code: u16| {
        for value in values {
            let line = format!("{name}: {value}");
            let fields = replacing(&REQUEST_FIELDS, name, &[&line]);
            assert_refused(&request_with(&fields), error, code);
        }
    };
    let upgrades = ["", "websockets", "web socket", "h2c", "web", "websocket; a", "\"websocket\""];
    wrong("Upgrade", &upgrades, RequestError::NotWebSocket, 426);
    let connections = ["", "close", "keep-alive", "Upgraded", "Up grade", "keep-alive Upgrade"];
    wrong("Connection", &connections, RequestError::Connection, 400);
}

/// RFC 6455 section 4.4, and Handshake: Zephyr's server accepts a wrong version.
#[test]
fn another_version_is_refused_with_426_and_the_version_that_is_spoken() {
    for version in ["", "0", "7", "8", "12", "14", "113", "13.0", "+13", "013", "1 3", "13, 8", "x"]
    {
        let line = format!("Sec-WebSocket-Version: {version}");
        let fields = replacing(&REQUEST_FIELDS, "Sec-WebSocket-Version", &[&line]);
        assert_refused(&request_with(&fields), RequestError::Version, 426);
        let mut wire = Wire::bringing([request_with(&fields)]).ended();
        assert!(answer(&mut wire, &Acceptance::default()).is_err());
        assert!(response_fields(&wire).contains(&"Sec-WebSocket-Version: 13"));
    }
}

/// RFC 9110 section 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option", and
/// section 15.5.22: a 426 has Upgrade.
#[test]
fn a_426_names_the_protocol_in_upgrade_and_the_option_in_connection() {
    let mut wire = Wire::bringing([request_with(&["Host: h"])]).ended();
    assert!(answer(&mut wire, &Acceptance::default()).is_err());
    let fields = response_fields(&wire);
    assert!(fields.contains(&"Upgrade: websocket"), "{fields:?}");
    let options = fields.iter().filter_map(|field| field.strip_prefix("Connection:"));
    let mut options = options.flat_map(|value| value.split(',')).map(str::trim);
    assert!(options.any(|option| option.eq_ignore_ascii_case("Upgrade")), "{fields:?}");
}

/// RFC 6455 section 4.2.1: "a base64-encoded value that, when decoded, is 16 bytes in length";
/// Handshake: firedancer PR 10142 (overflow), Zephyr's server (missing key accepted).
#[test]
fn a_key_that_is_not_the_base64_of_16_bytes_is_refused() {
    let long = "A".repeat(500);
    for key in [
        "",
        "=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZSEh",
        "dGhlIHNhbXBsZSBub25j_Q==",
        "dGhlIHNhbXBsZSBub25 ZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==x",
        "dGhlIHNhbXBsZSBub24=",
        &long,
    ] {
        let line = format!("Sec-WebSocket-Key: {key}");
        let fields = replacing(&REQUEST_FIELDS, "Sec-WebSocket-Key", &[&line]);
        assert_refused(&request_with(&fields), RequestError::Key, 400);
    }
}

/// Handshake: an unterminated key read out of bounds (Zephyr CVE-2026-5067).
#[test]
fn a_key_that_the_stream_or_the_buffer_cuts_off_is_not_read() {
    let fields = replacing(
        &REQUEST_FIELDS,
        "Sec-WebSocket-Key",
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
    );
    let head = request_with(&fields);
    for cut in [4, 6, 20, 28] {
        let cut_off = &head[..head.len() - cut];
        let mut wire = Wire::bringing([cut_off]).ended();
        assert_eq!(answer(&mut wire, &Acceptance::default()), Err(Error::Disconnected));
        assert_eq!(wire.sent, []);

        let mut wire = Wire::bringing([&head]).ended();
        let mut buffers = Buffers::of(cut_off.len(), MIN_TX_BUFFER);
        let result = accept(&mut wire, &mut buffers, &Acceptance::default());
        assert_eq!(result.err(), Some(Error::Request(RequestError::HeadTooLarge)));
        assert_eq!(status(&wire), 431);
    }
}

/// RFC 6455 section 4.2.1: "an HTTP/1.1 or higher GET request".
#[test]
fn another_method_is_refused_with_405() {
    for method in ["POST", "HEAD", "OPTIONS", "CONNECT", "get", "GETS", "G"] {
        let request = head(&format!("{method} /chat HTTP/1.1"), &REQUEST_FIELDS);
        assert_refused(&request, RequestError::Method, 405);
        let mut wire = Wire::bringing([request]).ended();
        assert!(answer(&mut wire, &Acceptance::default()).is_err());
        assert!(response_fields(&wire).contains(&"Allow: GET"));
    }
}

/// RFC 9112 section 2.3, RFC 9110 section 7.8: "MUST ignore an Upgrade header field that is
/// received in an HTTP/1.0 request".
#[test]
fn http_1_0_has_no_upgrade_and_other_major_versions_are_not_spoken() {
    let of_version = |version: &str| head(&format!("GET /chat {version}"), &REQUEST_FIELDS);
    assert_refused(&of_version("HTTP/1.0"), RequestError::NotWebSocket, 426);
    // Before the rules that only HTTP/1.1 has, and before the method.
    for line in ["GET / HTTP/1.0", "POST / HTTP/1.0"] {
        assert_refused(&head(line, &[]), RequestError::NotWebSocket, 426);
    }
    assert_accepted(&of_version("HTTP/1.2"));
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        assert_refused(&of_version(version), RequestError::HttpVersion, 505);
    }
    for version in [
        "http/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/1,1",
        "HTTP/ 1.1",
        "HTTP/x.1",
    ] {
        assert_malformed(&of_version(version));
    }
}

/// RFC 9112 section 3.
#[test]
fn a_request_line_that_is_not_method_target_version_is_refused() {
    for line in [
        "GET",
        "GET ",
        "GET /chat",
        "GET  HTTP/1.1",
        "GET  /chat HTTP/1.1",
        "GET /chat  HTTP/1.1",
        "GET /chat HTTP/1.1 ",
        " GET /chat HTTP/1.1",
        "GET /chat room HTTP/1.1",
        "GET\t/chat\tHTTP/1.1",
        "GET /ch\tat HTTP/1.1",
    ] {
        assert_malformed(&head(line, &REQUEST_FIELDS));
    }
}

/// RFC 9112 section 3.2, RFC 6455 section 3: a GET names a path or a whole URI, and a WebSocket's
/// URI has no fragment.
#[test]
fn a_target_that_is_neither_a_path_nor_a_uri_opens_no_websocket() {
    let no_resources = ["chat", "httpchat", "*", "server.example.com:80", "?x", "ws://h/chat"];
    for target in no_resources.into_iter().chain(["/chat#part", "http://h/chat#part"]) {
        let bytes = head(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS);
        assert_refused(&bytes, RequestError::Target, 400);
    }
}

/// RFC 9112 sections 2.2 and 5: nothing that another parser could read in another way.
#[test]
fn a_field_line_that_is_not_name_colon_value_is_refused() {
    for line in [
        "no colon",
        ": no name",
        " Leading: space",
        "\tLeading: tab",
        "Space : before the colon",
        "Tab\t: before the colon",
        "In side: a space",
        "Par(en: thesis",
        "Quo\"te: x",
        "Com,ma: x",
        "Sla/sh: x",
        "At@: x",
        "Na\u{EF}ve: x",
        "X: DEL \u{7F}",
        "X: bell \u{7}",
        "X: escape \u{1B}[2J",
    ] {
        assert_malformed(&request_with(&[&[line], &REQUEST_FIELDS[..]].concat()));
        assert_malformed(&request_with(&[&REQUEST_FIELDS[..], &[line]].concat()));
    }
}

/// RFC 9112 section 5.2: a server "MUST either reject the message [...] or replace each received
/// obs-fold".
#[test]
fn a_folded_line_is_refused() {
    for fold in ["Connection: keep-alive,\r\n Upgrade", "Upgrade: websocket\r\n\t", "X: a\r\n b"] {
        assert_malformed(&request_with(&[&REQUEST_FIELDS[..], &[fold]].concat()));
    }
}

/// RFC 9112 section 2.2: a recipient "MUST consider that element to be invalid" that has a bare
/// CR; LF alone may be refused.
#[test]
fn a_bare_cr_or_lf_anywhere_is_refused() {
    let valid = request();
    let text = String::from_utf8(valid.clone()).unwrap();
    assert_malformed(text.replace("\r\n", "\n").as_bytes());
    assert_malformed(text.replace("\r\n", "\r").as_bytes());
    for (index, byte) in valid.iter().enumerate() {
        // Without either half of each line's end.
        if matches!(byte, b'\r' | b'\n') && index + 1 < valid.len() {
            let cut = [&valid[..index], &valid[index + 1..]].concat();
            assert_malformed(&cut);
        }
    }
    // Before the last line's end, where one byte more would complete the head.
    for at in 1..valid.len() - 3 {
        for bare in [b'\r', b'\n'] {
            let mut inserted = valid.clone();
            inserted.insert(at, bare);
            assert_eq!(read(&inserted).verdict(), Err(RequestError::Malformed), "{at} {bare:x}");
        }
    }
}

/// RFC 9110 section 5.5: NUL is dangerous wherever it stands.
#[test]
fn a_nul_anywhere_is_refused() {
    let valid = request();
    for at in 0..valid.len() {
        let mut inserted = valid.clone();
        inserted.insert(at, 0);
        assert_eq!(read(&inserted).verdict(), Err(RequestError::Malformed), "{at}");
    }
    let mut changed = valid;
    let at = changed.iter().position(|byte| *byte == b'/').unwrap();
    changed[at + 1] = 0;
    assert_malformed(&changed);
}

/// RFC 9110 section 5.5: obs-text may stand in values; RFC 9112 section 3: not in a target.
#[test]
fn bytes_of_8_bits_are_accepted_in_values_and_nowhere_else() {
    let insert = |line: &[u8]| {
        let mut bytes = request();
        let at = bytes.len() - 2;
        bytes.splice(at..at, line.iter().copied());
        bytes
    };
    assert_accepted(&insert(b"X: \x80\xFF\xC3\xA4\r\n"));
    assert_malformed(&insert(b"X\x80: a\r\n"));
    assert_malformed(&insert(b"\xFF: a\r\n"));
    assert_malformed(&head("GET /\u{E4} HTTP/1.1", &REQUEST_FIELDS));
    assert_malformed(&head("G\u{CB}T / HTTP/1.1", &REQUEST_FIELDS));
}

/// RFC 6455 section 4.2.2: extra fields are the application's, injected ones nobody's. Handshake:
/// undici CVE-2026-1527.
#[test]
fn a_line_end_in_a_field_of_the_application_is_refused_with_500() {
    for field in [
        ("X", "a\r\nInjected: b"),
        ("X", "a\nInjected: b"),
        ("X", "a\rInjected: b"),
        ("X", "\r\n\r\nInjected: b"),
        ("X", "Injected\0"),
        ("X", "Injected\u{7F}"),
        ("Injected\r\nX", "b"),
        ("Injected: X", "b"),
        ("Injected ", "b"),
        ("\u{E4}Injected", "b"),
        ("", "Injected"),
    ] {
        let mut wire = Wire::bringing([request()]).ended();
        let acceptance = Acceptance { subprotocol: None, fields: &[("A", "fine"), field] };
        assert_eq!(answer(&mut wire, &acceptance), Err(UsageError::InvalidHeader.into()));
        assert_eq!(status(&wire), 500);
        assert!(!String::from_utf8_lossy(&wire.sent).contains("Injected"));

        let mut wire = Wire::bringing([request()]).ended();
        let mut buffers = Buffers::of(1024, 512);
        let incoming = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).unwrap();
        let response = Response { status: Status::OK, fields: &[field], body: b"" };
        assert_eq!(incoming.respond(&response).err(), Some(UsageError::InvalidHeader.into()));
        assert_eq!(wire.sent, []);
    }
}

/// The same for a reason phrase (RFC 9112 section 4).
#[test]
fn a_line_end_in_a_reason_phrase_is_refused() {
    for reason in ["a\r\nInjected: b", "a\nb", "a\rb", "a\0"] {
        let response = Response::empty(Status::new(299, reason));
        let refused = Err(UsageError::InvalidHeader);
        assert_eq!(response.encode_head(&mut [0; 200]), refused, "{reason:?}");
    }
}

/// RFC 6455 section 4.2.2: fields of the application follow.
#[test]
fn valid_fields_of_the_application_are_sent() {
    let fields =
        &[("Set-Cookie", "a=b; HttpOnly"), ("X-Empty", ""), ("X-Text", "\u{E4}\t\u{20AC}")];
    let mut wire = Wire::bringing([request()]);
    answer(&mut wire, &Acceptance { subprotocol: None, fields }).unwrap();
    let sent = response_fields(&wire);
    for expected in ["Set-Cookie: a=b; HttpOnly", "X-Empty: ", "X-Text: \u{E4}\t\u{20AC}"] {
        assert!(sent.contains(&expected), "{sent:?}");
    }
}

/// RFC 6455 section 4.2.2 item 5.4: "a value that was one of the values offered".
#[test]
fn only_a_subprotocol_that_was_offered_can_be_chosen() {
    let lines =
        ["Sec-WebSocket-Protocol: chat, v2.example.com", "sec-websocket-protocol:\tmqtt\t,,"];
    let fields = [&REQUEST_FIELDS[..], &lines].concat();
    for (subprotocol, expected) in [
        (Some("chat"), Some("Sec-WebSocket-Protocol: chat")),
        (Some("v2.example.com"), Some("Sec-WebSocket-Protocol: v2.example.com")),
        (Some("mqtt"), Some("Sec-WebSocket-Protocol: mqtt")),
        (None, None),
    ] {
        let mut wire = Wire::bringing([request_with(&fields)]);
        answer(&mut wire, &Acceptance { subprotocol, fields: &[] }).unwrap();
        let sent = response_fields(&wire);
        let sent = sent.iter().find(|field| field.starts_with("Sec-WebSocket-Protocol"));
        assert_eq!(sent.copied(), expected);
    }
    for (subprotocol, fields) in [
        ("Chat", &fields[..]),
        ("cha", &fields),
        ("chat, v2.example.com", &fields),
        ("", &fields),
        ("chat", &REQUEST_FIELDS),
    ] {
        let mut wire = Wire::bringing([request_with(fields)]).ended();
        let acceptance = Acceptance { subprotocol: Some(subprotocol), fields: &[] };
        let refused = Err(UsageError::SubprotocolNotOffered.into());
        assert_eq!(answer(&mut wire, &acceptance), refused, "{subprotocol}");
        assert_eq!(status(&wire), 500);
    }
}

/// RFC 6455 section 4.2.1; the order is that of the client's preference.
#[test]
fn the_request_gives_everything_that_a_server_decides_by() {
    let fields = [
        "Origin: https://example.com",
        "Sec-WebSocket-Protocol: best ,second,",
        "Sec-WebSocket-Protocol: third",
        "X-Twice: first",
        "x-twice: second",
    ];
    let bytes = head("GET /a/b?c=d?e HTTP/1.1", &[&REQUEST_FIELDS[..], &fields].concat());
    let request = Request::new(&bytes);
    assert_eq!(request.method(), "GET");
    assert_eq!(request.resource_name(), "/a/b?c=d?e");
    assert_eq!((request.path(), request.query()), ("/a/b", Some("c=d?e")));
    assert_eq!(request.origin(), Some(b"https://example.com".as_slice()));
    assert!(request.subprotocols().eq(["best", "second", "third"]));
    assert_eq!(read(&bytes).verdict(), Ok(()));
    assert_eq!(request.head().field("X-TWICE"), Some(b"first".as_slice()));
    assert_eq!(request.head().field("x-none"), None);
    let names = request.head().fields().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names[names.len() - 2..], [b"X-Twice", b"x-twice"]);

    let bytes = request_with(&REQUEST_FIELDS);
    let request = Request::new(&bytes);
    assert_eq!((request.origin(), request.query()), (None, None));
    assert_eq!(request.subprotocols().next(), None);
}

/// RFC 6455 section 4.2.2 item 4: the resource name; RFC 9112 section 3.2.2: "a server MUST accept
/// the absolute-form".
#[test]
fn a_target_in_absolute_form_is_its_path_and_query() {
    for (target, resource_name) in [
        ("/", "/"),
        ("/chat?x=http://y/", "/chat?x=http://y/"),
        ("http://example.com/chat", "/chat"),
        ("HTTP://example.com:8080/chat?x=y/z", "/chat?x=y/z"),
        ("ws://example.com/?", "/?"),
        ("http://example.com", "/"),
    ] {
        let bytes = head(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS);
        assert_eq!(Request::new(&bytes).resource_name(), resource_name, "{target}");
    }
}

/// RFC 9112 section 3.2.2, RFC 3986 section 3: a query may follow an empty path, and has slashes.
#[test]
fn the_query_of_a_target_in_absolute_form_is_not_taken_for_its_path() {
    for (target, query) in [
        ("http://h?a=b", "a=b"),
        ("http://h?a=/admin", "a=/admin"),
        ("http://h/?a=/admin", "a=/admin"),
    ] {
        let bytes = head(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS);
        let request = Request::new(&bytes);
        assert_eq!(request.query(), Some(query), "{target}");
        assert!(matches!(request.path(), "" | "/"), "{target}");
    }
}

/// Limits: a head as long as the buffer fits, one byte more does not.
#[test]
fn a_head_that_exactly_fills_the_buffer_is_accepted() {
    let bytes = request();
    let mut wire = Wire::bringing([&bytes]).ended();
    let mut buffers = Buffers::of(bytes.len(), MIN_TX_BUFFER);
    assert!(accept(&mut wire, &mut buffers, &Acceptance::default()).is_ok());
    assert_eq!(status(&wire), 101);

    let mut wire = Wire::bringing([&bytes]).ended();
    let mut buffers = Buffers::of(bytes.len() - 1, MIN_TX_BUFFER);
    let result = accept(&mut wire, &mut buffers, &Acceptance::default());
    assert_eq!(result.err(), Some(Error::Request(RequestError::HeadTooLarge)));
    assert_eq!(status(&wire), 431);
    assert!(wire.is_read_out());
}

/// RFC 6585 section 5.
#[test]
fn headers_of_100_kb_are_refused_with_431_and_read_to_their_end() {
    let line = format!("X-Filler: {}", "f".repeat(1000));
    let fields = [&REQUEST_FIELDS[..], &vec![&*line; 100]].concat();
    assert_refused(&request_with(&fields), RequestError::HeadTooLarge, 431);
    let mut wire = Wire::bringing([request_with(&fields)]).ended();
    assert!(answer(&mut wire, &Acceptance::default()).is_err());
    assert!(wire.is_read_out(), "unread bytes would reset the stream and destroy the answer");
}

/// Straddling, and RFC 6455 section 4.1: the client may send as soon as it has the 101.
#[test]
fn frames_in_the_same_segment_as_the_head_are_kept() {
    let head = request();
    let frames = [masked(FIN | TEXT, b"early"), masked(PING, b"bird")].concat();
    for extra in 0..=frames.len() {
        let segment = [&head, &frames[..extra]].concat();
        let mut wire = Wire::bringing([&segment, &frames[extra..]]);
        let mut buffers = Buffers::of(segment.len(), MIN_TX_BUFFER);
        let mut websocket = accept(&mut wire, &mut buffers, &Acceptance::default()).unwrap();
        let outcome = receive_until_error(&mut websocket);
        assert_eq!(outcome.seen, [text("early"), ping(b"bird")], "{extra}");
    }
}

/// Straddling: a header in pieces of 1, 3 and 61 bytes.
#[test]
fn a_head_is_accepted_in_pieces_of_any_length_and_whatever_interrupts_them() {
    let head = request();
    for len in [1, 2, 3, 61] {
        let mut wire = Wire::default();
        for piece in head.chunks(len) {
            wire.arrive(Arrival::Interrupted);
            wire.bring(piece);
        }
        assert_eq!(answer(&mut wire, &Acceptance::default()), Ok(()));
        assert_eq!(status(&wire), 101);
    }
}

/// What a handshake makes of `bytes` at once.
fn read(bytes: &[u8]) -> Handshake {
    let mut handshake = Handshake::new();
    let is_over = handshake.read(bytes);
    assert_eq!(is_over, handshake.verdict() != Err(RequestError::HeadTooLarge));
    handshake
}

/// Handshake: quadratic header parsing under a slow drip (tungstenite CVE-2023-43669).
#[test]
fn no_byte_of_a_dripping_head_is_looked_at_twice() {
    let head = request();
    let mut handshake = Handshake::new();
    let mut word = 0;
    for len in 1..=head.len() {
        // Were they looked at again, the zeros before the current word would be refused.
        let mut received = vec![0; len];
        received[word..].copy_from_slice(&head[word..len]);
        assert_eq!(handshake.read(&received), len == head.len());
        if b" ,\n".contains(&head[len - 1]) {
            word = len;
        }
    }
    assert_eq!((handshake.verdict(), handshake.head_len()), (Ok(()), head.len()));
    // And none behind it.
    assert!(handshake.read(&[&head[..], b"\0frames"].concat()));
    assert_eq!((handshake.verdict(), handshake.head_len()), (Ok(()), head.len()));
}

/// Handshake: slow Sec-WebSocket-Protocol parsing (ws CVE-2021-32640). Were the time more than
/// linear in the length, this would not end.
#[test]
fn a_megabyte_of_separators_in_the_subprotocols_is_read_at_once() {
    let spaces = " ".repeat(1_000_000);
    let commas = ",".repeat(1_000_000);
    let line = format!("Sec-WebSocket-Protocol: a{spaces}b{commas}c");
    let bytes = request_with(&[&REQUEST_FIELDS[..], &[&line]].concat());
    assert_eq!(read(&bytes).head_len(), bytes.len());
    let request = Request::new(&bytes);
    let lens: Vec<usize> = request.subprotocols().map(str::len).collect();
    assert_eq!(lens, [1_000_002, 1]);
}

/// RFC 9110 section 15.5.9.
#[test]
fn a_head_that_does_not_end_before_the_deadline_is_refused_with_408() {
    let head = request();
    for len in [0, 1, 30, head.len() - 1] {
        // The wire times out whenever nothing is left.
        let mut wire = Wire::bringing(head[..len].chunks(1));
        let result = answer(&mut wire, &Acceptance::default());
        assert_eq!(result, Err(Error::Request(RequestError::HeadTimedOut)));
        assert_eq!(status(&wire), 408);
        assert!(wire.is_shut_down());
    }
}

/// RFC 6455 section 4.2.1.
#[test]
fn a_stream_that_ends_or_fails_before_the_head_does_is_not_answered() {
    let head = request();
    for len in 0..head.len() {
        let mut wire = Wire::bringing([&head[..len]]).ended();
        assert_eq!(answer(&mut wire, &Acceptance::default()), Err(Error::Disconnected));
        assert_eq!(wire.sent, []);
    }
    let mut wire = Wire::bringing([b"GET "]);
    wire.arrive(Arrival::Reset);
    let result = answer(&mut wire, &Acceptance::default());
    assert_eq!(result, Err(Error::Transport(WireError::Reset)));
    assert_eq!(wire.sent, []);
}

/// Life cycle: a failed upgrade (libwebsockets CVE-2025-11677) leaves nothing behind.
#[test]
fn after_a_refusal_the_same_buffers_serve_the_next_connection() {
    let mut buffers = Buffers::of(1024, 512);
    let bad = [&request_with(&REQUEST_FIELDS[1..])[..], &masked(FIN | TEXT, b"left")].concat();
    let good = [&request()[..], &masked(FIN | TEXT, b"right")].concat();
    for _ in 0..3 {
        let mut wire = Wire::bringing([&bad]).ended();
        let result = accept(&mut wire, &mut buffers, &Acceptance::default());
        assert_eq!(result.err(), Some(Error::Request(RequestError::Host)));
        let mut wire = Wire::bringing([&good]);
        let mut websocket = accept(&mut wire, &mut buffers, &Acceptance::default()).unwrap();
        let (event, _) = websocket.receive().unwrap();
        assert!(matches!(event, Event::Data { payload: b"right", .. }));
    }
}

/// RFC 9112 section 6.3: a response has its length, and is followed by the end of the stream.
#[test]
fn a_get_is_answered_with_head_and_body_in_one_write_and_the_body_is_not_copied() {
    let body = b"<!doctype html>\n";
    let page = Response { status: Status::OK, fields: &[("Content-Type", "text/html")], body };
    let mut wire = Wire::bringing([head("GET / HTTP/1.1", &["Host: h"])]).ended();
    let mut buffers = Buffers::of(1024, 512);
    let incoming = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).unwrap();
    assert!(!incoming.is_websocket());
    assert!(incoming.respond(&page).is_ok());
    let [(_, payload, taken)] = wire.writes()[..] else { panic!("{:?}", wire.calls) };
    assert_eq!((payload, taken), (Place::of(body), wire.sent.len()));
    assert_eq!(status(&wire), 200);
    assert!(wire.sent.ends_with(b"\r\n\r\n<!doctype html>\n"));
    let expected = ["Connection: close", "Content-Length: 16", "Content-Type: text/html"];
    assert_eq!(response_fields(&wire), expected);
    assert!(wire.is_shut_down() && wire.calls.last() == Some(&Call::Read(0)));
}

/// RFC 9110 section 9.3.2: "The HEAD method is identical to GET except that the server MUST NOT
/// send content".
#[test]
fn a_head_request_is_answered_without_the_body_but_with_its_length() {
    let page = Response { status: Status::OK, fields: &[], body: b"twelve bytes" };
    let mut wire = Wire::bringing([head("HEAD / HTTP/1.1", &["Host: h"])]).ended();
    let mut buffers = Buffers::of(1024, 512);
    let incoming = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).unwrap();
    assert!(incoming.respond(&page).is_ok());
    assert_eq!(response_fields(&wire), ["Connection: close", "Content-Length: 12"]);
    assert!(wire.sent.ends_with(b"\r\n\r\n"));
}

/// RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any
/// HTTP/1.1 request message that lacks a Host header field and to any request message that
/// contains more than one", whether it asks for a WebSocket or for a page.
#[test]
fn a_plain_request_without_one_host_is_refused_with_400() {
    for fields in [&[][..], &["Host: one", "Host: two"]] {
        let mut wire = Wire::bringing([head("GET / HTTP/1.1", fields)]).ended();
        let mut buffers = Buffers::of(1024, 512);
        let result = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx);
        assert_eq!(result.err(), Some(Error::Request(RequestError::Host)));
        assert_eq!(status(&wire), 400);
    }
    let mut wire = Wire::bringing([head("GET / HTTP/1.0", &[])]).ended();
    let mut buffers = Buffers::of(1024, 512);
    assert!(Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).is_ok());
}

/// RFC 6455 section 10.2: a server may refuse an origin, with 403.
#[test]
fn an_origin_that_the_application_does_not_want_can_be_refused() {
    let fields = [&REQUEST_FIELDS[..], &["Origin: https://evil.example"]].concat();
    let mut wire = Wire::bringing([request_with(&fields)]).ended();
    let mut buffers = Buffers::of(1024, 512);
    let incoming = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).unwrap();
    assert_eq!(incoming.request().origin(), Some(b"https://evil.example".as_slice()));
    assert!(incoming.respond(&Response::empty(Status::FORBIDDEN)).is_ok());
    assert_eq!(
        wire.sent,
        b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
}

/// A long response goes out over any number of short writes.
#[test]
fn a_response_goes_on_where_a_short_write_stopped() {
    let page = Response { status: Status::OK, fields: &[], body: &[b'b'; 100] };
    let mut expected = vec![0; 200];
    let len = page.encode_head(&mut expected).unwrap();
    expected.truncate(len);
    expected.extend([b'b'; 100]);
    for step in 1..expected.len() {
        let mut wire = Wire::bringing([head("GET / HTTP/1.1", &["Host: h"])]).ended();
        for _ in 0..expected.len() {
            wire.make_room([Room::Interrupted, Room::Bytes(step)]);
        }
        let mut buffers = Buffers::of(1024, 512);
        let incoming = Incoming::read(&mut wire, &mut buffers.rx, &mut buffers.tx).unwrap();
        assert!(incoming.respond(&page).is_ok());
        assert!(wire.sent == expected, "{step}");
    }
}

/// The documented lengths of the transmit buffer.
#[test]
fn a_buffer_that_is_too_small_for_the_answer_is_a_usage_error_answered_with_500() {
    let bytes = request();
    let request = Request::new(&bytes);
    let mut handshake = read(&bytes);
    let acceptance = Acceptance::default();
    assert_eq!(acceptance.encode(&mut handshake, &request, &mut [0; 110]), Ok(110));
    let too_small = Err(UsageError::BufferTooSmall);
    assert_eq!(acceptance.encode(&mut handshake, &request, &mut [0; 109]), too_small);

    let long = "v".repeat(100);
    let fields: &[(&str, &str)] = &[("X-Long", &long)];
    let mut wire = Wire::bringing([&bytes]).ended();
    let mut buffers = Buffers::of(1024, MIN_TX_BUFFER);
    let acceptance = Acceptance { subprotocol: None, fields };
    let result = accept(&mut wire, &mut buffers, &acceptance);
    assert_eq!(result.err(), Some(UsageError::BufferTooSmall.into()));
    assert_eq!(status(&wire), 500);

    for (rx, tx) in [(1024, MIN_TX_BUFFER - 1), (MIN_RX_BUFFER - 1, 1024)] {
        let mut wire = Wire::bringing([&bytes]).ended();
        let mut buffers = Buffers::of(rx, tx);
        let result = accept(&mut wire, &mut buffers, &Acceptance::default());
        assert_eq!(result.err(), Some(UsageError::BufferTooSmall.into()));
        assert!(wire.calls.is_empty());
    }
    let mut wire = Wire::default();
    let new = WebSocket::new(&mut wire, Server, &mut [0; MIN_RX_BUFFER - 1], &mut [0; 200]).err();
    assert_eq!(new, Some(UsageError::BufferTooSmall));
    let new = WebSocket::new(&mut wire, Server, &mut [0; 200], &mut [0; MIN_TX_BUFFER - 1]).err();
    assert_eq!(new, Some(UsageError::BufferTooSmall));
}

/// RFC 9112 section 9.6: a refusal is sent and read to the end under a deadline of its own.
#[test]
fn a_refusal_sets_a_deadline_before_it_writes() {
    let mut wire = Wire::bringing([b"\0"]).ended();
    assert!(answer(&mut wire, &Acceptance::default()).is_err());
    let deadline = wire
        .calls
        .iter()
        .position(|call| matches!(call, Call::Deadline(Some(after)) if *after > Duration::ZERO));
    let write = wire.calls.iter().position(|call| matches!(call, Call::Write { .. }));
    assert!(deadline.is_some() && deadline < write, "{:?}", wire.calls);
}
