// SPDX-License-Identifier: Apache-2.0
//! Frames from the peer, valid or not, in arbitrary pieces, for both roles: each step is checked
//! against the bytes, the whole against the pieces, the messages against tungstenite, and the
//! answers against what was received.
//!
//! Input: a byte of which bit 0 is the role, bit 1 says whether frames are composed, and the rest
//! is how much longer the receive buffer is than it must be, where 0 also lets composed frames be
//! long. Then where the stream is cut, and the stream or what to compose it of.

#![no_main]

use std::io;

use fuzz::receiving::{Header, Received, is_start, receive};
use fuzz::script::{Cuts, Script};
use fuzz::support::{Buffers, End, Frame, Seen, TestClient, Wire, frames, receive_until_error};
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error as TheirError, Message as TheirMessage};
use zephyr_websocket::{Error, MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, ProtocolError, Server};

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let mode = script.byte();
    if mode & 1 == 0 {
        check::<Server>(mode, script, Role::Server);
    } else {
        check::<TestClient>(mode, script, Role::Client);
    }
});

fn check<R: End>(mode: u8, mut script: Script<'_>, role: Role) {
    let cuts = script.cuts();
    let rx = MIN_RX_BUFFER + usize::from(mode >> 2);
    let stream =
        if mode & 2 == 0 { script.rest().to_vec() } else { compose(mode, &mut script, !R::MASKS) };
    let whole = receive::<R>(&stream, &[&stream]);
    let pieces = cuts.of(&stream);
    check_alike(&whole, &receive::<R>(&stream, &pieces));
    check_websocket::<R>(&whole, &pieces, rx);
    check_peer::<R>(complete(stream), cuts, role);
}

// Composed streams.

/// Codes that may be sent, and others.
const CODES: [u16; 16] =
    [1000, 1001, 1002, 1003, 1007, 1011, 1013, 1014, 3000, 4999, 999, 1004, 1005, 1006, 1015, 5000];

fn compose(mode: u8, script: &mut Script<'_>, is_masked: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    // Long frames take a long time.
    let (mut long_left, long_lens) = match mode >> 2 {
        0 => (2, &[4096, 65_534, 65_535, 65_536, 65_537][..]),
        _ => (usize::MAX, &[126, 127, 128, 200, 300][..]),
    };
    while !script.is_over() {
        let mut first = script.byte();
        let form = script.byte();
        if form & 0x80 == 0 {
            // Without reserved bits and opcodes most streams get further.
            first &= 0x8F;
            if first & 0x0F > 10 || first & 0x07 > 2 {
                first &= 0x88;
            }
        }
        let mut payload = script.counted().to_vec();
        if form & 0x40 != 0 {
            if first & 8 != 0 {
                let code = CODES[usize::from(payload.first().copied().unwrap_or(0)) % CODES.len()];
                payload.splice(..payload.len().min(1), code.to_be_bytes());
            } else if long_left > 0 {
                long_left -= 1;
                let (byte, len) = payload.first().map_or((b'l', 126), |byte| {
                    (byte & 0x7F, long_lens[usize::from(*byte) % long_lens.len()])
                });
                payload.resize(len, byte);
            }
        }
        push_frame(&mut stream, first, form, is_masked, &payload);
    }
    stream
}

/// The lowest bits of `form` choose how the length is written, and bit 2 whether the masking is
/// wrong.
fn push_frame(stream: &mut Vec<u8>, first: u8, form: u8, is_masked: bool, payload: &[u8]) {
    let is_masked = is_masked != (form & 4 != 0);
    let mask = u8::from(is_masked) << 7;
    let len = payload.len();
    stream.push(first);
    match (form & 3, len) {
        (0 | 3, 0..126) => stream.push(mask | len as u8),
        (0 | 1 | 3, 0..0x1_0000) => {
            stream.push(mask | 126);
            stream.extend((len as u16).to_be_bytes());
        }
        _ => {
            stream.push(mask | 127);
            stream.extend((len as u64).to_be_bytes());
        }
    }
    let mut key = [0; 4];
    if is_masked {
        if form & 8 == 0 {
            key = [form ^ 0xA5, first, len as u8, 0x3D];
        }
        stream.extend(key);
    }
    stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

// Our own results.

fn check_alike(whole: &Received, other: &Received) {
    assert_eq!(whole.error, other.error);
    if whole.error == Some(ProtocolError::InvalidUtf8) {
        // What came before the wrong byte is handed out in as many pieces as it came in.
        assert!(is_start(&whole.seen, &other.seen), "{whole:?} {other:?}");
    } else {
        assert_eq!(whole.seen, other.seen);
    }
}

/// The same through a [`WebSocket`](zephyr_websocket::WebSocket), which answers.
fn check_websocket<R: End>(whole: &Received, pieces: &[&[u8]], rx: usize) {
    let mut wire = Wire::bringing(pieces).ended();
    let mut buffers = Buffers::of(rx, MIN_TX_BUFFER);
    let outcome = receive_until_error(&mut buffers.open::<R>(&mut wire));
    let error = match outcome.error {
        Error::Protocol(error) => Some(error),
        Error::Closed | Error::Disconnected => None,
        other => panic!("{other:?}"),
    };
    check_alike(whole, &Received { seen: outcome.seen.clone(), error, fault_at: 0 });
    let mut answers = Vec::new();
    for seen in outcome.seen {
        match seen {
            Seen::Ping(payload) => answers.push((0x8A, payload)),
            Seen::Close(code, _) => {
                answers.push((0x88, code.map(u16::to_be_bytes).into_iter().flatten().collect()));
            }
            Seen::Data { .. } | Seen::Pong(_) => {}
        }
    }
    if let Some(error) = error {
        answers.push((0x88, error.close_code().to_be_bytes().to_vec()));
    }
    let sent = frames(&wire.sent).into_iter().map(|Frame { first, key, payload }| {
        assert_eq!(key.is_some(), R::MASKS);
        (first, payload)
    });
    assert_eq!(sent.collect::<Vec<_>>(), answers);
}

// Theirs.

/// The longest frame that tungstenite takes here.
const LIMIT: usize = 66_000;

/// The stream with the rest of its last frame, unless that is longer than [`LIMIT`]: tungstenite
/// judges a frame when all of it has arrived, we judge each byte.
fn complete(mut stream: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < stream.len() {
        let Some(header) = Header::read(&stream[at..]) else {
            stream.push(0);
            continue;
        };
        if header.payload_len > LIMIT as u64 {
            break;
        }
        at += header.frame_len() as usize;
        if at > stream.len() {
            stream.resize(at, 0);
        }
    }
    stream
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// No fault was found in what there was.
    End,
    Refused,
    /// A frame is over the limit that is set for tungstenite alone.
    TooLong,
    /// The code of a Close frame is none that tungstenite lets pass.
    CloseCode,
}

/// The messages that our events make up.
fn heard_by_us(seen: Vec<Seen>) -> Vec<Heard> {
    let mut message = Vec::new();
    let mut heard = Vec::new();
    for seen in seen {
        heard.push(match seen {
            Seen::Data { kind, payload, fin } => {
                message.extend(payload);
                if !fin {
                    continue;
                }
                let message = std::mem::take(&mut message);
                match kind {
                    MessageKind::Text => Heard::Text(String::from_utf8(message).unwrap()),
                    MessageKind::Binary => Heard::Binary(message),
                }
            }
            Seen::Ping(payload) => Heard::Ping(payload),
            Seen::Pong(payload) => Heard::Pong(payload),
            Seen::Close(code, reason) => Heard::Close(code.map(|code| (code, reason))),
        });
    }
    heard
}

/// Brings a stream in pieces, and takes whatever is written.
struct Stream<'p> {
    pieces: std::vec::IntoIter<&'p [u8]>,
    piece: &'p [u8],
}

impl io::Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.pieces.next() else { return Ok(0) };
            self.piece = piece;
        }
        self.piece.read(buffer)
    }
}

impl io::Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn heard_by_them(role: Role, pieces: Vec<&[u8]>) -> (Vec<Heard>, Ending) {
    use tungstenite::error::ProtocolError as P;
    let stream = Stream { pieces: pieces.into_iter(), piece: &[] };
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .max_frame_size(Some(LIMIT))
        .max_message_size(None);
    let mut them = tungstenite::WebSocket::from_raw_socket(stream, role, Some(config));
    let mut heard = Vec::new();
    loop {
        heard.push(match them.read() {
            Ok(TheirMessage::Text(text)) => Heard::Text(text.as_str().to_owned()),
            Ok(TheirMessage::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
            Ok(TheirMessage::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
            Ok(TheirMessage::Pong(bytes)) => Heard::Pong(bytes.to_vec()),
            // It reports its own answer in place of what it does not let pass.
            Ok(TheirMessage::Close(Some(close)))
                if u16::from(close.code) == 1002
                    && close.reason.as_str() == "Protocol violation" =>
            {
                return (heard, Ending::CloseCode);
            }
            Ok(TheirMessage::Close(close)) => {
                let close = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                heard.push(Heard::Close(close));
                return (heard, Ending::End);
            }
            Ok(TheirMessage::Frame(frame)) => panic!("{frame:?}"),
            Err(TheirError::Protocol(P::ResetWithoutClosingHandshake)) => {
                return (heard, Ending::End);
            }
            Err(TheirError::Capacity(_)) => return (heard, Ending::TooLong),
            Err(TheirError::Protocol(_) | TheirError::Utf8(_)) => return (heard, Ending::Refused),
            Err(other) => panic!("{other:?}"),
        });
    }
}

fn check_peer<R: End>(stream: Vec<u8>, cuts: Cuts<'_>, role: Role) {
    let ours = receive::<R>(&stream, &[&stream]);
    let error = ours.error;
    let mut heard = heard_by_us(ours.seen);
    let (mut theirs, ending) = heard_by_them(role, cuts.of(&stream));
    let is_longer_than_needed = || {
        let header = Header::read(&stream[ours.fault_at..]);
        header.is_some_and(|header| header.is_longer_than_needed())
    };
    match (error, &ending) {
        // Section 5.2 wants the shortest length, and tungstenite takes any.
        (Some(ProtocolError::LengthNotMinimal | ProtocolError::ControlFrameTooLong), _)
            if is_longer_than_needed() =>
        {
            theirs.truncate(heard.len());
        }
        (None, Ending::End) | (Some(_), Ending::Refused) => {}
        // We take a frame of any length that RFC 6455 section 5.2 allows.
        (_, Ending::TooLong) => {}
        (Some(ProtocolError::CloseCode), Ending::CloseCode) => {}
        // 1014 is in the IANA registry, which tungstenite does not know; and a peer may say
        // itself what tungstenite reports in place of a wrong code.
        (None, Ending::CloseCode) => {
            let close = heard.pop();
            let Some(Heard::Close(Some((code, reason)))) = close else { panic!("{close:?}") };
            assert!(code == 1014 || code == 1002 && reason == "Protocol violation");
        }
        _ => panic!("we: {error:?} after {heard:?}; they: {ending:?} after {theirs:?}"),
    }
    assert_eq!(heard, theirs);
}
