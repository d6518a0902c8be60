// SPDX-License-Identifier: Apache-2.0
//! A fault in each call of the transport, one after the other: what can be repeated is repeated and
//! nothing is lost, what cannot ends the connection with an error.

mod support;

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use support::*;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::handshake::server::Acceptance;
use zephyr_websocket::{
    Error, Event, Incoming, KeySource, MIN_RX_BUFFER, MIN_TX_BUFFER, MessageKind, RequestError,
    Sender, Server, Transport, WebSocket, connect,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// EINTR.
    Interrupted,
    /// EAGAIN, or the deadline.
    TimedOut,
    /// ENOMEM and ENOBUFS.
    OutOfMemory,
    Reset,
    /// No fault: one byte is read or written.
    Short,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl embedded_io::Error for Fault {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Interrupted => ErrorKind::Interrupted,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            Self::Reset | Self::Short => ErrorKind::ConnectionReset,
        }
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TimedOut => Self::TimedOut,
            WireError::Interrupted => Self::Interrupted,
            WireError::Reset => Self::Reset,
        }
    }
}

/// A stream on which `fault` comes in some of the calls that read or write.
struct Faulty<'w> {
    wire: &'w mut Wire,
    fault: Fault,
    /// In the call with this number, and in `times - 1` behind it.
    at: usize,
    times: usize,
    calls: &'w Cell<usize>,
}

impl Faulty<'_> {
    /// Counts a call; in some, a fault or the most bytes.
    fn next(&mut self) -> Result<usize, Fault> {
        let call = self.calls.get();
        self.calls.set(call + 1);
        match self.fault {
            fault if call >= self.at && (fault == Fault::Reset || call < self.at + self.times) => {
                if fault == Fault::Short {
                    Ok(1)
                } else {
                    Err(fault)
                }
            }
            _ => Ok(usize::MAX),
        }
    }
}

impl ErrorType for Faulty<'_> {
    type Error = Fault;
}

impl Read for Faulty<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let most = self.next()?.min(buffer.len());
        Ok(self.wire.read(&mut buffer[..most])?)
    }
}

impl Write for Faulty<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let most = self.next()?.min(bytes.len());
        Ok(self.wire.write(&bytes[..most])?)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Transport for Faulty<'_> {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Fault> {
        match self.next()? {
            usize::MAX => Ok(self.wire.write_gather(head, payload)?),
            _ => Ok(self.wire.write(if head.is_empty() { &payload[..1] } else { &head[..1] })?),
        }
    }

    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let most = self.next()?.min(bytes.len());
        Ok(self.wire.write_now(&bytes[..most])?)
    }

    fn read_or_writable(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Fault> {
        let most = self.next()?.min(buffer.len());
        Ok(self.wire.read_or_writable(&mut buffer[..most])?)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.wire.set_deadline(after);
    }

    fn shutdown(&mut self) -> Result<(), Fault> {
        Ok(self.wire.shutdown()?)
    }
}

/// Runs `test` on a stream with `fault` in each call in turn, `times` in a row, until there are no
/// more calls.
fn in_each_call(
    fault: Fault,
    times: usize,
    wire: impl Fn() -> Wire,
    test: impl Fn(Faulty<'_>) -> Option<Error<Fault>>,
    check: impl Fn(&Wire, Option<Error<Fault>>),
) {
    for at in 0.. {
        let mut wire = wire();
        let calls = Cell::new(0);
        let error = test(Faulty { wire: &mut wire, fault, at, times, calls: &calls });
        check(&wire, error);
        if calls.get() <= at {
            assert!(at > 1, "there were no calls to fail");
            return;
        }
    }
}

/// Sends a fragment, and the rest of it as often as that takes.
fn send<R: KeySource>(
    sender: &mut Sender<'_, Faulty<'_>, R>,
    kind: MessageKind,
    payload: &[u8],
    fin: bool,
) -> Result<(), Error<Fault>> {
    let mut sent = sender.send_fragment(kind, payload, fin);
    while sent == Err(Error::TimedOut) {
        sent = if sender.is_frame_begun() {
            sender.resume(payload)
        } else {
            sender.send_fragment(kind, payload, fin)
        };
    }
    sent
}

const MESSAGE: [u8; 300] = [0xA5; 300];

/// What the peer of [`echo`] sends.
fn conversation<R: End>() -> Wire {
    let frames = [
        R::from_peer(TEXT, b"Gr\xC3"),
        R::from_peer(PING, b"between"),
        R::from_peer(FIN | CONTINUATION, b"\xBC\xC3\x9Fe"),
        R::from_peer(FIN | BINARY, &MESSAGE),
        R::from_peer(PING, &[7; 125]),
        R::from_peer(CLOSE, &close_payload(1000, "")),
    ];
    Wire::bringing([frames.concat()]).ended()
}

/// Echoes until the peer closes, and ends the connection; returns what went wrong.
fn echo<R: End>(stream: Faulty<'_>) -> Option<Error<Fault>> {
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let mut websocket = WebSocket::new(stream, R::new(), &mut rx, &mut tx).unwrap();
    let error = loop {
        let sent = match websocket.receive() {
            Ok((Event::Data { kind, payload, fin }, sender)) => send(sender, kind, payload, fin),
            Ok((Event::Close(_), _)) => break None,
            Err(Error::TimedOut) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            break Some(error);
        }
    };
    websocket.finish(Duration::from_secs(1));
    error
}

/// First byte and payload of the frames that were sent whole.
fn whole_frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((frame, len)) = first_frame(bytes) {
        frames.push((frame.first, frame.payload));
        bytes = &bytes[len..];
    }
    frames
}

/// The messages among `frames`, and whether a Close frame is the last.
fn messages(frames: &[(u8, Vec<u8>)]) -> (Vec<u8>, usize, bool) {
    let data: Vec<_> = frames.iter().filter(|(first, _)| first & 0x08 == 0).collect();
    let bytes = data.iter().flat_map(|(_, payload)| payload.clone()).collect();
    let ends = data.iter().filter(|(first, _)| first & FIN != 0).count();
    (bytes, ends, frames.last() == Some(&(CLOSE, close_payload(1000, ""))))
}

fn expected_echo() -> Vec<u8> {
    ["Grüße".as_bytes(), &MESSAGE].concat()
}

/// Sending: a timed-out partial send forgets its position (Zephyr's client).
#[test]
fn what_can_be_repeated_loses_nothing() {
    fn rule<R: End>() {
        for fault in [Fault::Interrupted, Fault::TimedOut, Fault::Short] {
            for times in [1, 2, 5, 30] {
                in_each_call(fault, times, conversation::<R>, echo::<R>, |wire, error| {
                    assert_eq!(error, None);
                    let frames = whole_frames(&wire.sent);
                    let (bytes, ends, is_closed) = messages(&frames);
                    assert_eq!((bytes, ends), (expected_echo(), 2));
                    // What has passed may be the deadline for the end, and a Pong may be left out
                    // once there is a Close frame to send.
                    let is_answered = is_closed && frames.contains(&(PONG, vec![7; 125]));
                    assert!(is_answered || fault == Fault::TimedOut, "{fault:?} {times}");
                    let len: usize = frames
                        .iter()
                        .map(|(first, payload)| {
                            let key = wire.sent[1] & 0x80 != 0;
                            header(*first, key.then_some(KEY), payload.len() as u64).len()
                                + payload.len()
                        })
                        .sum();
                    assert_eq!(len, wire.sent.len(), "a frame was sent in part");
                });
            }
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// After every other error a connection is over, and nothing but a part of it was sent.
#[test]
fn what_cannot_be_repeated_is_an_error_and_the_end() {
    fn rule<R: End>() {
        for fault in [Fault::OutOfMemory, Fault::Reset] {
            in_each_call(fault, 1, conversation::<R>, echo::<R>, |wire, error| {
                assert!([None, Some(Error::Transport(fault))].contains(&error), "{error:?}");
                let (bytes, ends, _) = messages(&whole_frames(&wire.sent));
                assert!(expected_echo().starts_with(&bytes));
                assert!(error.is_some() || ends == 2);
            });
        }
    }
    rule::<Server>();
    rule::<TestClient>();
}

/// The opening handshake of a client: EINTR and short reads and writes do not matter, the deadline
/// and everything else is an error.
#[test]
fn a_client_connects_or_fails_with_what_went_wrong() {
    let run = |stream: Faulty<'_>| {
        let (mut rx, mut tx) = ([0; 512], [0; MIN_TX_BUFFER]);
        let request = Request::new("server.example.com", "/chat");
        let entropy = Pattern::new(NONCE);
        let mut websocket = match connect(stream, entropy, &request, &mut rx, &mut tx) {
            Ok(connected) => connected.websocket,
            Err(error) => return Some(error),
        };
        // What came behind the response is not lost.
        assert!(matches!(websocket.receive(), Ok((Event::Ping(b"behind"), _))));
        None
    };
    let wire = || {
        let response = head("HTTP/1.1 101 Switching Protocols", &RESPONSE_FIELDS);
        Wire::bringing([[response, unmasked(PING, b"behind")].concat()])
    };
    for fault in [Fault::Interrupted, Fault::Short] {
        for times in [1, 3, 500] {
            in_each_call(fault, times, wire, run, |wire, error| {
                assert_eq!(error, None);
                assert!(wire.sent.starts_with(b"GET /chat HTTP/1.1\r\n"));
            });
        }
    }
    for fault in [Fault::TimedOut, Fault::OutOfMemory, Fault::Reset] {
        // The two calls of the handshake; what comes later is no part of it.
        for at in 0..2 {
            let mut wire = wire();
            let calls = Cell::new(0);
            let error = run(Faulty { wire: &mut wire, fault, at, times: 1, calls: &calls });
            let expected = match fault {
                Fault::TimedOut => Error::TimedOut,
                fault => Error::Transport(fault),
            };
            assert_eq!(error, Some(expected), "{at}");
        }
    }
}

/// The opening handshake of a server; a deadline is answered with 408.
#[test]
fn a_server_accepts_or_fails_with_what_went_wrong() {
    let run = |stream: Faulty<'_>| {
        let (mut rx, mut tx) = ([0; 512], [0; MIN_TX_BUFFER]);
        let incoming = match Incoming::read(stream, &mut rx, &mut tx) {
            Ok(incoming) => incoming,
            Err(error) => return Some(error),
        };
        match incoming.accept(&Acceptance::default()) {
            Ok(mut websocket) => {
                assert!(matches!(websocket.receive(), Ok((Event::Ping(b"behind"), _))));
                None
            }
            Err(error) => Some(error),
        }
    };
    let wire = || Wire::bringing([[request(), masked(PING, b"behind")].concat()]).ended();
    for fault in [Fault::Interrupted, Fault::Short] {
        for times in [1, 3, 500] {
            in_each_call(fault, times, wire, run, |wire, error| {
                assert_eq!(error, None);
                assert!(wire.sent.starts_with(b"HTTP/1.1 101 "));
            });
        }
    }
    for fault in [Fault::TimedOut, Fault::OutOfMemory, Fault::Reset] {
        for at in 0..2 {
            let mut wire = wire();
            let calls = Cell::new(0);
            let error = run(Faulty { wire: &mut wire, fault, at, times: 1, calls: &calls });
            let expected = match (fault, at) {
                (Fault::TimedOut, 0) => RequestError::HeadTimedOut.into(),
                (Fault::TimedOut, _) => Error::TimedOut,
                (fault, _) => Error::Transport(fault),
            };
            assert_eq!(error, Some(expected));
            assert_eq!(
                wire.sent.starts_with(b"HTTP/1.1 408 "),
                fault == Fault::TimedOut && at == 0
            );
        }
    }
}
