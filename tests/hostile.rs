// SPDX-License-Identifier: Apache-2.0
//! Peers that do their worst, over real TCP on the loopback interface: each ends with the status,
//! close code or error that is defined for it, and the server serves the next.

#![cfg(feature = "std")]

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use support::*;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::host::{OsEntropy, TcpTransport};
use zephyr_websocket::{
    CloseCode, Error, MIN_TX_BUFFER, Message, MessageBuffer, ProtocolError, RequestError,
    ResponseError, Transport, WebSocket, connect,
};

#[path = "../samples/echo_client/src/client.rs"]
mod client;
#[path = "../examples/support/echo.rs"]
mod echo;

/// Nothing here takes as long, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(20);

/// Timeouts that no test reaches.
const PATIENT: echo::Settings<'static> = echo::Settings {
    origin: None,
    handshake_timeout: WATCHDOG,
    idle_timeout: WATCHDOG,
    send_timeout: WATCHDOG,
    close_timeout: WATCHDOG,
};

type Served = Result<(), Error<io::Error>>;

/// The echo server, with a thread for each connection.
struct EchoServer {
    address: SocketAddr,
    served: Receiver<Served>,
}

impl EchoServer {
    fn start(settings: echo::Settings<'static>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, served) = channel();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let (mut rx, mut tx) = ([0; 1024], [0; MIN_TX_BUFFER]);
                    let transport = TcpTransport::new(stream).unwrap();
                    // Nobody asks any more once the test is over.
                    let _ = sender.send(echo::serve(transport, &mut rx, &mut tx, &settings));
                });
            }
        });
        Self { address, served }
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        stream
    }

    /// A connection on which the opening handshake is done.
    fn open(&self) -> TcpStream {
        let mut stream = self.dial();
        stream.write_all(&request()).unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            response.push(byte[0]);
        }
        assert!(response.starts_with(b"HTTP/1.1 101 "), "{}", response.escape_ascii());
        stream
    }

    /// How the server saw the last connection end.
    fn served(&self) -> Served {
        self.served.recv_timeout(WATCHDOG).expect("the server hangs")
    }

    /// Whatever happened before, the next connection is served.
    fn assert_serves(&self) {
        let mut stream = self.open();
        stream.write_all(&masked(FIN | TEXT, b"still there?")).unwrap();
        stream.write_all(&masked(CLOSE, &close_payload(1000, ""))).unwrap();
        let expected =
            [unmasked(FIN | TEXT, b"still there?"), unmasked(CLOSE, &close_payload(1000, ""))];
        assert_eq!(rest(stream), expected.concat());
        assert!(matches!(self.served(), Ok(())));
    }
}

/// What still comes until the peer ends its side.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Sends `bytes` in a new connection, which is to be answered with `status`.
#[track_caller]
fn assert_refused(server: &EchoServer, bytes: &[u8], status: u16) -> Served {
    let mut stream = server.dial();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let response = rest(stream);
    let line = format!("HTTP/1.1 {status} ");
    assert!(response.starts_with(line.as_bytes()), "{}", response.escape_ascii());
    server.served()
}

/// Handshake and Limits: RFC 6585 section 5.
#[test]
fn a_peer_that_sends_100_kb_of_headers_reads_431() {
    let server = EchoServer::start(PATIENT);
    let line = format!("X-Filler: {}", "f".repeat(1000));
    let head = request_with(&[&REQUEST_FIELDS[..], &vec![&*line; 100]].concat());
    let served = assert_refused(&server, &head, 431);
    assert!(matches!(served, Err(Error::Request(RequestError::HeadTooLarge))));
    server.assert_serves();
}

/// RFC 6455 section 4.2.1.
#[test]
fn a_peer_that_ends_its_side_before_the_blank_line_gets_no_answer() {
    let server = EchoServer::start(PATIENT);
    let head = request();
    let mut stream = server.dial();
    stream.write_all(&head[..head.len() - 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), b"");
    assert!(matches!(server.served(), Err(Error::Disconnected)));
    server.assert_serves();
}

/// RFC 9110 section 15.5.9; Handshake: a slow drip (tungstenite CVE-2023-43669).
#[test]
fn a_peer_that_never_sends_the_blank_line_reads_408() {
    let settings = echo::Settings { handshake_timeout: Duration::from_millis(100), ..PATIENT };
    let server = EchoServer::start(settings);
    let head = request();
    let mut stream = server.dial();
    stream.write_all(&head[..head.len() - 2]).unwrap();
    let response = rest(stream);
    assert!(response.starts_with(b"HTTP/1.1 408 "), "{}", response.escape_ascii());
    assert!(matches!(server.served(), Err(Error::Request(RequestError::HeadTimedOut))));
}

/// Handshake: which of two keys would be answered is a matter of taste, so neither is.
#[test]
fn a_peer_that_sends_two_keys_reads_400() {
    let server = EchoServer::start(PATIENT);
    let fields = [&REQUEST_FIELDS[..], &["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]].concat();
    let served = assert_refused(&server, &request_with(&fields), 400);
    assert!(matches!(served, Err(Error::Request(RequestError::Key))));
    server.assert_serves();
}

/// RFC 9112 section 2.2.
#[test]
fn a_peer_that_does_not_speak_http_reads_400() {
    let server = EchoServer::start(PATIENT);
    let served = assert_refused(&server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", 400);
    assert!(matches!(served, Err(Error::Request(RequestError::Malformed))));
    server.assert_serves();
}

/// Lengths: nopoll 84, undici CVE-2026-1528.
#[test]
fn a_peer_that_announces_2_to_the_63_bytes_reads_1002() {
    let server = EchoServer::start(PATIENT);
    let mut stream = server.open();
    stream.write_all(&header(FIN | BINARY, Some(KEY), 1 << 63)).unwrap();
    assert_eq!(contents(&rest(stream)), [(CLOSE, close_payload(1002, ""))]);
    let served = server.served();
    assert!(matches!(served, Err(Error::Protocol(ProtocolError::LengthTooLarge))));
    server.assert_serves();
}

/// Lengths and Limits: what is announced is not believed to come.
#[test]
fn a_peer_that_announces_2_to_the_63_less_one_bytes_gets_its_few_bytes_echoed() {
    let server = EchoServer::start(PATIENT);
    let mut stream = server.open();
    let announced = header(FIN | BINARY, Some([0; 4]), (1 << 63) - 1);
    stream.write_all(&[&announced[..], b"few"].concat()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let echoed = contents(&rest(stream));
    assert!(echoed.iter().all(|(first, _)| first & FIN == 0), "{echoed:?}");
    assert_eq!(echoed.into_iter().flat_map(|(_, payload)| payload).collect::<Vec<_>>(), b"few");
    assert!(matches!(server.served(), Err(Error::Disconnected)));
    server.assert_serves();
}

/// Control frames: RFC 6455 section 5.5.3 lets Pongs be left out, but not the last.
#[test]
fn a_peer_that_floods_with_pings_has_the_last_one_answered_and_its_data_echoed() {
    let server = EchoServer::start(PATIENT);
    let stream = server.open();
    let mut writer = stream.try_clone().unwrap();
    let flood = thread::spawn(move || {
        let pings: Vec<u8> =
            (0..10_000u32).flat_map(|number| masked(PING, &number.to_be_bytes())).collect();
        writer.write_all(&pings).unwrap();
        writer.write_all(&masked(FIN | TEXT, b"data")).unwrap();
        writer.write_all(&masked(CLOSE, b"")).unwrap();
    });
    let mut answers = contents(&rest(stream));
    flood.join().unwrap();
    assert_eq!(answers.pop(), Some((CLOSE, vec![])));
    let echo = answers.iter().position(|answer| *answer == (FIN | TEXT, b"data".to_vec()));
    answers.remove(echo.expect("the data was not echoed"));
    let number = |(first, payload): &(u8, Vec<u8>)| {
        assert_eq!(*first, PONG);
        u32::from_be_bytes(payload[..].try_into().unwrap())
    };
    let pongs: Vec<u32> = answers.iter().map(number).collect();
    assert!(pongs.is_sorted_by(|one, next| one < next));
    assert_eq!(pongs.last(), Some(&9999));
    assert!(matches!(server.served(), Ok(())));
    server.assert_serves();
}

/// RFC 6455 section 5.4: the message never ends.
#[test]
fn a_peer_that_closes_within_a_message_is_answered() {
    let server = EchoServer::start(PATIENT);
    let mut stream = server.open();
    stream.write_all(&masked(TEXT, b"begun")).unwrap();
    stream.write_all(&masked(CLOSE, &close_payload(1001, "bye"))).unwrap();
    let expected = [(TEXT, b"begun".to_vec()), (CLOSE, close_payload(1001, ""))];
    assert_eq!(contents(&rest(stream)), expected);
    assert!(matches!(server.served(), Ok(())));
    server.assert_serves();
}

/// RFC 6455 section 7.1.5: a disconnection, but what was asked before is still answered.
#[test]
fn a_peer_that_ends_only_its_side_still_reads_its_echo() {
    let server = EchoServer::start(PATIENT);
    let mut stream = server.open();
    stream.write_all(&masked(FIN | TEXT, b"last words")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(contents(&rest(stream)), [(FIN | TEXT, b"last words".to_vec())]);
    assert!(matches!(server.served(), Err(Error::Disconnected)));
    server.assert_serves();
}

/// RFC 6455 section 7.1.5: a reset is the transport's error.
#[test]
fn a_peer_that_resets_in_the_middle_of_a_frame_ends_only_its_own_connection() {
    let server = EchoServer::start(PATIENT);
    let mut stream = server.open();
    stream.write_all(&masked(FIN | TEXT, &[b'x'; 100])[..50]).unwrap();
    // The echo of what came shows that the server is within the frame.
    stream.read_exact(&mut [0; 2]).unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let Err(Error::Transport(error)) = server.served() else { panic!("no reset was seen") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    server.assert_serves();
}

/// Life cycle: a stop that blocks for 90 s (esp-protocols PR 729).
#[test]
fn a_peer_that_never_ends_its_side_is_given_up_at_the_deadline() {
    let settings = echo::Settings { close_timeout: Duration::from_millis(100), ..PATIENT };
    let server = EchoServer::start(settings);
    let mut stream = server.open();
    stream.write_all(&masked(CLOSE, b"")).unwrap();
    assert!(matches!(server.served(), Ok(())));
    assert_eq!(contents(&rest(stream)), [(CLOSE, vec![])]);
}

/// Life cycle: the deadline bounds the whole of it, not each read.
#[test]
fn a_peer_that_never_stops_sending_is_given_up_at_the_deadline() {
    let settings = echo::Settings { close_timeout: Duration::from_millis(100), ..PATIENT };
    let server = EchoServer::start(settings);
    let mut stream = server.open();
    stream.write_all(&masked(CLOSE, b"")).unwrap();
    let endless = thread::spawn(move || while stream.write_all(&[0; 1000]).is_ok() {});
    assert!(matches!(server.served(), Ok(())));
    endless.join().unwrap();
}

/// Life cycle: a peer that sends for ever and never reads.
#[test]
fn a_peer_that_does_not_read_its_echo_is_given_up() {
    let settings = echo::Settings {
        send_timeout: Duration::from_millis(100),
        close_timeout: Duration::from_millis(100),
        ..PATIENT
    };
    let server = EchoServer::start(settings);
    let mut stream = server.open();
    let endless = thread::spawn(move || {
        let message = masked(FIN | BINARY, &[0x42; 60_000]);
        while stream.write_all(&message).is_ok() {}
    });
    assert!(matches!(server.served(), Err(Error::TimedOut)));
    endless.join().unwrap();
}

/// Life cycle: a peer that is gone without a word.
#[test]
fn a_peer_that_stays_silent_is_pinged_and_then_given_up() {
    let settings = echo::Settings {
        idle_timeout: Duration::from_millis(100),
        close_timeout: Duration::from_millis(100),
        ..PATIENT
    };
    let server = EchoServer::start(settings);
    let stream = server.open();
    assert!(matches!(server.served(), Err(Error::TimedOut)));
    assert_eq!(contents(&rest(stream)), [(PING, vec![])]);
}

/// Life cycle: connections do not share anything.
#[test]
fn a_stuck_connection_does_not_hold_up_another() {
    let server = EchoServer::start(PATIENT);
    let mut in_head = server.dial();
    in_head.write_all(b"GET / HTT").unwrap();
    let mut in_frame = server.open();
    in_frame.write_all(&masked(FIN | TEXT, b"half")[..8]).unwrap();
    server.assert_serves();
}

// The client's side.

/// A server that answers one connection with `bytes`, ends its side and reads the rest.
fn serve_once(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink())
    });
    address
}

fn tcp(address: SocketAddr) -> TcpTransport {
    let mut transport = TcpTransport::new(TcpStream::connect(address).unwrap()).unwrap();
    transport.set_deadline(Some(WATCHDOG));
    transport
}

fn connect_error(response: &[u8]) -> Error<io::Error> {
    let transport = tcp(serve_once(response.to_vec()));
    let request = Request::new("localhost", "/");
    let (mut rx, mut tx) = ([0; 1024], [0; MIN_TX_BUFFER]);
    connect(transport, OsEntropy, &request, &mut rx, &mut tx).err().unwrap()
}

/// The samples' client against the samples' server.
#[test]
fn the_echo_client_finds_all_its_messages_echoed() {
    let server = EchoServer::start(PATIENT);
    let timeouts = client::Timeouts { handshake: WATCHDOG, message: WATCHDOG, close: WATCHDOG };
    let buffers: [&mut [u8]; 3] = [&mut [0; 512], &mut [0; MIN_TX_BUFFER], &mut [0; 512]];
    let request = Request::new("localhost", "/echo");
    let echoed = client::run(tcp(server.address), OsEntropy, &request, buffers, &timeouts);
    assert!(matches!(echoed, Ok(4)), "{echoed:?}");
    assert!(matches!(server.served(), Ok(())));
}

/// RFC 6455 section 4.1; the key is random here, so the example's accept is wrong.
#[test]
fn a_server_that_does_not_accept_is_an_error_of_the_client() {
    let not_found = head("HTTP/1.1 404 Not Found", &["Content-Length: 0"]);
    assert!(matches!(connect_error(&not_found), Error::Response(ResponseError::Status(404))));
    let replayed = head("HTTP/1.1 101 Switching Protocols", &RESPONSE_FIELDS);
    assert!(matches!(connect_error(&replayed), Error::Response(ResponseError::Accept)));
    let endless = b"x".repeat(100_000);
    assert!(matches!(connect_error(&endless), Error::Response(ResponseError::HeadTooLarge)));
    assert!(matches!(connect_error(b"SSH-2.0-x\r\n\r\n"), Error::Response(_)));
    assert!(matches!(connect_error(b""), Error::Disconnected));
}

/// RFC 6455 section 7.1.7, in the client's role.
#[test]
fn a_server_that_breaks_the_protocol_is_told_so_and_is_an_error_of_the_client() {
    let address = serve_once(unmasked(0x40 | FIN | TEXT, b"RSV1"));
    let (mut rx, mut tx) = ([0; 256], [0; MIN_TX_BUFFER]);
    let role = zephyr_websocket::Client(OsEntropy);
    let mut client = WebSocket::new(tcp(address), role, &mut rx, &mut tx).unwrap();
    let error = client.receive().err().unwrap();
    assert!(matches!(error, Error::Protocol(ProtocolError::ReservedBits)));
    client.finish(WATCHDOG);
}

/// `TcpTransport`'s deadlines: passed, not at all, at once, and none again.
#[test]
fn a_deadline_that_passes_leaves_the_connection_as_it_was() {
    let server = EchoServer::start(PATIENT);
    let (mut rx, mut tx) = ([0; 1024], [0; MIN_TX_BUFFER]);
    let request = Request::new("localhost", "/");
    let transport = tcp(server.address);
    let connected = connect(transport, OsEntropy, &request, &mut rx, &mut tx).unwrap();
    let mut client = connected.websocket;
    let mut storage = [0; 16];
    let mut messages = MessageBuffer::new(&mut storage);
    for after in [Duration::from_millis(20), Duration::ZERO, Duration::from_nanos(1)] {
        client.set_deadline(Some(after));
        assert!(matches!(messages.receive(&mut client), Err(Error::TimedOut)));
        client.set_deadline(None);
        assert_eq!(client.transport().stream().read_timeout().unwrap(), None);
        client.sender().send_text("echo").unwrap();
        client.set_deadline(Some(WATCHDOG));
        assert!(matches!(messages.receive(&mut client), Ok(Message::Text("echo"))));
    }
    client.sender().close(Some(CloseCode::NORMAL_CLOSURE), "").unwrap();
    assert!(matches!(messages.receive(&mut client), Ok(Message::Close(_))));
    client.finish(WATCHDOG);
    assert!(matches!(server.served(), Ok(())));
}

/// A peer that TCP has given up is gone. It is not late: no deadline was set, and to repeat the call
/// would be of no use.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_tcp_has_given_up_is_no_deadline_that_passed() {
    use rustix::event::{PollFd, PollFlags};
    type Call = fn(&mut TcpTransport) -> io::Result<usize>;
    let calls: [Call; 4] = [
        |transport| embedded_io::Read::read(transport, &mut [0]),
        |transport| embedded_io::Write::write(transport, &[0; 1000]),
        |transport| {
            // It does not wait by itself.
            let mut sockets = [PollFd::new(transport.stream(), PollFlags::empty())];
            rustix::event::poll(&mut sockets, None)?;
            transport.write_now(&[0])
        },
        |transport| transport.read_or_writable(&mut [0]).map(Option::unwrap_or_default),
    ];
    for call in calls {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut transport = tcp(listener.local_addr().unwrap());
        let _peer = listener.accept().unwrap();
        rustix::net::sockopt::set_tcp_user_timeout(transport.stream(), 50).unwrap();
        // The peer does not read, and nothing more fits on the way to it.
        transport.set_deadline(Some(Duration::ZERO));
        while embedded_io::Write::write(&mut transport, &[0; 65_536]).is_ok() {}
        transport.set_deadline(None);
        let error = call(&mut transport).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "{error}");
    }
}

/// Runs the example, which `cargo test` has built unless it was told to build this test only.
fn echo_client(url: &str) -> Output {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", "echo_client"]);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    Command::new(&path).arg(url).output().unwrap_or_else(|error| {
        panic!("{}: {error}: cargo build --examples --features std", path.display())
    })
}

#[track_caller]
fn assert_fails(url: &str, expected: &str) {
    let output = echo_client(url);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{said}");
    assert!(said.starts_with(&format!("echo_client: {url}: ")), "{said}");
    assert!(said.contains(expected), "{said}");
}

/// Life cycle: an error that says what happened, and no hanging.
#[test]
fn a_client_of_a_closed_port_fails_with_connection_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_fails(&format!("ws://{address}/"), "refused");
}

/// Life cycle: CVE-2026-10646. No name server is asked for a label over 63 bytes (RFC 1035).
#[test]
fn a_client_of_a_name_that_does_not_resolve_fails() {
    let name = "n".repeat(64);
    assert_fails(&format!("ws://{name}.invalid/"), "");
}

/// The same client, where there is a server.
#[test]
fn a_client_of_the_echo_server_succeeds() {
    let server = EchoServer::start(PATIENT);
    let output = echo_client(&format!("ws://{}/", server.address));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "4 messages echoed\n");
    assert!(output.status.success());
    assert!(matches!(server.served(), Ok(())));
}
