// SPDX-License-Identifier: Apache-2.0
//! Arbitrary input, judged by us and by others: frames by `tungstenite`, heads by `httparse`.

mod support;

use std::io;

use proptest::prelude::*;
use support::*;
use tungstenite::protocol::frame::Frame as TheirFrame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role as TheirRole, WebSocketConfig};
use tungstenite::{Error as TheirError, Message as TheirMessage};
use zephyr_websocket::RequestError;
use zephyr_websocket::handshake::Head;
use zephyr_websocket::handshake::client::Handshake as ClientHandshake;
use zephyr_websocket::handshake::client::Request as ClientRequest;
use zephyr_websocket::handshake::server::{Handshake, Request as ServerRequest};
use zephyr_websocket::{
    CloseCode, Connection, Error, MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, ProtocolError, Server,
};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

// Frames.

/// The role that tungstenite has when we have `Self`.
trait Opposite: End {
    const THEIRS: TheirRole;
    /// What tungstenite has in place of us.
    const OURS: TheirRole;
}

impl Opposite for Server {
    const THEIRS: TheirRole = TheirRole::Client;
    const OURS: TheirRole = TheirRole::Server;
}

impl Opposite for TestClient {
    const THEIRS: TheirRole = TheirRole::Server;
    const OURS: TheirRole = TheirRole::Client;
}

/// A whole message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// The messages that our events make up.
fn heard_by_us(seen: &[Seen]) -> Vec<Heard> {
    let mut message = Vec::new();
    let mut heard = Vec::new();
    for seen in seen {
        heard.push(match seen {
            Seen::Data { kind, payload, fin } => {
                message.extend_from_slice(payload);
                if !fin {
                    continue;
                }
                let message = std::mem::take(&mut message);
                match kind {
                    MessageKind::Text => Heard::Text(String::from_utf8(message).unwrap()),
                    MessageKind::Binary => Heard::Binary(message),
                }
            }
            Seen::Ping(payload) => Heard::Ping(payload.clone()),
            Seen::Pong(payload) => Heard::Pong(payload.clone()),
            Seen::Close(code, reason) => Heard::Close(code.map(|code| (code, reason.clone()))),
        });
    }
    heard
}

/// A stream of the standard library over pieces in memory.
struct Pieces {
    pieces: std::collections::VecDeque<Vec<u8>>,
    written: Vec<u8>,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(count)
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn them(role: TheirRole, pieces: &[&[u8]]) -> tungstenite::WebSocket<Pieces> {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
    let stream = Pieces { pieces: pieces.collect(), written: Vec::new() };
    // With a small buffer it runs much faster in a debug build.
    let config = WebSocketConfig::default().read_buffer_size(1024);
    tungstenite::WebSocket::from_raw_socket(stream, role, Some(config))
}

/// What tungstenite reads, and whether it ends in an error other than the end of the stream.
fn heard_by_them(role: TheirRole, pieces: &[&[u8]]) -> (Vec<Heard>, bool) {
    use tungstenite::error::ProtocolError as P;
    let mut them = them(role, pieces);
    let mut heard = Vec::new();
    loop {
        heard.push(match them.read() {
            Ok(TheirMessage::Text(text)) => Heard::Text(text.as_str().to_owned()),
            Ok(TheirMessage::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
            Ok(TheirMessage::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
            Ok(TheirMessage::Pong(bytes)) => Heard::Pong(bytes.to_vec()),
            // It answers a code that must not be sent with 1002, and reports its own answer.
            Ok(TheirMessage::Close(Some(CloseFrame { code, reason })))
                if u16::from(code) == 1002 && reason.as_str() == "Protocol violation" =>
            {
                return (heard, true);
            }
            Ok(TheirMessage::Close(close)) => {
                let close = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                heard.push(Heard::Close(close));
                return (heard, false);
            }
            Ok(TheirMessage::Frame(frame)) => panic!("{frame:?}"),
            Err(TheirError::Protocol(P::ResetWithoutClosingHandshake)) => return (heard, false),
            Err(_) => return (heard, true),
        });
    }
}

/// Cuts `bytes` at arbitrary places.
fn cut<'b>(bytes: &'b [u8], places: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[start..end]);
        start = end;
    }
    pieces
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

#[derive(Clone, Debug)]
enum Sent {
    Text(String, Vec<prop::sample::Index>),
    Binary(Vec<u8>, Vec<prop::sample::Index>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

impl Sent {
    fn heard(&self) -> Heard {
        match self.clone() {
            Self::Text(text, _) => Heard::Text(text),
            Self::Binary(bytes, _) => Heard::Binary(bytes),
            Self::Ping(payload) => Heard::Ping(payload),
            Self::Pong(payload) => Heard::Pong(payload),
        }
    }

    fn message(&self) -> Option<(MessageKind, Vec<&[u8]>)> {
        match self {
            Self::Text(text, places) => Some((MessageKind::Text, cut(text.as_bytes(), places))),
            Self::Binary(bytes, places) => Some((MessageKind::Binary, cut(bytes, places))),
            Self::Ping(_) | Self::Pong(_) => None,
        }
    }
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), prop_oneof![Just(65_535usize), Just(65_536), 60_000..70_000usize])
            .prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn some_sent() -> impl Strategy<Value = Vec<Sent>> {
    let few = || prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let control = || prop::collection::vec(any::<u8>(), 0..=125);
    let one = prop_oneof![
        2 => (any::<String>(), few()).prop_map(|(text, places)| Sent::Text(text, places)),
        2 => (some_bytes(), few()).prop_map(|(bytes, places)| Sent::Binary(bytes, places)),
        1 => control().prop_map(Sent::Ping),
        1 => control().prop_map(Sent::Pong),
    ];
    prop::collection::vec(one, 0..8)
}

fn some_close() -> impl Strategy<Value = Option<(u16, String)>> {
    let code = prop_oneof![Just(1000u16), Just(1001), 1007..=1013u16, 3000..=4999u16];
    prop::option::of((code, "[a-z\u{E4}\u{20AC}]{0,41}"))
}

fn check_ours_is_read_by_them<R: Opposite>(
    sent: &[Sent],
    close: Option<(u16, String)>,
    tx: usize,
    places: &[prop::sample::Index],
) {
    let mut wire = Wire::default();
    let mut buffers = Buffers::of(MIN_RX_BUFFER, tx);
    let mut websocket = buffers.open::<R>(&mut wire);
    let sender = websocket.sender();
    for sent in sent {
        match sent {
            Sent::Ping(payload) => sender.ping(payload).unwrap(),
            Sent::Pong(payload) => sender.pong(payload).unwrap(),
            Sent::Text(..) | Sent::Binary(..) => {
                let (kind, fragments) = sent.message().unwrap();
                let (last, first) = fragments.split_last().unwrap();
                for fragment in first {
                    sender.send_fragment(kind, fragment, false).unwrap();
                }
                sender.send_fragment(kind, last, true).unwrap();
            }
        }
    }
    let (code, reason) = close.clone().unzip();
    let reason = reason.unwrap_or_default();
    sender.close(code.map(|code| CloseCode::new(code).unwrap()), &reason).unwrap();
    let expected: Vec<Heard> = sent.iter().map(Sent::heard).chain([Heard::Close(close)]).collect();
    let heard = heard_by_them(R::THEIRS, &cut(&wire.sent, places));
    assert!(heard == (expected, false));
}

fn check_theirs_is_read_by_us<R: Opposite>(
    sent: &[Sent],
    close: Option<(u16, String)>,
    places: &[prop::sample::Index],
) {
    let mut them = them(R::THEIRS, &[]);
    for sent in sent {
        match sent {
            Sent::Ping(payload) => them.send(TheirMessage::Ping(payload.clone().into())).unwrap(),
            Sent::Pong(payload) => them.send(TheirMessage::Pong(payload.clone().into())).unwrap(),
            Sent::Text(..) | Sent::Binary(..) => {
                let (kind, fragments) = sent.message().unwrap();
                let last = fragments.len() - 1;
                for (index, fragment) in fragments.into_iter().enumerate() {
                    let data = match kind {
                        _ if index > 0 => Data::Continue,
                        MessageKind::Text => Data::Text,
                        MessageKind::Binary => Data::Binary,
                    };
                    let frame =
                        TheirFrame::message(fragment.to_vec(), OpCode::Data(data), index == last);
                    them.send(TheirMessage::Frame(frame)).unwrap();
                }
            }
        }
    }
    let their_close =
        close.clone().map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
    them.close(their_close).unwrap();
    let written = &them.get_ref().written;
    let outcome = receive_pieces(&mut Connection::<R>::new(), cut(written, places));
    assert_eq!(outcome.error, None);
    let expected: Vec<Heard> = sent.iter().map(Sent::heard).chain([Heard::Close(close)]).collect();
    assert!(heard_by_us(&outcome.seen) == expected);
}

/// A frame of which any part may be wrong.
#[derive(Clone, Debug)]
struct AnyFrame {
    first: u8,
    is_masked_right: bool,
    payload: Vec<u8>,
}

fn any_frame() -> impl Strategy<Value = AnyFrame> {
    let opcode = prop_oneof![
        8 => Just(CONTINUATION),
        6 => Just(TEXT),
        4 => Just(BINARY),
        2 => Just(CLOSE & 0xF),
        3 => Just(PING & 0xF),
        2 => Just(PONG & 0xF),
        1 => 0..16u8,
    ];
    let fin = prop_oneof![2 => Just(FIN), 1 => Just(0)];
    let reserved = prop_oneof![40 => Just(0u8), 1 => (1..8u8).prop_map(|bits| bits << 4)];
    let text = prop_oneof![
        4 => any::<String>().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        // Parts of characters, which the neighbours may or may not complete.
        2 => prop::sample::select(vec![
            &b"\xE2"[..], b"\x82\xAC", b"\xE2\x82", b"\xAC", b"\xF0\x9F", b"\x98\x80", b"\xED",
            b"\xA0\x80", b"\xF4", b"\x90\x80\x80", b"\xC3", b"\xA4",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    // 1014 is in the IANA registry and valid here; tungstenite does not know it.
    let code = prop_oneof![
        3 => Just(1000u16),
        1 => (0..5100u16).prop_filter("judged differently", |code| *code != 1014),
    ];
    let close = prop_oneof![
        1 => Just(vec![]),
        6 => (code, "[a-z\u{E4}]{0,20}").prop_map(|(code, reason)| close_payload(code, &reason)),
        1 => Just(vec![3]),
        1 => Just(b"\x03\xE8\xFF".to_vec()),
    ];
    let long = prop_oneof![120..130usize, 65_530..65_540usize].prop_map(|len| vec![b'l'; len]);
    (opcode, fin, reserved, prop::bool::weighted(0.98), text, close, long, 0..20u8).prop_map(
        |(opcode, fin, reserved, is_masked_right, text, close, long, which)| {
            let is_close = opcode == CLOSE & 0xF;
            let fin = if opcode < 8 || which == 1 { fin } else { FIN };
            let payload = match which {
                0 => long,
                _ if is_close => close,
                _ => text,
            };
            AnyFrame { first: fin | reserved | opcode, is_masked_right, payload }
        },
    )
}

fn check_both_judge_alike<R: Opposite>(frames: &[AnyFrame], places: &[prop::sample::Index]) {
    let is_masked = R::header_from_peer(FIN, 0)[1] != 0;
    let mut bytes: Vec<u8> = Vec::new();
    for frame in frames {
        bytes.extend(if is_masked == frame.is_masked_right {
            masked(frame.first, &frame.payload)
        } else {
            unmasked(frame.first, &frame.payload)
        });
    }
    // Ends a message in progress, so that the validity of its text is decided in both.
    bytes.extend(R::from_peer(FIN | CONTINUATION, b""));
    let ours = receive_pieces(&mut Connection::<R>::new(), cut(&bytes, places));
    let theirs = heard_by_them(R::OURS, &[&bytes]);
    let ours = (heard_by_us(&ours.seen), ours.error.is_some());
    assert!(ours == theirs, "we heard {ours:?}, they heard {theirs:?}");
}

/// Arbitrary pieces of an arbitrary stream, against the whole of it.
fn check_pieces<R: End>(bytes: &[u8], places: &[prop::sample::Index]) {
    let whole = receive::<R>(bytes);
    let pieces = cut(bytes, places);
    let in_pieces = receive_pieces(&mut Connection::<R>::new(), pieces.iter().copied());
    assert_eq!(in_pieces.error, whole.error);
    if whole.error != Some(ProtocolError::InvalidUtf8) {
        assert_eq!(in_pieces.seen, whole.seen);
    }
    let mut wire = Wire::bringing(&pieces).ended();
    let mut buffers = Buffers::of(MIN_RX_BUFFER, MIN_TX_BUFFER);
    let outcome = receive_until_error(&mut buffers.open::<R>(&mut wire));
    match whole.error {
        Some(error) => assert_eq!(outcome.error, Error::Protocol(error)),
        None => assert!(matches!(outcome.error, Error::Closed | Error::Disconnected)),
    }
    // Whatever was answered is whole frames.
    frames(&wire.sent);
}

proptest! {
    #![proptest_config(config(160))]

    /// RFC 6455 section 5.2, against tungstenite.
    #[test]
    fn whatever_we_send_as_a_server_tungstenite_reads(
        sent in some_sent(), close in some_close(), places in places(),
    ) {
        check_ours_is_read_by_them::<Server>(&sent, close, MIN_TX_BUFFER, &places);
    }

    #[test]
    fn whatever_we_send_as_a_client_tungstenite_reads(
        sent in some_sent(), close in some_close(), places in places(),
        tx in prop_oneof![MIN_TX_BUFFER..MIN_TX_BUFFER + 5, Just(1000usize)],
    ) {
        check_ours_is_read_by_them::<TestClient>(&sent, close, tx, &places);
    }

    #[test]
    fn whatever_tungstenite_sends_as_a_client_we_read(
        sent in some_sent(), close in some_close(), places in places(),
    ) {
        check_theirs_is_read_by_us::<Server>(&sent, close, &places);
    }

    #[test]
    fn whatever_tungstenite_sends_as_a_server_we_read(
        sent in some_sent(), close in some_close(), places in places(),
    ) {
        check_theirs_is_read_by_us::<TestClient>(&sent, close, &places);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    /// RFC 6455 sections 5 and 8.1. Left out is what tungstenite lets pass against the RFC, which
    /// framing.rs covers: lengths that are not minimal, and those over 2^63 - 1.
    #[test]
    fn frames_that_may_be_wrong_are_judged_alike_by_tungstenite_and_a_server(
        frames in prop::collection::vec(any_frame(), 0..8), places in places(),
    ) {
        check_both_judge_alike::<Server>(&frames, &places);
    }

    #[test]
    fn frames_that_may_be_wrong_are_judged_alike_by_tungstenite_and_a_client(
        frames in prop::collection::vec(any_frame(), 0..8), places in places(),
    ) {
        check_both_judge_alike::<TestClient>(&frames, &places);
    }

    /// Straddling, for streams that nobody thought of.
    #[test]
    fn arbitrary_bytes_mean_the_same_in_arbitrary_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300), places in places(),
    ) {
        check_pieces::<Server>(&bytes, &places);
        check_pieces::<TestClient>(&bytes, &places);
    }

    /// The same for streams that begin well.
    #[test]
    fn frames_that_may_be_wrong_mean_the_same_in_arbitrary_pieces(
        frames in prop::collection::vec(any_frame(), 0..8), places in places(),
    ) {
        let bytes = frames.iter().flat_map(|frame| masked(frame.first, &frame.payload));
        check_pieces::<Server>(&bytes.collect::<Vec<_>>(), &places);
        let bytes = frames.iter().flat_map(|frame| unmasked(frame.first, &frame.payload));
        check_pieces::<TestClient>(&bytes.collect::<Vec<_>>(), &places);
    }
}

// Heads.

/// A byte put in, left out or changed.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Replace(prop::sample::Index, u8),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let byte = || {
        let special = b"\0\t\n\r :,;/?#\"()@[\\]{}\x7F\x80\xFFaZ09-_".to_vec();
        prop_oneof![3 => prop::sample::select(special), 1 => any::<u8>()]
    };
    let place = any::<prop::sample::Index>;
    let one = prop_oneof![
        (place(), byte()).prop_map(|(place, byte)| Mutation::Insert(place, byte)),
        place().prop_map(Mutation::Remove),
        (place(), byte()).prop_map(|(place, byte)| Mutation::Replace(place, byte)),
    ];
    prop::collection::vec(one, 0..4)
}

fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        match mutation {
            Mutation::Insert(place, byte) => bytes.insert(place.index(bytes.len() + 1), *byte),
            Mutation::Remove(place) => drop(bytes.remove(place.index(bytes.len()))),
            Mutation::Replace(place, byte) => {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
        }
    }
    bytes
}

fn some_fields() -> impl Strategy<Value = Vec<String>> {
    let field = prop_oneof![
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}:[ \t]{0,2}[!-~\u{80}-\u{FF} \t]{0,20}",
        "X-[A-Z]{1,3}: [a-z, ]{0,20}",
    ];
    prop::collection::vec(field, 0..6)
}

fn with_fields(start_line: &str, known: &[&str], more: &[String]) -> Vec<u8> {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    head(start_line, &[&more[..more.len() / 2], known, &more[more.len() / 2..]].concat())
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn our_fields(head: &Head<'_>) -> Fields {
    head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn their_fields(headers: &[httparse::Header<'_>]) -> Fields {
    // It may leave white space behind the value.
    let field = |header: &httparse::Header<'_>| {
        (header.name.as_bytes().to_vec(), header.value.trim_ascii().to_vec())
    };
    headers.iter().map(field).collect()
}

fn has_bare_lf(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'\n') || bytes.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r')
}

/// Method, target, minor version, fields and length.
type Parsed = (Vec<u8>, Vec<u8>, u8, Fields, usize);

fn parsed_by_them(bytes: &[u8]) -> Option<Parsed> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(len)) = request.parse(bytes) else { return None };
    let method = request.method.unwrap().as_bytes().to_vec();
    let target = request.path.unwrap().as_bytes().to_vec();
    Some((method, target, request.version.unwrap(), their_fields(request.headers), len))
}

fn handshake(bytes: &[u8]) -> Handshake {
    let mut handshake = Handshake::new();
    let _ = handshake.read(bytes);
    handshake
}

fn parsed_by_us(bytes: &[u8]) -> Option<(ServerRequest<'_>, usize)> {
    let handshake = handshake(bytes);
    match handshake.verdict() {
        Ok(()) => {}
        Err(RequestError::NotWebSocket | RequestError::Method) => {}
        Err(RequestError::Connection | RequestError::Target) => {}
        Err(_) => return None,
    }
    let len = handshake.head_len();
    Some((ServerRequest::new(&bytes[..len]), len))
}

fn check_request(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    if let Err(RequestError::Version | RequestError::Key) = handshake(bytes).verdict() {
        // Not read to its end, and no concern of httparse.
        return;
    }
    let theirs = parsed_by_them(bytes);
    match (parsed_by_us(bytes), theirs) {
        (Some((request, len)), Some((method, target, _, fields, their_len))) => {
            assert_eq!(request.method().as_bytes(), method, "{shown}");
            if target.starts_with(b"/") {
                assert_eq!(request.resource_name().as_bytes(), target, "{shown}");
            }
            assert_eq!((our_fields(request.head()), len), (fields, their_len), "{shown}");
        }
        (Some(_), None) => {
            // It knows HTTP/1.0 and 1.1 only, where RFC 9110 section 2.5 has a recipient take a
            // higher minor version for 1.1.
            let is_higher = (b'2'..=b'9').any(|minor| {
                let version = [b" HTTP/1.".as_slice(), &[minor], b"\r\n"].concat();
                bytes.windows(version.len()).any(|window| window == version)
            });
            assert!(is_higher, "only we accept {shown}");
        }
        (None, Some((_, target, _, fields, _))) => {
            // Not one Host of one name, which RFC 9112 section 3.2 wants; line ends of LF alone, which its
            // section 2.2 lets a recipient accept or not; empty lines before the request line,
            // likewise; targets with bytes over 7F, which no URI has (RFC 3986 section 2).
            let is_host = |(name, value): &&(Vec<u8>, Vec<u8>)| {
                let is_one = !value.is_empty() && !value.iter().any(|byte| b" \t,".contains(byte));
                name.eq_ignore_ascii_case(b"host") && is_one
            };
            let is_stricter = fields.iter().filter(is_host).count() != 1
                || has_bare_lf(bytes)
                || bytes.starts_with(b"\r\n")
                || !target.is_ascii();
            assert!(is_stricter, "only httparse accepts {shown}");
        }
        (None, None) => {}
    }
}

fn check_response(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    let request = ClientRequest::new("h", "/");
    let key = ClientRequest::key(NONCE);
    let mut handshake = ClientHandshake::new(&request, &key);
    if !handshake.read(bytes) || handshake.verdict().is_err() {
        return;
    }
    let len = handshake.head_len();
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let is_higher = !bytes.starts_with(b"HTTP/1.1 ");
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(their_len)) => {
            assert_eq!((their_len, response.code), (len, Some(101)), "{shown}");
            let fields = our_fields(&Head::new(&bytes[..len]));
            assert_eq!(fields, their_fields(response.headers), "{shown}");
        }
        other => assert!(is_higher, "only we accept {shown}: {other:?}"),
    }
}

proptest! {
    #![proptest_config(config(2000))]

    /// RFC 9112, against httparse.
    #[test]
    fn a_valid_request_is_read_as_httparse_reads_it(
        target in "/[!-~]{0,20}", more in some_fields(),
    ) {
        let bytes = with_fields(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS, &more);
        // Whether a field of ours is among them does not matter to the syntax.
        prop_assert!(parsed_by_us(&bytes).is_some() && parsed_by_them(&bytes).is_some());
        check_request(&bytes);
    }

    #[test]
    fn a_request_that_may_be_wrong_is_judged_as_by_httparse(
        method in prop_oneof![Just("GET"), Just("HEAD"), Just("POST")],
        version in prop_oneof![8 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")],
        more in some_fields(),
        mutations in mutations(),
    ) {
        let bytes = with_fields(&format!("{method} /chat?a=b {version}"), &REQUEST_FIELDS, &more);
        check_request(&mutate(bytes, &mutations));
    }

    #[test]
    fn arbitrary_lines_are_judged_as_by_httparse(bytes in "[GET /:a\r\n\tHP1.]{0,40}") {
        check_request(bytes.as_bytes());
    }

    #[test]
    fn a_response_that_we_accept_is_one_to_httparse(
        more in some_fields(), mutations in mutations(),
    ) {
        let bytes = with_fields("HTTP/1.1 101 Switching Protocols", &RESPONSE_FIELDS, &more);
        check_response(&mutate(bytes, &mutations));
    }
}
