// SPDX-License-Identifier: Apache-2.0
//! Connecting, and connecting again: the delays (RFC 6455 section 7.2.3), what a refusal asks for
//! (RFC 9110 section 10.2.3), every address of a host, and a client that outlives its server.

#![cfg(feature = "std")]

mod support;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use support::*;
use zephyr_websocket::handshake::Head;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::handshake::server::Acceptance;
use zephyr_websocket::host::{OsEntropy, TcpTransport};
use zephyr_websocket::{
    Backoff, Entropy, EntropyUnavailable, Error, Incoming, MAX_RETRY_AFTER, MIN_TX_BUFFER, Message,
    MessageBuffer, ResponseError, Transport, connect, connect_or_refused,
};

/// Nothing here takes as long, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(20);

const SECOND: Duration = Duration::from_secs(1);

/// The same four bytes for ever.
struct Always(u32);

impl Entropy for Always {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        bytes.copy_from_slice(&self.0.to_le_bytes());
        Ok(())
    }
}

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, _bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        Err(EntropyUnavailable)
    }
}

fn delays(backoff: &mut Backoff, random: u32, count: usize) -> Vec<u64> {
    let delay = |_| backoff.next_delay(&mut Always(random)).unwrap().as_millis() as u64;
    (0..count).map(delay).collect()
}

#[test]
fn delays_are_doubled_up_to_the_maximum() {
    let mut backoff = Backoff::new(5 * SECOND, 60 * SECOND, 30 * SECOND);
    let limits = [5_000, 10_000, 20_000, 40_000, 60_000, 60_000];
    assert_eq!(delays(&mut backoff, u32::MAX, 6), limits);
    // Not one of thousands of attempts wraps around.
    assert!(delays(&mut backoff, u32::MAX, 5_000).iter().all(|delay| *delay == 60_000));
    assert_eq!(delays(&mut backoff, 1 << 31, 1), [30_000]);
    assert_eq!(delays(&mut backoff, 0, 1), [0]);
    let mut longest = Backoff::new(Duration::MAX, Duration::MAX, SECOND);
    assert_eq!(delays(&mut longest, u32::MAX, 2), [u64::from(u32::MAX); 2]);
    let mut none = Backoff::new(Duration::ZERO, SECOND, SECOND);
    assert_eq!(delays(&mut none, u32::MAX, 40), [0; 40]);
    assert_eq!(
        delays(&mut Backoff::default(), u32::MAX, 5),
        [5_000, 10_000, 20_000, 40_000, 60_000]
    );
}

#[test]
fn only_a_connection_that_lasted_begins_anew() {
    let mut backoff = Backoff::new(SECOND, 60 * SECOND, 30 * SECOND);
    assert_eq!(delays(&mut backoff, u32::MAX, 3), [1_000, 2_000, 4_000]);
    backoff.ended(29 * SECOND);
    assert_eq!(delays(&mut backoff, u32::MAX, 1), [8_000]);
    backoff.ended(30 * SECOND);
    assert_eq!(delays(&mut backoff, u32::MAX, 2), [1_000, 2_000]);
}

#[test]
fn delays_are_random() {
    let mut counts = [0; 4];
    for _ in 0..1_000 {
        let mut backoff = Backoff::new(4 * SECOND, 4 * SECOND, SECOND);
        let delay = backoff.next_delay(&mut OsEntropy).unwrap();
        counts[(delay.as_millis() as usize / 1_000).min(3)] += 1;
    }
    // One in 10^10 runs has less than 160 in a quarter.
    assert!(counts.iter().all(|count| *count > 160), "{counts:?}");
    let mut backoff = Backoff::new(SECOND, 8 * SECOND, SECOND);
    assert_eq!(backoff.next_delay(&mut NoEntropy), Err(EntropyUnavailable));
    assert_eq!(delays(&mut backoff, u32::MAX, 1), [1_000]);
}

#[test]
fn retry_after_is_added_once() {
    let hour = MAX_RETRY_AFTER.as_millis() as u64;
    let fields: [(u16, &str, u64); 11] = [
        (503, "Retry-After: 120", 120_000),
        (429, "retry-after:7 ", 7_000),
        (503, "Retry-After: 0", 0),
        (503, "Retry-After: 99999999999999999999999", hour),
        (503, "Retry-After: 3601", hour),
        (503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (503, "Retry-After: -5", 0),
        (503, "Retry-After: 1.5", 0),
        (503, "Retry-After:", 0),
        (503, "X-Retry-After: 5", 0),
        (500, "Retry-After: 5", 0),
    ];
    for (status, field, expected) in fields {
        let bytes = head(&format!("HTTP/1.1 {status} No"), &["Date: today", field]);
        let mut backoff = Backoff::new(SECOND, SECOND, SECOND);
        backoff.refused(status, Head::new(&bytes));
        assert_eq!(delays(&mut backoff, u32::MAX, 2), [1_000 + expected, 1_000], "{field}");
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that answers one request with `pieces`, each in its own segment.
fn answering(pieces: Vec<Vec<u8>>) -> SocketAddr {
    let (listener, address) = listen();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        let mut request = [0; 1024];
        let mut len = 0;
        while !request[..len].ends_with(b"\r\n\r\n") {
            len += stream.read(&mut request[len..]).unwrap();
        }
        for piece in pieces {
            // The client may have seen enough.
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
    });
    address
}

/// The status of a refusal, and its Retry-After.
type Learnt = Option<(u16, Option<Vec<u8>>)>;

/// What a client learns that is answered with `pieces`.
fn refusal(pieces: Vec<Vec<u8>>) -> (Learnt, Error<io::Error>) {
    let address = answering(pieces);
    let mut transport = TcpTransport::connect(address, WATCHDOG).unwrap();
    transport.set_deadline(Some(WATCHDOG));
    let (mut rx, mut tx) = ([0; 512], [0; MIN_TX_BUFFER]);
    let mut learnt = None;
    let refused = |status, head: Head<'_>| {
        learnt = Some((status, head.field("Retry-After").map(<[u8]>::to_vec)));
    };
    let request = Request::new("h", "/");
    let result = connect_or_refused(transport, OsEntropy, &request, &mut rx, &mut tx, refused);
    let error = result.err().expect("a refusal");
    (learnt, error)
}

#[test]
fn a_refusal_is_read_to_the_end_of_its_head() {
    let bytes = head("HTTP/1.1 503 Busy", &["Date: today", "Retry-After: 30", "Server: none"]);
    let whole = [&bytes[..], b"body\r\n\r\n"].concat();
    let drip: Vec<_> = bytes.iter().map(|byte| vec![*byte]).collect();
    for pieces in [vec![whole], drip] {
        let (learnt, error) = refusal(pieces);
        assert_eq!(learnt, Some((503, Some(b"30".to_vec()))));
        assert!(matches!(error, Error::Response(ResponseError::Status(503))), "{error:?}");
    }
}

#[test]
fn a_refusal_that_is_cut_off_tells_what_came() {
    for (end, expected) in [("Retry-After: 30\r\n", Some(b"30".to_vec())), ("Retry-After: 3", None)]
    {
        let bytes = format!("HTTP/1.1 503 Busy\r\n{end}").into_bytes();
        let (learnt, error) = refusal(vec![bytes]);
        assert_eq!(learnt, Some((503, expected)));
        assert!(matches!(error, Error::Response(ResponseError::Status(503))), "{error:?}");
    }
    // Longer than the receive buffer.
    let filler = format!("X: {}", "f".repeat(600));
    let (learnt, _) = refusal(vec![head("HTTP/1.1 503 Busy", &["Retry-After: 8", &filler])]);
    assert_eq!(learnt, Some((503, Some(b"8".to_vec()))));
}

#[test]
fn only_another_status_is_a_refusal_to_look_at() {
    let (learnt, error) = refusal(vec![head("HTTP/1.1 101 Switching", &["Upgrade: h2c"])]);
    assert_eq!(learnt, None);
    assert!(matches!(error, Error::Response(ResponseError::Upgrade)), "{error:?}");
}

/// RFC 6455 section 4.1: fields such as Cookie and Authorization, and subprotocols.
#[test]
fn authorization_cookie_and_subprotocols_reach_the_server() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut transport = TcpTransport::new(listener.accept().unwrap().0).unwrap();
        transport.set_deadline(Some(WATCHDOG));
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        let incoming = Incoming::read(transport, &mut rx, &mut tx).unwrap();
        let request = incoming.request();
        assert_eq!(request.head().field("Authorization"), Some(&b"Basic QWxhZGRpbjpvcGVu"[..]));
        assert_eq!(request.head().field("cookie"), Some(&b"id=7; theme=\"dark\""[..]));
        assert!(request.subprotocols().eq(["mqtt", "chat.v2"]));
        let acceptance = Acceptance { subprotocol: Some("chat.v2"), ..Acceptance::default() };
        incoming.accept(&acceptance).unwrap().finish(WATCHDOG);
    });
    let transport = TcpTransport::connect(address, WATCHDOG).unwrap();
    let request = Request {
        fields: &[("Authorization", "Basic QWxhZGRpbjpvcGVu"), ("Cookie", "id=7; theme=\"dark\"")],
        subprotocols: &["mqtt", "chat.v2"],
        ..Request::new("h", "/")
    };
    let (mut rx, mut tx) = ([0; 1024], [0; 256]);
    let connected = connect(transport, OsEntropy, &request, &mut rx, &mut tx).unwrap();
    assert_eq!(connected.subprotocol, Some("chat.v2"));
    drop(connected);
    server.join().unwrap();
}

/// An address at which nobody listens.
fn dead() -> SocketAddr {
    listen().1
}

/// An address that does not answer: its listener's queue is full, and what waits there is never
/// accepted. `None` where the system answers all the same.
fn silent() -> Option<(socket2::Socket, Vec<TcpStream>, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..16 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => waiting.push(stream),
            Err(_) => return Some((socket, waiting, address)),
        }
    }
    None
}

#[test]
fn every_address_is_tried_in_turn() {
    let (_listener, alive) = listen();
    for addresses in [vec![alive], vec![dead(), alive], vec![dead(), dead(), alive, dead()]] {
        let transport = TcpTransport::connect(&addresses[..], WATCHDOG).unwrap();
        assert_eq!(transport.stream().peer_addr().unwrap(), alive);
    }
    let by_name = TcpTransport::connect(("localhost", alive.port()), WATCHDOG).unwrap();
    assert_eq!(by_name.stream().peer_addr().unwrap().port(), alive.port());
}

#[test]
fn an_address_that_is_silent_leaves_time_for_the_next() {
    let Some((_socket, _waiting, silent)) = silent() else { return };
    let (_listener, alive) = listen();
    let transport = TcpTransport::connect(&[silent, alive][..], 2 * SECOND).unwrap();
    assert_eq!(transport.stream().peer_addr().unwrap(), alive);
    let error = TcpTransport::connect(silent, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// A name that takes longer to resolve than there is time to connect.
struct SlowName(SocketAddr);

impl ToSocketAddrs for SlowName {
    type Iter = std::iter::Once<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        thread::sleep(Duration::from_millis(2));
        Ok(std::iter::once(self.0))
    }
}

#[test]
fn resolving_a_name_takes_of_the_time_to_connect() {
    let (_listener, alive) = listen();
    let error = TcpTransport::connect(SlowName(alive), Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(TcpTransport::connect(SlowName(alive), WATCHDOG).is_ok());
}

#[test]
fn the_last_error_is_told() {
    let connect = |addresses: &[SocketAddr]| TcpTransport::connect(addresses, WATCHDOG);
    assert_eq!(connect(&[dead(), dead()]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(connect(&[]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = TcpTransport::connect(dead(), Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

/// The example, which `cargo test` has built unless it was told to build this test only.
struct Client {
    child: Child,
    /// What it prints, and what it says on standard error.
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Client {
    fn start(arguments: &[&str]) -> Self {
        let mut path: PathBuf = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.extend(["examples", "reconnecting_client"]);
        path.set_extension(std::env::consts::EXE_EXTENSION);
        let mut child = Command::new(&path)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}: cargo build --examples --features std", path.display())
            });
        let lines = lines_of(child.stdout.take().unwrap());
        let errors = lines_of(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            // Nobody asks any more once the test is over.
            let _ = sender.send(line.unwrap());
        }
    });
    lines
}

/// Waits for a line that has all of `parts`.
#[track_caller]
fn wait_for(lines: &Receiver<String>, parts: &[&str]) {
    let end = Instant::now() + WATCHDOG;
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| parts.iter().all(|part| line.contains(part))) {
        let line = lines.recv_timeout(end.saturating_duration_since(Instant::now()));
        seen.push(line.unwrap_or_else(|_| panic!("no {parts:?} in {seen:?}")));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It runs for ever.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves one connection: answers its message with `text`, and vanishes without a Close frame.
fn serve_and_die(listener: &TcpListener, text: &str) {
    let mut transport = TcpTransport::new(listener.accept().unwrap().0).unwrap();
    transport.set_deadline(Some(WATCHDOG));
    let (mut rx, mut tx) = ([0; 1024], [0; MIN_TX_BUFFER]);
    let incoming = Incoming::read(transport, &mut rx, &mut tx).unwrap();
    assert_eq!(incoming.request().head().field("Authorization"), Some(&b"Bearer of:news"[..]));
    let acceptance = Acceptance { subprotocol: Some("news"), ..Acceptance::default() };
    let mut websocket = incoming.accept(&acceptance).unwrap();
    let mut storage = [0; 64];
    let mut messages = MessageBuffer::new(&mut storage);
    assert_eq!(messages.receive(&mut websocket).unwrap(), Message::Text("hello"));
    websocket.sender().send_text(text).unwrap();
}

#[test]
fn a_client_outlives_its_server() {
    let (listener, address) = listen();
    let url = format!("ws://{address}/feed?from=now");
    let client = Client::start(&[
        "--header",
        "Authorization: Bearer of:news",
        "--subprotocol",
        "news",
        "--send",
        "hello",
        "--first-delay",
        "0.05",
        "--max-delay",
        "0.2",
        &url,
    ]);
    serve_and_die(&listener, "first news");
    wait_for(&client.lines, &["first news"]);
    wait_for(&client.errors, &["disconnected", "connecting again"]);
    drop(listener);
    // Nobody is there for a while.
    wait_for(&client.errors, &["refused", "connecting again"]);
    let listener = TcpListener::bind(address).unwrap();
    // A server that is not ready yet.
    let mut stream = listener.accept().unwrap().0;
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).unwrap() > 0);
    stream.write_all(&head("HTTP/1.1 503 Soon", &["Retry-After: 1"])).unwrap();
    // 1 s, and at most 0.2 s beside.
    wait_for(&client.errors, &["503", "connecting again in 1."]);
    drop(stream);
    serve_and_die(&listener, "last news");
    wait_for(&client.lines, &["last news"]);
    wait_for(&client.errors, &["open, news"]);
}

#[test]
fn a_url_that_cannot_work_is_not_tried_again() {
    for (arguments, status) in [
        (&["ws://"][..], 1),
        (&["ftp://h/"], 1),
        (&["--header", "A: \x07", "ws://127.0.0.1:1/"], 1),
        (&[], 2),
        (&["--header"], 2),
        (&["--ping", "soon", "ws://h/"], 2),
        (&["--help"], 0),
    ] {
        let (_listener, address) = listen();
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| argument.replace("127.0.0.1:1", &address.to_string()))
            .collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut client = Client::start(&arguments);
        assert_eq!(client.child.wait().unwrap().code(), Some(status), "{arguments:?}");
    }
}
