// SPDX-License-Identifier: Apache-2.0
//! Writes the seeds of every fuzz target: the examples of RFC 6455, the kinds of cases that the
//! Autobahn|Testsuite has, and defects that other stacks had.
//!
//!     seeds FOLDER
//!
//! makes FOLDER/TARGET/NAME. Each input begins as its target says.

use std::path::Path;
use std::{env, fs, io, process};

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = FIN | 8;
const PING: u8 = FIN | 9;
const PONG: u8 = FIN | 10;

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: seeds FOLDER");
        process::exit(2);
    };
    let all = [
        ("connection", connection()),
        ("utf8", utf8()),
        ("sending", sending()),
        ("server_handshake", server_handshake()),
        ("client_handshake", client_handshake()),
        ("url", url()),
    ];
    for (target, seeds) in all {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:02}")), seed)?;
        }
    }
    Ok(())
}

/// Cuts of one, three and 61 bytes, with which a stack failed; none; and byte by byte.
const CUTS: [&[u8]; 3] = [&[3, 1, 3, 61], &[0], &[1, 1]];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A frame with the shortest length, masked with the key of RFC 6455 section 5.7 or not at all.
fn frame(is_masked: bool, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(mask | len as u8),
        len => {
            bytes.push(mask | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
    }
    let key: [u8; 4] = if is_masked { [0x37, 0xFA, 0x21, 0x3D] } else { [0; 4] };
    if is_masked {
        bytes.extend(key);
    }
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn streams(is_masked: bool) -> Vec<Vec<u8>> {
    let f = |first, payload: &[u8]| frame(is_masked, first, payload);
    let mask = if is_masked { 0x80 } else { 0 };
    let close = |code: u16, reason: &[u8]| f(CLOSE, &join(&[&code.to_be_bytes(), reason]));
    let long: Vec<u8> = (0..300).map(|index| (index * 31) as u8).collect();
    vec![
        // RFC 6455 section 5.7.
        f(FIN | TEXT, b"Hello"),
        join(&[&f(TEXT, b"Hel"), &f(FIN, b"lo")]),
        join(&[&f(PING, b"Hello"), &f(PONG, b"Hello")]),
        f(FIN | BINARY, &long[..256]),
        // Framing, Pings, reserved bits and opcodes.
        join(&[
            &f(FIN | TEXT, b""),
            &f(FIN | BINARY, &long[..125]),
            &f(FIN | BINARY, &long[..126]),
        ]),
        join(&[&f(PING, &long[..125]), &f(PING, b""), &f(PONG, b"unasked")]),
        f(PING, &long[..126]),
        f(FIN | 0x40 | TEXT, b"RSV1"),
        f(0x10, b"RSV3"),
        f(FIN | 3, b""),
        f(FIN | 11, b""),
        f(9, b"no FIN"),
        frame(!is_masked, FIN | TEXT, b"masked wrongly"),
        // Lengths: not the shortest, with the sign set, and so long that a header makes it wrap.
        join(&[&[FIN | TEXT, mask | 126, 0, 5], b"\0\0\0\0Hello"]),
        join(&[&[FIN | BINARY, mask | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], &[0; 8]]),
        join(&[&[FIN | BINARY, mask | 127], &[0xFF; 8], &[0; 8]]),
        join(&[&[FIN | BINARY, mask | 127, 0x7F], &[0xFF; 7], &[0; 8]]),
        // Fragments, with control frames between them.
        join(&[&f(TEXT, b"1"), &f(PING, b"p"), &f(0, b"2"), &f(PONG, b"q"), &f(FIN, b"3")]),
        join(&[&f(BINARY, b""), &f(0, b""), &f(0, b""), &f(FIN, b"")]),
        join(&[&f(FIN, b"nothing to continue")]),
        join(&[&f(TEXT, b"begun"), &f(FIN | BINARY, b"within")]),
        // UTF-8.
        f(FIN | TEXT, "\u{3BA}\u{1F79}\u{3C3}\u{3BC}\u{3B5}\u{10FFFF}".as_bytes()),
        join(&[&f(TEXT, b"\xF0"), &f(0, b"\x9F\x98"), &f(PING, b"\xFF"), &f(FIN, b"\x80")]),
        join(&[&f(TEXT, b"\xCE\xBA\xED"), &f(FIN, b"\xA0\x80")]),
        join(&[&f(TEXT, b"\xE2\x82"), &f(FIN, b"")]),
        // Closing.
        f(CLOSE, b""),
        f(CLOSE, b"\x03"),
        close(1000, b"bye"),
        close(1005, b""),
        close(1014, b""),
        close(4999, "\u{20AC}".repeat(41).as_bytes()),
        close(1000, b"\xC3"),
        join(&[&close(1001, b""), &f(FIN | TEXT, b"late"), &f(PING, b"late")]),
        join(&[&f(TEXT, b"begun"), &close(3000, b"")]),
    ]
}

fn connection() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (role, is_masked) in [(0, true), (1, false)] {
        for (stream, cuts) in streams(is_masked).iter().zip(CUTS.iter().cycle()) {
            seeds.push(join(&[&[role], cuts, stream]));
        }
        // Composed: first byte, form, payload behind its length.
        let frames = b"\x01\0\x03Hel\x89\0\x01p\x80\0\x02lo\x82\x40\x01\x06\x88\x40\x01\x00";
        seeds.push(join(&[&[role | 2], CUTS[0], frames]));
    }
    seeds
}

fn utf8() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 14] = [
        b"",
        b"only ASCII, and more than sixteen bytes of that",
        "\u{3BA}\u{1F79}\u{3C3}\u{3BC}\u{3B5}".as_bytes(),
        "\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}".as_bytes(),
        b"sixteen bytes of\xE2\x82\xACsixteen bytes of\xF0\x9F\x98\x80",
        // Surrogates, overlong forms, beyond U+10FFFF, alone, cut off.
        b"\xCE\xBA\xED\xA0\x80edited",
        b"\xC0\xAF",
        b"\xE0\x80\xAF",
        b"\xF0\x8F\xBF\xBF",
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"ok\x80",
        b"\xFE\xFF",
        b"0123456789abcdef\xF0\x9F\x98",
    ];
    let with = |(index, text): (usize, &&[u8])| {
        join(&[&[index as u8 & 3], CUTS[index % 3], CUTS[(index + 1) % 3], text])
    };
    texts.iter().enumerate().map(with).collect()
}

fn sending() -> Vec<Vec<u8>> {
    // The lowest three bits of a call: 0 send, 2 Ping or Pong, 3 close, 4 the next write finds
    // room, 5 something arrives, 6 receive, 7 resume.
    let calls: [&[u8]; 9] = [
        // Two fragments of text and the last; a message of 65,536 bytes.
        b"\x00\x05\x00\x07\x10\x03\x18\xFD",
        // A frame that is taken in three parts, with time-outs between them.
        b"\x04\x00\x04\x80\x04\x02\x04\x80\x18\x64\x07\x07\x07\x18\x05",
        // A Ping, a Pong, a Close with a reason.
        b"\x02\x04ping\x0A\x04pong\x03\x06reason",
        // The peer's Ping arrives while a frame is on its way, and is answered behind it.
        b"\x04\x03\x04\x80\x18\x64\x05\x00\x06\x06\x07",
        // Two Pings whose answers are blocked.
        b"\x05\x02\x05\x00\x04\x80\x04\x80\x04\x80\x06\x06\x06\x18\x05",
        // A Pong that is taken in part, then the peer's Close.
        b"\x05\x00\x04\x01\x04\x80\x06\x25\x00\x06\x18\x05\x06",
        // A Close that waits, and what may not follow it.
        b"\x04\x80\x03\x00\x18\x05\x02\x00\x06",
        // Interrupted calls; a stream that is reset within a frame.
        b"\x04\xC0\x04\x02\x04\xC0\x18\x20\x6D\x35\x03abc\x00\x06\x04\x00\x04\xFF\x18\x10",
        // The other kind within a message; a payload that is too long.
        b"\x00\x05\x18\x05\x10\x00\x02\xFF",
    ];
    let mut seeds = Vec::new();
    for (index, calls) in calls.iter().enumerate() {
        for role in [0, 1] {
            seeds.push(join(&[&[role | (index as u8 & 1) << 1 | (index as u8) << 3], calls]));
        }
    }
    seeds.push(join(&[&[5, 1], calls[2]]));
    seeds
}

fn head(start: &str, fields: &[&str]) -> Vec<u8> {
    let mut head = format!("{start}\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn server_handshake() -> Vec<Vec<u8>> {
    // RFC 6455 section 1.2.
    let example = [
        "Host: server.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: http://example.com",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Version: 13",
    ];
    let without = |index: usize| {
        let mut fields = example.to_vec();
        fields.remove(index);
        fields
    };
    let with = |index: usize, field| {
        let mut fields = example.to_vec();
        fields[index] = field;
        fields
    };
    let and = |field| [&example[..], &[field]].concat();
    let get = "GET /chat HTTP/1.1";
    let heads = [
        join(&[&head(get, &example), b"\x81\x80\0\0\0\0"]),
        head("GET http://server.example.com/chat?a=b HTTP/1.1", &example),
        head("GET /?q HTTP/1.9", &with(2, "connection: keep-alive, Upgrade")),
        head("GET / HTTP/1.0", &["Host: h"]),
        head("HEAD /page HTTP/1.1", &["Host: h", "Accept: */*", "Cookie: a=\u{E4}"]),
        head("GET / HTTP/2.0", &example),
        head("GET /a#b HTTP/1.1", &example),
        head("OPTIONS * HTTP/1.1", &example),
        head(get, &without(0)),
        head(get, &without(1)),
        head(get, &without(2)),
        head(get, &without(3)),
        head(get, &without(6)),
        head(get, &and("Host: another")),
        head(get, &and("Sec-WebSocket-Version: 8")),
        head(get, &and("Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==")),
        head(get, &with(3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==AAAAAAAAAAAAAAAA")),
        head(get, &with(1, "Upgrade:h2c,\twebsocket ,")),
        head(get, &and(" folded: line")),
        head(get, &and("no colon")),
        join(&[&head(get, &example)[..100], b"\n\n"]),
        head(get, &example)[..120].to_vec(),
    ];
    heads.iter().zip(CUTS.iter().cycle()).map(|(head, cuts)| join(&[cuts, head])).collect()
}

fn client_handshake() -> Vec<Vec<u8>> {
    let fields = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ];
    let and = |field| [&fields[..], &[field]].concat();
    let with = |index: usize, field| {
        let mut fields = fields.to_vec();
        fields[index] = field;
        fields
    };
    let start = "HTTP/1.1 101 Switching Protocols";
    let heads = [
        (0, join(&[&head(start, &fields), b"\x81\x05Hello"])),
        (2, head(start, &and("Sec-WebSocket-Protocol: superchat"))),
        (1, head(start, &and("Sec-WebSocket-Protocol: chat, superchat"))),
        (0, head(start, &and("Sec-WebSocket-Protocol: chat"))),
        (0, head(start, &and("Sec-WebSocket-Extensions: permessage-deflate"))),
        (0, head("HTTP/1.1 101", &with(1, "connection:keep-alive ,upgrade"))),
        (0, head("HTTP/1.0 101 OK", &fields)),
        (0, head("HTTP/1.1 404 Not Found", &["Content-Length: 0"])),
        (0, head("HTTP/1.1 999 ", &fields)),
        (0, head(start, &with(0, "Upgrade: h2c"))),
        (0, head(start, &with(2, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=="))),
        (0, head(start, &fields[..2])),
        (0, head(start, &fields)[..70].to_vec()),
    ];
    let responses = heads.iter().zip(CUTS.iter().cycle());
    let mut seeds: Vec<_> =
        responses.map(|((offer, head), cuts)| join(&[&[*offer], cuts, head])).collect();
    // Room in eights; host and resource name; subprotocols and fields behind their numbers.
    seeds.push(b"\x04\x40\x0Bexample.com\x05/chat\x02\x04chat\x01c\x01\x06Cookie\x03a=b".to_vec());
    seeds.push(b"\x04\x10\x01h\x02?q\x00\x01\x06Cookie\x0Aa\r\nHost: b".to_vec());
    seeds
}

fn url() -> Vec<Vec<u8>> {
    let urls = [
        "ws://example.com/chat?room=1",
        "WSS://[2001:db8::1]:8443",
        "wss://h?q",
        "ws://h:/",
        "ws://192.0.2.1:65535/a/../b",
        "ws://user@h/",
        "ws://h:0/",
        "ws://h:65536/",
        "ws://[::1/",
        "ws://h/#part",
        "ws://h/a b",
        "ws:///path",
        "http://h/",
        "ws://xn--bcher-kva.example/%C3%BC",
        "ws://0x7f.1/",
    ];
    urls.iter().map(|url| url.as_bytes().to_vec()).collect()
}
