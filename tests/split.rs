// SPDX-License-Identifier: Apache-2.0
//! One thread receives while others send: frames stay whole, control frames go out, nobody waits
//! for a lock that a waiting thread holds. Over a stream that does what a test says, and over TCP.

#![cfg(all(feature = "std", unix))]

mod support;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use socket2::SockRef;
use support::*;
use zephyr_websocket::host::{Mutexes, OsEntropy, TcpTransport};
use zephyr_websocket::{
    Client, CloseCode, Error, Event, Handle, MIN_RX_BUFFER, MIN_TX_BUFFER, Message, MessageBuffer,
    MessageKind, Server, Split, SplitTransport, State, Transport, UsageError, WebSocket,
};

/// Nothing here takes as long, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(30);

/// A stream that takes as many bytes as it is told to, and never waits.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Bytes>>);

#[derive(Default)]
struct Bytes {
    input: VecDeque<u8>,
    output: Vec<u8>,
    room: usize,
}

impl Pipe {
    fn arrive(&self, bytes: impl AsRef<[u8]>) {
        self.0.lock().unwrap().input.extend(bytes.as_ref());
    }

    fn make_room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    /// What was written since the last call.
    fn written(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap().output)
    }
}

impl ErrorType for Pipe {
    type Error = io::Error;
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = &mut self.0.lock().unwrap().input;
        if input.is_empty() {
            return Err(ErrorKind::TimedOut.into());
        }
        io::Read::read(input, buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock().unwrap();
        let count = bytes.len().min(pipe.room);
        if count == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        pipe.output.extend(&bytes[..count]);
        pipe.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Pipe {
    fn set_deadline(&mut self, _after: Option<Duration>) {}

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SplitTransport for Pipe {
    type Handle = Self;

    fn handle(&self) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl Handle for Pipe {
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.read(buffer) {
            Err(_) if self.0.lock().unwrap().room > 0 => Ok(None),
            result => result.map(Some),
        }
    }

    fn wait_writable(&mut self, _refused: bool) -> io::Result<()> {
        if self.0.lock().unwrap().room == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn set_deadline(&mut self, _after: Option<Duration>) {}
}

type PipeSplit<'b> = Split<'b, Pipe, Server, Mutexes>;

/// Runs `test` with a server's end of a stream that has no room.
fn with_pipe(test: impl FnOnce(&Pipe, &mut PipeSplit<'_>)) {
    let pipe = Pipe::default();
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let websocket = WebSocket::new(pipe.clone(), Server, &mut rx, &mut tx).unwrap();
    test(&pipe, &mut websocket.split().unwrap());
}

fn assert_timed_out<T: std::fmt::Debug>(result: Result<T, Error<io::Error>>) {
    assert!(matches!(result, Err(Error::TimedOut)), "{result:?}");
}

fn assert_usage<T: std::fmt::Debug>(result: Result<T, Error<io::Error>>, expected: UsageError) {
    assert!(matches!(result, Err(Error::Usage(error)) if error == expected), "{result:?}");
}

/// RFC 6455 section 5.4: the frames of two messages, and a Pong's, never interleave.
#[test]
fn a_pong_waits_for_the_end_of_another_threads_frame() {
    with_pipe(|pipe, split| {
        let (mut receiver, mut sender) = split.halves().unwrap();
        pipe.make_room(4);
        assert_timed_out(sender.send_text("Hello"));
        pipe.arrive(masked(PING, b"first"));
        pipe.arrive(masked(PING, b"last"));
        assert_eq!(receiver.receive().unwrap(), Event::Ping(b"first"));
        assert_eq!(receiver.receive().unwrap(), Event::Ping(b"last"));
        assert_timed_out(receiver.receive());
        // Another thread has to wait too.
        let mut other = sender.duplicate().unwrap();
        assert_usage(other.send_binary(b"no"), UsageError::FrameInProgress);
        assert_usage(other.ping(b"no"), UsageError::FrameInProgress);
        pipe.make_room(1000);
        other.turn(|turn| turn.resume(b"Hello")).unwrap();
        assert_eq!(
            pipe.written(),
            [unmasked(FIN | TEXT, b"Hello"), unmasked(PONG, b"last")].concat()
        );
        other.send_binary(b"yes").unwrap();
        assert_eq!(pipe.written(), unmasked(FIN | BINARY, b"yes"));
    });
}

/// RFC 6455 section 5.5.3: receiving goes on while a Pong is stuck in its middle, and the last one
/// is owed.
#[test]
fn a_pong_that_is_stuck_in_its_middle_stops_neither_receiving_nor_the_next_pong() {
    with_pipe(|pipe, split| {
        let (mut receiver, mut sender) = split.halves().unwrap();
        pipe.make_room(3);
        for payload in [b"one", b"two", b"six"] {
            pipe.arrive(masked(PING, payload));
            assert_eq!(receiver.receive().unwrap(), Event::Ping(payload));
        }
        pipe.arrive(masked(FIN | TEXT, b"data"));
        let data = Event::Data { kind: MessageKind::Text, payload: b"data", fin: true };
        assert_eq!(receiver.receive().unwrap(), data);
        // A byte of data that looks like the beginning of a Close frame, which would wait.
        let payload = [0, CLOSE ^ KEY[1]];
        let frame = masked(FIN | BINARY, &payload);
        let (begin, end) = frame.split_at(frame.len() - 1);
        assert_eq!(end, [CLOSE]);
        for (piece, payload, fin) in [(begin, &payload[..1], false), (end, &payload[1..], true)] {
            pipe.arrive(piece);
            let data = Event::Data { kind: MessageKind::Binary, payload, fin };
            assert_eq!(receiver.receive().unwrap(), data);
        }
        assert_timed_out(sender.send_text("not begun"));
        assert!(!sender.turn(|turn| turn.is_frame_begun()));
        pipe.make_room(1000);
        assert_timed_out(receiver.receive());
        assert_eq!(pipe.written(), [unmasked(PONG, b"one"), unmasked(PONG, b"six")].concat());
        sender.send_text("begun").unwrap();
        assert_eq!(pipe.written(), unmasked(FIN | TEXT, b"begun"));
    });
}

/// A queued Close that overtakes data (wslay): RFC 6455 section 5.5.1.
#[test]
fn the_answer_to_a_close_frame_waits_for_a_stuck_pong_and_a_frame() {
    with_pipe(|pipe, split| {
        let (mut receiver, mut sender) = split.halves().unwrap();
        pipe.make_room(3);
        pipe.arrive(masked(PING, b"one"));
        pipe.arrive(masked(CLOSE, &close_payload(1000, "bye")));
        assert_eq!(receiver.receive().unwrap(), Event::Ping(b"one"));
        assert_timed_out(receiver.receive());
        assert_eq!(receiver.state(), State::Open);
        pipe.make_room(4);
        assert!(matches!(receiver.receive(), Ok(Event::Close(_))));
        assert_eq!(receiver.state(), State::Closed);
        assert_usage(sender.send_text("late"), UsageError::NotOpen);
        assert!(matches!(receiver.receive(), Err(Error::Closed)));
        let (mut pong, close) = (unmasked(PONG, b"one"), unmasked(CLOSE, &close_payload(1000, "")));
        pong.extend(&close[..2]);
        assert_eq!(pipe.written(), pong);
        pipe.make_room(1000);
    });
}

#[test]
fn either_side_closes_while_a_frame_is_being_sent() {
    for closes_receiver in [true, false] {
        with_pipe(|pipe, split| {
            let (mut receiver, mut sender) = split.halves().unwrap();
            let mut other = sender.duplicate().unwrap();
            pipe.make_room(3);
            assert_timed_out(sender.send_text("Hello"));
            let code = Some(CloseCode::NORMAL_CLOSURE);
            if closes_receiver {
                receiver.close(code, "done").unwrap();
            } else {
                other.close(code, "done").unwrap();
            }
            assert_eq!(other.state(), State::Closing);
            assert_usage(receiver.ping(b""), UsageError::NotOpen);
            pipe.make_room(1000);
            sender.turn(|turn| turn.resume(b"Hello")).unwrap();
            let close = unmasked(CLOSE, &close_payload(1000, "done"));
            assert_eq!(pipe.written(), [unmasked(FIN | TEXT, b"Hello"), close].concat());
            pipe.arrive(masked(CLOSE, &close_payload(1000, "")));
            assert!(matches!(receiver.receive(), Ok(Event::Close(_))));
            assert_eq!(receiver.state(), State::Closed);
            assert_eq!(pipe.written(), b"");
        });
    }
}

#[test]
fn a_ping_of_the_receiving_side_never_waits() {
    with_pipe(|pipe, split| {
        let (mut receiver, mut sender) = split.halves().unwrap();
        receiver.ping(b"now").unwrap();
        assert_timed_out(receiver.ping(b"again"));
        pipe.make_room(1000);
        sender.send_text("then").unwrap();
        assert_eq!(
            pipe.written(),
            [unmasked(PING, b"now"), unmasked(FIN | TEXT, b"then")].concat()
        );
    });
}

/// RFC 6455 section 5.4.
#[test]
fn no_message_goes_on_with_the_fragments_of_another_turn() {
    with_pipe(|pipe, split| {
        pipe.make_room(1000);
        let (mut receiver, mut sender) = split.halves().unwrap();
        let mut other = sender.duplicate().unwrap();
        sender
            .turn(|turn| {
                turn.send_fragment(MessageKind::Text, b"a", false)?;
                turn.send_fragment(MessageKind::Text, b"b", true)?;
                turn.send_fragment(MessageKind::Text, b"left", false)
            })
            .unwrap();
        assert_usage(other.send_text("mixed"), UsageError::OtherMessageInProgress);
        assert_usage(sender.send_text("mixed"), UsageError::OtherMessageInProgress);
        // Control frames may stand there.
        other.ping(b"").unwrap();
        other.close(None, "").unwrap();
        let expected = [
            unmasked(TEXT, b"a"),
            unmasked(FIN | CONTINUATION, b"b"),
            unmasked(TEXT, b"left"),
            unmasked(PING, b""),
            unmasked(CLOSE, b""),
        ];
        assert_eq!(pipe.written(), expected.concat());
        assert_timed_out(receiver.receive());
    });
}

/// RFC 6455 section 7.1.7.
#[test]
fn a_peer_that_breaks_the_protocol_ends_both_halves() {
    with_pipe(|pipe, split| {
        pipe.make_room(1000);
        let (mut receiver, mut sender) = split.halves().unwrap();
        pipe.arrive([0xFF]);
        pipe.arrive([0; 8]);
        assert!(matches!(receiver.receive(), Err(Error::Protocol(_))));
        assert_usage(sender.send_text("late"), UsageError::NotOpen);
        assert_eq!(pipe.written(), unmasked(CLOSE, &close_payload(1002, "")));
    });
}

#[test]
fn a_message_over_the_limit_is_refused() {
    with_pipe(|pipe, split| {
        pipe.make_room(1000);
        let mut storage = [0; 4];
        let mut messages = MessageBuffer::new(&mut storage);
        let (mut receiver, mut sender) = split.halves().unwrap();
        pipe.arrive(masked(FIN | BINARY, b"four"));
        assert_eq!(messages.receive_from(&mut receiver).unwrap(), Message::Binary(b"four"));
        pipe.arrive(masked(FIN | BINARY, b"fives"));
        assert!(matches!(messages.receive_from(&mut receiver), Err(Error::MessageTooBig)));
        assert_usage(sender.send_text("late"), UsageError::NotOpen);
        assert_eq!(pipe.written(), unmasked(CLOSE, &close_payload(1009, "")));
    });
}

#[test]
fn halves_that_are_joined_go_on() {
    let pipe = Pipe::default();
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let websocket = WebSocket::new(pipe.clone(), Server, &mut rx, &mut tx).unwrap();
    let mut split = websocket.split::<Mutexes>().unwrap();
    pipe.make_room(2);
    pipe.arrive([masked(PING, b"p"), masked(FIN | TEXT, b"t")].concat());
    let (mut receiver, _) = split.halves().unwrap();
    assert_eq!(receiver.receive().unwrap(), Event::Ping(b"p"));
    let mut websocket = split.join();
    pipe.make_room(1000);
    let (event, sender) = websocket.receive().unwrap();
    assert_eq!(event, Event::Data { kind: MessageKind::Text, payload: b"t", fin: true });
    sender.send_text("t").unwrap();
    assert_eq!(pipe.written(), [unmasked(PONG, b"p"), unmasked(FIN | TEXT, b"t")].concat());
}

/// Both ends of a TCP connection, whose buffers are as small as the system allows.
fn small_pair() -> [TcpStream; 2] {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    SockRef::from(&listener).set_recv_buffer_size(128 << 10).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    for stream in [&near, &far] {
        SockRef::from(stream).set_send_buffer_size(1).unwrap();
        SockRef::from(stream).set_recv_buffer_size(128 << 10).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
    }
    [near, far]
}

const COUNT: usize = 2000;

/// Message `index` of thread `thread`.
fn message(thread: u8, index: usize) -> Vec<u8> {
    let mut bytes = vec![thread; 5 + index * 37 % 1500];
    bytes[..4].copy_from_slice(&(index as u32).to_be_bytes());
    bytes
}

/// Sending: two threads' frames interleave (Zephyr's C client).
#[test]
fn thousands_of_messages_of_two_threads_stay_whole_and_in_order_while_pings_are_answered() {
    const PINGS: usize = 400;
    let [near, far] = small_pair();
    let peer = thread::spawn(move || {
        use tungstenite::Message;
        use tungstenite::protocol::{Role, WebSocket};
        let mut websocket = WebSocket::from_raw_socket(far, Role::Client, None);
        let (mut next, mut pongs) = ([0; 2], 0usize);
        websocket.send(Message::Ping(vec![].into())).unwrap();
        loop {
            match websocket.read().unwrap() {
                Message::Binary(bytes) => {
                    let thread = usize::from(bytes[4] == b'b');
                    assert_eq!(&bytes[..], message([b'a', b'b'][thread], next[thread]));
                    next[thread] += 1;
                }
                Message::Pong(payload) => {
                    assert_eq!(payload.len(), pongs % 126);
                    pongs += 1;
                    websocket.send(Message::Text(format!("after pong {pongs}").into())).unwrap();
                    if pongs < PINGS {
                        websocket.send(Message::Ping(vec![b'p'; pongs % 126].into())).unwrap();
                    } else {
                        websocket.send(Message::Text("all".into())).unwrap();
                    }
                }
                Message::Close(_) => {
                    websocket.flush().unwrap();
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        (next, pongs)
    });

    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let transport = TcpTransport::new(near).unwrap();
    let websocket = WebSocket::new(transport, Server, &mut rx, &mut tx).unwrap();
    let mut split = websocket.split::<Mutexes>().unwrap();
    let (mut receiver, sender) = split.halves().unwrap();
    let mut storage = [0; 64];
    let mut messages = MessageBuffer::new(&mut storage);
    let received = thread::scope(|scope| {
        let senders = [b'a', b'b'].map(|name| {
            let mut sender = sender.duplicate().unwrap();
            scope.spawn(move || {
                for index in 0..COUNT {
                    sender.set_deadline(Some(WATCHDOG));
                    sender.send_binary(&message(name, index)).unwrap();
                }
            })
        });
        let mut received = 0;
        loop {
            receiver.set_deadline(Some(WATCHDOG));
            if messages.receive_from(&mut receiver).unwrap() == Message::Text("all") {
                break;
            }
            received += 1;
        }
        for sender in senders {
            sender.join().unwrap();
        }
        receiver.close(Some(CloseCode::NORMAL_CLOSURE), "").unwrap();
        while !matches!(messages.receive_from(&mut receiver).unwrap(), Message::Close(_)) {}
        received
    });
    drop(split.join().finish(WATCHDOG));
    assert_eq!(received, PINGS);
    assert_eq!(peer.join().unwrap(), ([COUNT; 2], PINGS));
}

/// Both peers send more than the network holds, and read: neither waits for the other.
#[test]
fn two_peers_that_send_long_messages_at_once_drain_each_other() {
    const LEN: usize = 3 << 20;
    let [near, far] = small_pair();
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let (mut far_rx, mut far_tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let near = TcpTransport::new(near).unwrap();
    let far = TcpTransport::new(far).unwrap();
    let near = WebSocket::new(near, Server, &mut rx, &mut tx).unwrap();
    let far = WebSocket::new(far, Client(OsEntropy), &mut far_rx, &mut far_tx).unwrap();
    thread::scope(|scope| {
        let threads = [scope.spawn(|| exchange(near, LEN)), scope.spawn(|| exchange(far, LEN))];
        for thread in threads {
            let (received, pongs) = thread.join().unwrap();
            assert_eq!(received, LEN);
            assert!(pongs > 0);
        }
    });
}

/// Sends a message of `len` bytes in one frame, and Pings beside it; receives one, and returns its
/// length and how many Pongs came.
fn exchange<R: zephyr_websocket::KeySource + Send>(
    websocket: WebSocket<'_, TcpTransport, R>,
    len: usize,
) -> (usize, usize)
where
    R::Key: Send,
{
    let mut split = websocket.split::<Mutexes>().unwrap();
    let (mut receiver, mut sender) = split.halves().unwrap();
    let (mut received, mut pongs) = (0, 0);
    let is_sent = AtomicBool::new(false);
    let mut pinger = sender.duplicate().unwrap();
    let mut teller = sender.duplicate().unwrap();
    sender.set_deadline(Some(WATCHDOG));
    pinger.set_deadline(Some(WATCHDOG));
    receiver.set_deadline(Some(WATCHDOG));
    thread::scope(|scope| {
        scope.spawn(|| {
            sender.send_binary(&vec![0xA5; len]).unwrap();
            is_sent.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !is_sent.load(Ordering::SeqCst) {
                pinger.ping(&[0x5A; 125]).unwrap();
            }
            pinger.ping(b"last").unwrap();
        });
        // The last Pong comes behind all that we sent.
        let (mut is_received, mut is_answered, mut is_told, mut is_over) =
            (false, false, false, false);
        while !(is_told && is_over) {
            if is_received && is_answered && !is_told {
                teller.send_text("over").unwrap();
                is_told = true;
                continue;
            }
            match receiver.receive().unwrap() {
                Event::Data { kind: MessageKind::Binary, payload, fin } => {
                    assert!(payload.iter().all(|byte| *byte == 0xA5));
                    received += payload.len();
                    is_received |= fin;
                }
                Event::Data { kind: MessageKind::Text, fin, .. } => is_over |= fin,
                Event::Pong(payload) => {
                    pongs += 1;
                    is_answered |= payload == b"last";
                }
                Event::Ping(payload) => assert!(payload == b"last" || payload == [0x5A; 125]),
                Event::Close(_) => panic!("closed"),
            }
        }
    });
    split.join().finish(WATCHDOG);
    (received, pongs)
}

/// A sender that the peer does not read from neither stops receiving nor holds a deadline up.
#[test]
fn a_blocked_sender_does_not_stop_receiving() {
    let [near, mut far] = small_pair();
    let (mut rx, mut tx) = ([0; MIN_RX_BUFFER], [0; MIN_TX_BUFFER]);
    let transport = TcpTransport::new(near).unwrap();
    let websocket = WebSocket::new(transport, Server, &mut rx, &mut tx).unwrap();
    let mut split = websocket.split::<Mutexes>().unwrap();
    let (mut receiver, mut sender) = split.halves().unwrap();
    let payload = vec![7; 1 << 20];
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            sender.set_deadline(Some(Duration::from_millis(100)));
            assert_timed_out(sender.send_binary(&payload));
            sender.set_deadline(Some(WATCHDOG));
            sender.turn(|turn| turn.resume(&payload)).unwrap();
        });
        receiver.set_deadline(Some(WATCHDOG));
        let mut storage = [0; 64];
        let mut messages = MessageBuffer::new(&mut storage);
        for index in 0..100 {
            let text = format!("message {index}");
            io::Write::write_all(&mut far, &masked(FIN | TEXT, text.as_bytes())).unwrap();
            assert_eq!(messages.receive_from(&mut receiver).unwrap(), Message::Text(&text));
        }
        // A deadline of the receiving side is kept too.
        receiver.set_deadline(Some(Duration::from_millis(10)));
        assert_timed_out(receiver.receive());
        receiver.set_deadline(Some(WATCHDOG));
        io::Write::write_all(&mut far, &masked(PING, b"still there?")).unwrap();
        assert_eq!(receiver.receive().unwrap(), Event::Ping(b"still there?"));
        let expected = [unmasked(FIN | BINARY, &payload), unmasked(PONG, b"still there?")].concat();
        let mut bytes = vec![0; expected.len()];
        io::Read::read_exact(&mut far, &mut bytes).unwrap();
        assert!(bytes == expected);
        sending.join().unwrap();
    });
}
