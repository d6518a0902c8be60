// SPDX-License-Identifier: Apache-2.0
//! Clients and a server that talk through a bad network: ours, and `tungstenite`'s.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use tungstenite::Message as TheirMessage;
use tungstenite::protocol::Role;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::host::{OsEntropy, TcpTransport};
use zephyr_websocket::{
    CloseCode, MIN_TX_BUFFER, Message, MessageBuffer, MessageKind, Transport, connect,
};

use super::proxy::{Kind, Proxy};
use super::random::Random;

/// How a conversation ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All messages came back, and the connection was closed cleanly.
    Done,
    /// By an error.
    Failed(String),
    /// A message came back changed.
    Changed,
}

type Failure = Box<dyn std::error::Error>;

/// The messages of a conversation.
fn messages(random: &mut Random) -> Vec<(MessageKind, Vec<u8>)> {
    let count = random.between(1, 4);
    let message = |_| {
        let most = random.pick(&[0, 10, 130, 1000, 8000, 20_000]);
        let len = random.between(0, most);
        match random.one_in(2) {
            true => (MessageKind::Binary, random.bytes(len)),
            false => (MessageKind::Text, "ü€x".bytes().cycle().take(len / 6 * 6).collect()),
        }
    };
    (0..count).map(message).collect()
}

/// Our client: sends messages, perhaps in fragments, and finds each echoed.
fn our_client(address: SocketAddr, random: &mut Random, limit: Duration) -> Result<bool, Failure> {
    let mut transport = TcpTransport::new(TcpStream::connect(address)?)?;
    transport.set_deadline(Some(limit));
    let mut rx = vec![0; random.between(512, 5000)];
    let mut tx = vec![0; random.between(MIN_TX_BUFFER, 5000)];
    let request = Request::new("localhost", "/");
    let mut websocket = connect(transport, OsEntropy, &request, &mut rx, &mut tx)?.websocket;
    let mut storage = vec![0; 20_000];
    let mut buffer = MessageBuffer::new(&mut storage);
    for (kind, message) in messages(random) {
        websocket.set_deadline(Some(limit));
        let pieces = random.pick(&[1, 1, 2, 3]);
        let mut fragments = message.chunks(message.len() / pieces + 1).peekable();
        if fragments.peek().is_none() {
            websocket.sender().send_fragment(kind, b"", true)?;
        }
        while let Some(fragment) = fragments.next() {
            websocket.sender().send_fragment(kind, fragment, fragments.peek().is_none())?;
            if random.one_in(4) {
                websocket.sender().ping(b"between")?;
            }
        }
        let (echoed_kind, echo) = match buffer.receive(&mut websocket)? {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, bytes),
            Message::Close(code) => return Err(format!("closed with {code:?}").into()),
        };
        if (echoed_kind, echo) != (kind, &message) {
            return Ok(false);
        }
    }
    websocket.set_deadline(Some(limit));
    websocket.sender().close(Some(CloseCode::NORMAL_CLOSURE), "done")?;
    let closed = buffer.receive(&mut websocket)?;
    let is_clean = matches!(closed, Message::Close(Some(CloseCode::NORMAL_CLOSURE)));
    websocket.finish(limit);
    if is_clean { Ok(true) } else { Err("no clean end".into()) }
}

/// Reads a head, byte by byte so that nothing behind it is lost.
fn read_head(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > 4096 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}

fn bounded(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))
}

/// `tungstenite`'s client, which does the same.
fn their_client(
    address: SocketAddr,
    random: &mut Random,
    limit: Duration,
) -> Result<bool, Failure> {
    let mut stream = TcpStream::connect(address)?;
    bounded(&stream, limit)?;
    stream.write_all(&super::support::request())?;
    let response = read_head(&stream)?;
    if !response.starts_with(b"HTTP/1.1 101 ") {
        return Err("not accepted".into());
    }
    let mut websocket = tungstenite::WebSocket::from_raw_socket(stream, Role::Client, None);
    for (kind, message) in messages(random) {
        let message = match kind {
            MessageKind::Text => TheirMessage::text(String::from_utf8(message)?),
            MessageKind::Binary => TheirMessage::binary(message),
        };
        websocket.send(message.clone())?;
        let mut echo = websocket.read()?;
        while echo.is_ping() || echo.is_pong() {
            echo = websocket.read()?;
        }
        if echo != message {
            return Ok(false);
        }
    }
    websocket.close(None)?;
    loop {
        match websocket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// `tungstenite`'s echo server for one connection.
pub struct TheirServer {
    pub address: SocketAddr,
    thread: JoinHandle<Result<(), String>>,
}

impl TheirServer {
    pub fn start(limit: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let serve = move || {
            let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
            their_echo(stream, limit).map_err(|error| error.to_string())
        };
        Ok(Self { address, thread: thread::spawn(serve) })
    }

    /// Waits until the connection has ended.
    pub fn end(self) -> Result<(), String> {
        self.thread.join().expect("the server panicked")
    }
}

fn their_echo(mut stream: TcpStream, limit: Duration) -> Result<(), Failure> {
    bounded(&stream, limit)?;
    let head = String::from_utf8(read_head(&stream)?)?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let mut sha1 = sha1_smol::Sha1::from(key.ok_or("no key")?);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let mut accept = [0; 28];
    let accept = Base64::encode(&sha1.digest().bytes(), &mut accept).map_err(|_| "too long")?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes())?;
    let mut websocket = tungstenite::WebSocket::from_raw_socket(stream, Role::Server, None);
    loop {
        match websocket.read() {
            Ok(message) if message.is_text() || message.is_binary() => websocket.send(message)?,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Who talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Ours,
    Theirs,
}

/// One conversation of `client` with the echo server at `address`, through a network of `kind`.
/// Nothing takes longer than a few times `limit`.
pub fn talk(
    client: Client,
    address: SocketAddr,
    kind: Kind,
    seed: u64,
    limit: Duration,
) -> Result<Outcome, Failure> {
    let proxy = Proxy::start(address, kind, seed)?;
    let mut random = Random::new(!seed);
    let talked = match client {
        Client::Ours => our_client(proxy.address, &mut random, limit),
        Client::Theirs => their_client(proxy.address, &mut random, limit),
    };
    proxy.end()?;
    Ok(match talked {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Changed,
        Err(error) => Outcome::Failed(error.to_string()),
    })
}

/// Whether a conversation may end like this in a network of `kind`.
pub fn is_fair(kind: Kind, outcome: &Outcome) -> bool {
    match kind {
        Kind::Slow => *outcome == Outcome::Done,
        Kind::Cut => *outcome != Outcome::Changed,
        Kind::Corrupt => true,
    }
}
