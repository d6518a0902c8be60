// SPDX-License-Identifier: Apache-2.0
//! What the tests share: a byte stream that does what a script says, frames made and read byte by
//! byte without the crate's own encoder, and entropy that is the same in every run.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use zephyr_websocket::{
    Client, CloseFrame, Connection, Entropy, EntropyUnavailable, Event, KeySource, MAX_HEADER_LEN,
    MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, Opcode, ProtocolError, Role, Server, Transport,
    UsageError, WebSocket,
};

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = FIN | 0x8;
pub const PING: u8 = FIN | 0x9;
pub const PONG: u8 = FIN | 0xA;

/// The masking key of the examples in RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

// Frames.

/// A header with the shortest length: RFC 6455 section 5.2 by hand.
pub fn header(first: u8, key: Option<[u8; 4]>, payload_len: u64) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    if payload_len < 126 {
        bytes.push(mask + payload_len as u8);
    } else if payload_len < 65_536 {
        bytes.extend([mask + 126, (payload_len / 256) as u8, (payload_len % 256) as u8]);
    } else {
        bytes.push(mask + 127);
        for shift in [56, 48, 40, 32, 24, 16, 8, 0] {
            bytes.push((payload_len >> shift) as u8);
        }
    }
    bytes.extend(key.into_iter().flatten());
    bytes
}

/// A frame as a server sends it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, None, payload.len() as u64), payload.to_vec()].concat()
}

/// A frame as a client sends it, masked with `key`.
pub fn masked_with(key: [u8; 4], first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, Some(key), payload.len() as u64);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]));
    bytes
}

/// A frame as a client sends it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    masked_with(KEY, first, payload)
}

/// The payload of a Close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame that was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.payload[..self.payload.len().min(40)];
        write!(f, "{:02x} {:?} {} {shown:02x?}", self.first, self.key, self.payload.len())
    }
}

/// Reads the frame at the start of `bytes`, and how long it is; `None` if it is not complete.
pub fn first_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (len, mut at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()), 10),
        len => (u64::from(len), 2),
    };
    let mut key: Option<[u8; 4]> = None;
    if second & 0x80 != 0 {
        key = bytes.get(at..at + 4)?.try_into().ok();
        at += 4;
    }
    let end = at + usize::try_from(len).ok()?;
    let mut payload = bytes.get(at..end)?.to_vec();
    if let Some(key) = key {
        payload.iter_mut().enumerate().for_each(|(index, byte)| *byte ^= key[index % 4]);
    }
    Some((Frame { first, key, payload }, end))
}

/// Reads `bytes`, which must be whole frames.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (frame, len) = first_frame(rest).expect("a frame was sent in part");
        frames.push(frame);
        rest = &rest[len..];
    }
    frames
}

/// First byte and payload of each frame in `bytes`.
pub fn contents(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    frames(bytes).into_iter().map(|frame| (frame.first, frame.payload)).collect()
}

// The two ends.

/// Entropy that repeats a pattern, for a number of times.
#[derive(Clone, Debug)]
pub struct Pattern {
    bytes: Vec<u8>,
    at: usize,
    fills_left: usize,
}

impl Pattern {
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, fills_left: usize::MAX }
    }

    /// Fails when it is asked once more than `fills` times.
    pub fn failing_after(mut self, fills: usize) -> Self {
        self.fills_left = fills;
        self
    }
}

impl Entropy for Pattern {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.fills_left = self.fills_left.checked_sub(1).ok_or(EntropyUnavailable)?;
        for byte in bytes {
            *byte = self.bytes[self.at % self.bytes.len()];
            self.at += 1;
        }
        Ok(())
    }
}

pub type TestClient = Client<Pattern>;

/// What a rule that binds both roles is tested with.
pub trait End: KeySource + Clone {
    fn new() -> Self;

    /// A frame as the peer of this role sends it.
    fn from_peer(first: u8, payload: &[u8]) -> Vec<u8>;

    /// The header of such a frame, whose payload is masked with zeros if it is masked.
    fn header_from_peer(first: u8, payload_len: u64) -> Vec<u8>;

    /// A key to send with through a bare connection.
    fn a_key() -> Self::Key;
}

impl End for Server {
    fn new() -> Self {
        Self
    }

    fn from_peer(first: u8, payload: &[u8]) -> Vec<u8> {
        masked(first, payload)
    }

    fn header_from_peer(first: u8, payload_len: u64) -> Vec<u8> {
        header(first, Some([0; 4]), payload_len)
    }

    fn a_key() {}
}

impl End for TestClient {
    fn new() -> Self {
        Self(Pattern::new(&KEY))
    }

    fn from_peer(first: u8, payload: &[u8]) -> Vec<u8> {
        unmasked(first, payload)
    }

    fn header_from_peer(first: u8, payload_len: u64) -> Vec<u8> {
        header(first, None, payload_len)
    }

    fn a_key() -> [u8; 4] {
        KEY
    }
}

/// The two buffers of a WebSocket, as short as they may be.
pub struct Buffers {
    pub rx: Vec<u8>,
    pub tx: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self::of(MIN_RX_BUFFER, MIN_TX_BUFFER)
    }
}

impl Buffers {
    pub fn of(rx: usize, tx: usize) -> Self {
        Self { rx: vec![0; rx], tx: vec![0; tx] }
    }

    /// An open WebSocket on `wire`.
    pub fn open<'b, R: End>(&'b mut self, wire: &'b mut Wire) -> WebSocket<'b, &'b mut Wire, R> {
        self.open_as(wire, R::new())
    }

    pub fn open_as<'b, R: KeySource>(
        &'b mut self,
        wire: &'b mut Wire,
        role: R,
    ) -> WebSocket<'b, &'b mut Wire, R> {
        WebSocket::new(wire, role, &mut self.rx, &mut self.tx).unwrap()
    }
}

// The byte stream.

/// What the next read finds.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// These bytes, in as many reads as the reader's buffer asks for.
    Bytes(Vec<u8>),
    /// The peer has ended its side; every further read finds the same.
    End,
    TimedOut,
    Interrupted,
    Reset,
}

/// What the next write finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// At most so many bytes are taken.
    Bytes(usize),
    TimedOut,
    Interrupted,
    Reset,
}

/// A call of the transport that changed something, in the order of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A read that brought so many bytes, or 0 at the end.
    Read(usize),
    /// A write that was offered a head and a payload at these places and took so many bytes.
    Write {
        head: Place,
        payload: Place,
        taken: usize,
    },
    /// The write that follows must not wait.
    Now,
    Deadline(Option<Duration>),
    Shutdown,
}

/// Where bytes lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: usize,
    pub len: usize,
}

impl Place {
    pub fn of(bytes: &[u8]) -> Self {
        Self { address: bytes.as_ptr() as usize, len: bytes.len() }
    }
}

/// A byte stream in memory. With an empty script, reads time out and writes take everything.
#[derive(Debug, Default)]
pub struct Wire {
    arrivals: VecDeque<Arrival>,
    room: VecDeque<Room>,
    /// What the writes took.
    pub sent: Vec<u8>,
    pub calls: Vec<Call>,
    /// Whether a write without room waits for the deadline, so that nothing is left of it.
    pub waits_for_room: bool,
    /// Whether the sending side cannot be ended alone.
    pub cannot_shut_down: bool,
    has_deadline_passed: bool,
}

impl Wire {
    /// A stream on which each of `pieces` arrives by itself.
    pub fn bringing<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Self {
        let mut wire = Self::default();
        for piece in pieces {
            wire.bring(piece.as_ref());
        }
        wire
    }

    /// Lets `bytes` arrive after all else.
    pub fn bring(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.arrive(Arrival::Bytes(bytes.to_vec()));
        }
    }

    pub fn arrive(&mut self, arrival: Arrival) {
        self.arrivals.push_back(arrival);
    }

    /// The same stream, which the peer ends behind what arrives so far.
    pub fn ended(mut self) -> Self {
        self.arrive(Arrival::End);
        self
    }

    /// Scripts the next writes.
    pub fn make_room(&mut self, room: impl IntoIterator<Item = Room>) {
        self.room.extend(room);
    }

    /// The next `count` writes find none.
    pub fn block_writes(&mut self, count: usize) {
        self.make_room(std::iter::repeat_n(Room::TimedOut, count));
    }

    /// The next writes find room after all.
    pub fn unblock_writes(&mut self) {
        self.room.clear();
    }

    /// The writes that took something: what was offered, and how much was taken.
    pub fn writes(&self) -> Vec<(Place, Place, usize)> {
        let write = |call: &Call| match *call {
            Call::Write { head, payload, taken } => Some((head, payload, taken)),
            _ => None,
        };
        self.calls.iter().filter_map(write).collect()
    }

    /// Whether all that was to arrive has been read.
    pub fn is_read_out(&self) -> bool {
        self.arrivals.iter().all(|arrival| matches!(arrival, Arrival::End))
    }

    fn take(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, WireError> {
        let offered = head.len() + payload.len();
        assert!(offered > 0, "a write of nothing");
        let taken = match self.room.pop_front() {
            None => offered,
            Some(Room::Bytes(room)) => room.min(offered),
            Some(Room::TimedOut) => return Err(WireError::TimedOut),
            Some(Room::Interrupted) => return Err(WireError::Interrupted),
            Some(Room::Reset) => return Err(WireError::Reset),
        };
        self.sent.extend(head.iter().chain(payload).take(taken));
        self.calls.push(Call::Write { head: Place::of(head), payload: Place::of(payload), taken });
        Ok(taken)
    }

    pub fn is_shut_down(&self) -> bool {
        self.calls.contains(&Call::Shutdown)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    TimedOut,
    Interrupted,
    Reset,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for WireError {}

impl Error for WireError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Reset => ErrorKind::ConnectionReset,
        }
    }
}

impl ErrorType for Wire {
    type Error = WireError;
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, WireError> {
        assert!(!buffer.is_empty(), "a read without room would look like the end of the stream");
        if self.has_deadline_passed {
            return Err(WireError::TimedOut);
        }
        let count = match self.arrivals.front_mut() {
            Some(Arrival::Bytes(bytes)) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                bytes.drain(..count);
                if bytes.is_empty() {
                    self.arrivals.pop_front();
                }
                count
            }
            Some(Arrival::End) => 0,
            None => return Err(WireError::TimedOut),
            Some(error) => {
                let error = match error {
                    Arrival::TimedOut => WireError::TimedOut,
                    Arrival::Interrupted => WireError::Interrupted,
                    _ => return Err(WireError::Reset),
                };
                self.arrivals.pop_front();
                return Err(error);
            }
        };
        self.calls.push(Call::Read(count));
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        self.write_gather(bytes, &[])
    }

    fn flush(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}

impl Transport for Wire {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, WireError> {
        let taken = self.take(head, payload);
        self.has_deadline_passed |= self.waits_for_room && taken == Err(WireError::TimedOut);
        taken
    }

    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        self.calls.push(Call::Now);
        self.take(bytes, &[])
    }

    fn read_or_writable(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, WireError> {
        if self.arrivals.is_empty() && self.room.front() != Some(&Room::TimedOut) {
            return Ok(None);
        }
        self.read(buffer).map(Some)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.has_deadline_passed = false;
        self.calls.push(Call::Deadline(after));
    }

    fn shutdown(&mut self) -> Result<(), WireError> {
        if self.cannot_shut_down {
            return Err(WireError::Reset);
        }
        self.calls.push(Call::Shutdown);
        Ok(())
    }
}

// What was received.

/// An event with its bytes, those of a message gathered until a control frame comes between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Data { kind: MessageKind, payload: Vec<u8>, fin: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

pub fn text(payload: &str) -> Seen {
    Seen::Data { kind: MessageKind::Text, payload: payload.into(), fin: true }
}

pub fn binary(payload: &[u8]) -> Seen {
    Seen::Data { kind: MessageKind::Binary, payload: payload.to_vec(), fin: true }
}

/// Data that is not the end of its message.
pub fn part(kind: MessageKind, payload: &[u8]) -> Seen {
    Seen::Data { kind, payload: payload.to_vec(), fin: false }
}

pub fn ping(payload: &[u8]) -> Seen {
    Seen::Ping(payload.to_vec())
}

pub fn pong(payload: &[u8]) -> Seen {
    Seen::Pong(payload.to_vec())
}

pub fn closed(code: u16, reason: &str) -> Seen {
    Seen::Close(Some(code), reason.to_owned())
}

/// All events, and what ended them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<E> {
    pub seen: Vec<Seen>,
    pub error: E,
}

pub fn gather(seen: &mut Vec<Seen>, event: Event<'_>) {
    match event {
        Event::Data { kind, payload, fin } => {
            if let Some(Seen::Data { kind: begun, payload: bytes, fin: ended @ false }) =
                seen.last_mut()
            {
                assert_eq!(kind, *begun, "a message changed its kind");
                bytes.extend_from_slice(payload);
                *ended = fin;
            } else {
                seen.push(Seen::Data { kind, payload: payload.to_vec(), fin });
            }
        }
        Event::Ping(payload) => seen.push(ping(payload)),
        Event::Pong(payload) => seen.push(pong(payload)),
        Event::Close(close @ CloseFrame { code, .. }) => {
            seen.push(Seen::Close(code.map(|code| code.value()), close.reason().to_owned()));
        }
    }
}

/// Passes `pieces` to `connection` one after the other, until it fails.
pub fn receive_pieces<'p, R: Role>(
    connection: &mut Connection<R>,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Outcome<Option<ProtocolError>> {
    let mut seen = Vec::new();
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut input = &mut unread[..];
        loop {
            match connection.receive(&mut input) {
                Ok(Some(frame)) => gather(&mut seen, event(&frame)),
                Ok(None) => break,
                Err(error) => return Outcome { seen, error: Some(error) },
            }
        }
        unread = input.to_vec();
    }
    Outcome { seen, error: None }
}

/// The event that a WebSocket would make of `frame`.
fn event<'f>(frame: &'f zephyr_websocket::Frame<'_>) -> Event<'f> {
    let (payload, fin) = (&*frame.payload, frame.fin);
    match frame.opcode {
        Opcode::Text => Event::Data { kind: MessageKind::Text, payload, fin },
        Opcode::Binary => Event::Data { kind: MessageKind::Binary, payload, fin },
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => Event::Close(frame.close()),
        Opcode::Continuation => panic!("a piece bears the opcode of its message"),
    }
}

/// The header that `connection` gives a frame.
pub fn header_of<R: Role>(
    connection: &mut Connection<R>,
    opcode: Opcode,
    payload_len: usize,
    key: R::Key,
) -> Result<Vec<u8>, UsageError> {
    let mut header = [0; MAX_HEADER_LEN];
    connection.send(opcode, true, payload_len, key, &mut header).map(<[u8]>::to_vec)
}

/// Passes `bytes` to a new connection at once.
pub fn receive<R: Role>(bytes: &[u8]) -> Outcome<Option<ProtocolError>> {
    receive_pieces(&mut Connection::<R>::new(), [bytes])
}

/// The error of a new connection that receives `bytes`.
pub fn error_of<R: Role>(bytes: &[u8]) -> Option<ProtocolError> {
    receive::<R>(bytes).error
}

/// Receives until there is an error.
pub fn receive_until_error<T: Transport, R: KeySource>(
    websocket: &mut WebSocket<'_, T, R>,
) -> Outcome<zephyr_websocket::Error<T::Error>> {
    let mut seen = Vec::new();
    loop {
        match websocket.receive() {
            Ok((event, _)) => gather(&mut seen, event),
            Err(error) => return Outcome { seen, error },
        }
    }
}

// The opening handshake, with the nonce, key and accept of RFC 6455 section 1.3.

pub const NONCE: &[u8; 16] = b"the sample nonce";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const REQUEST_FIELDS: [&str; 5] = [
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

pub const RESPONSE_FIELDS: [&str; 3] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

/// A head of these lines.
pub fn head(start_line: &str, fields: &[&str]) -> Vec<u8> {
    let lines = [start_line].into_iter().chain(fields.iter().copied());
    let mut bytes: Vec<u8> = lines.flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
    bytes.extend(b"\r\n");
    bytes
}

/// A valid opening request.
pub fn request() -> Vec<u8> {
    request_with(&REQUEST_FIELDS)
}

pub fn request_with(fields: &[&str]) -> Vec<u8> {
    head("GET /chat HTTP/1.1", fields)
}

/// `fields`, with those called `name` replaced by `lines`.
pub fn replacing<'f>(fields: &[&'f str], name: &str, lines: &[&'f str]) -> Vec<&'f str> {
    let is_called = |field: &str| field.split(':').next() == Some(name);
    assert!(fields.iter().any(|field| is_called(field)), "no field {name} to replace");
    let others = fields.iter().copied().filter(|field| !is_called(field));
    others.chain(lines.iter().copied()).collect()
}
