// SPDX-License-Identifier: Apache-2.0
//! One role sends and receives in any order over a transport that takes what it likes when it
//! likes: what leaves is what was sent, frame by frame, and what the peer owes and is owed.
//!
//! Input: a byte of which bit 0 is the role, bit 1 says whether a blocked write uses up the
//! deadline, bit 2 whether entropy ends after as many keys as the next byte says, and the rest is
//! how much longer the transmit buffer is than it must be, where 0 also lets one payload be long.
//! Then the calls: the lowest three bits of a byte say which one, as in `Model::step`.

#![no_main]

use std::time::Duration;

use fuzz::receiving::{is_start, receive};
use fuzz::script::Script;
use fuzz::support::{
    Arrival, Buffers, CLOSE, End, FIN, KEY, PING, PONG, Pattern, Room, Seen, TestClient, Wire,
    WireError, close_payload, first_frame, gather,
};
use libfuzzer_sys::fuzz_target;
use zephyr_websocket::{
    Client, CloseCode, CloseFrame, Error, Event, MAX_CONTROL_PAYLOAD_LEN, MIN_RX_BUFFER,
    MIN_TX_BUFFER, MessageKind, Server, State, UsageError, WebSocket,
};

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let mode = script.byte();
    let keys = if mode & 4 == 0 { usize::MAX } else { script.byte().into() };
    if mode & 1 == 0 {
        run::<Server>(mode, keys, script);
    } else {
        run::<TestClient>(mode, keys, script);
    }
});

trait Sending: End {
    type Peer: End;

    /// This role, with entropy for so many keys.
    fn with_keys(keys: usize) -> Self;
}

impl Sending for Server {
    type Peer = TestClient;

    fn with_keys(_: usize) -> Self {
        Self
    }
}

impl Sending for TestClient {
    type Peer = Server;

    fn with_keys(keys: usize) -> Self {
        Client(Pattern::new(&[&KEY[..], b"\0\0\0\0\x80"].concat()).failing_after(keys))
    }
}

/// Characters of every length.
const TEXT: &[u8] = "a\u{E4}\u{20AC}\u{1F600}".as_bytes();

/// What was sent so far, and what is expected of it.
#[derive(Default)]
struct Model {
    /// First byte and payload of each data frame that was sent or begun.
    data: Vec<(u8, Vec<u8>)>,
    /// The payload of the last one, if it is still to be resumed.
    begun: Option<Vec<u8>>,
    /// Control frames that the application sent.
    controls: Vec<(u8, Vec<u8>)>,
    /// The message in progress, and how many bytes of it there are.
    message: Option<(MessageKind, usize)>,
    is_close_sent: bool,
    /// An error after which the connection is over.
    is_dead: bool,
    /// The Pings that were received before a Close frame was sent.
    pings: Vec<Vec<u8>>,
    heard: Vec<Seen>,
    /// All that the peer sends before it ends its side.
    arriving: Vec<u8>,
    is_ended: bool,
    is_end_seen: bool,
    /// Whether the next long payload may be one that takes a long time.
    may_be_long: bool,
    count: u8,
}

type Socket<'b, R> = WebSocket<'b, &'b mut Wire, R>;

fn run<R: Sending>(mode: u8, keys: usize, mut script: Script<'_>) {
    let mut wire = Wire::default();
    wire.waits_for_room = mode & 2 != 0;
    let mut buffers = Buffers::of(MIN_RX_BUFFER, MIN_TX_BUFFER + usize::from(mode >> 3));
    let mut websocket = buffers.open_as(&mut wire, R::with_keys(keys));
    let mut model = Model { may_be_long: mode & 0xF8 == 0, ..Model::default() };
    let mut steps = 0;
    while !script.is_over() && !model.is_dead && steps < 200 {
        steps += 1;
        websocket.set_deadline(None);
        model.step(&mut websocket, &mut script);
    }
    websocket.transport().unblock_writes();
    websocket.set_deadline(None);
    while !model.is_dead && !model.resume(&mut websocket) {}
    while !model.is_dead && (model.receive(&mut websocket) || !model.is_over(&mut websocket)) {}
    websocket.finish(Duration::from_secs(1));
    model.check::<R>(&wire);
}

impl Model {
    fn step<R: Sending>(&mut self, websocket: &mut Socket<'_, R>, script: &mut Script<'_>) {
        let what = script.byte();
        match what & 7 {
            0 | 1 => {
                let mut len = script.byte().into();
                if len >= 250 && self.may_be_long {
                    // Around the length that takes 64 bits.
                    len += 65_536 - 253;
                    self.may_be_long = false;
                }
                let kind = if what & 8 == 0 { MessageKind::Text } else { MessageKind::Binary };
                self.send(websocket, kind, len, what & 0x10 != 0);
            }
            2 => {
                let payload = self.tagged(script.counted());
                let is_ping = what & 8 == 0;
                let sender = websocket.sender();
                let result = if is_ping { sender.ping(&payload) } else { sender.pong(&payload) };
                let is_too_long = payload.len() > MAX_CONTROL_PAYLOAD_LEN;
                if self.judge(&result, is_too_long, false) {
                    self.controls.push((if is_ping { PING } else { PONG }, payload));
                }
            }
            3 => {
                let codes = [1000, 1001, 1013, 4999];
                let code = codes.get(usize::from(what >> 4)).copied();
                let reason = String::from_utf8_lossy(script.counted());
                self.close(websocket, code, &reason);
            }
            4 => {
                let room = script.byte();
                websocket.transport().make_room([match room {
                    0xFF => Room::Reset,
                    0xC0.. => Room::Interrupted,
                    0x80.. => Room::TimedOut,
                    room => Room::Bytes(usize::from(room) + 1),
                }]);
            }
            5 => {
                let bytes = match what >> 3 & 7 {
                    0..=2 => R::from_peer(PING, &self.tagged(script.bytes(what as usize >> 6))),
                    3 => R::from_peer(PONG, script.bytes(5)),
                    4 => R::from_peer(CLOSE, &close_payload(1001, "gone")),
                    5 => {
                        let scripted = [Arrival::TimedOut, Arrival::Interrupted, Arrival::End];
                        let arrival = scripted[usize::from(what >> 6).min(2)].clone();
                        self.is_ended |= what >> 6 > 1;
                        return websocket.transport().arrive(arrival);
                    }
                    _ => R::from_peer(FIN | 2, script.counted()),
                };
                let (first, second) = bytes.split_at(usize::from(script.byte()).min(bytes.len()));
                websocket.transport().bring(first);
                websocket.transport().bring(second);
                if !self.is_ended {
                    self.arriving.extend(&bytes);
                }
            }
            6 => {
                self.receive(websocket);
            }
            _ => {
                self.resume(websocket);
            }
        }
    }

    /// A payload that no other frame has.
    fn tagged(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.count = self.count.wrapping_add(1);
        [&[self.count], bytes].concat()
    }

    /// Whether a call put its frame on its way. `is_wrong` says whether it cannot have.
    fn judge(
        &mut self,
        result: &Result<(), Error<WireError>>,
        is_wrong: bool,
        is_begun: bool,
    ) -> bool {
        match result {
            Ok(()) => {
                assert!(!is_wrong && self.begun.is_none() && !self.is_close_sent);
                return true;
            }
            Err(Error::TimedOut) => return is_begun,
            Err(Error::Usage(UsageError::FrameInProgress)) => assert!(self.begun.is_some()),
            Err(Error::Usage(UsageError::NotOpen)) => assert!(self.is_close_sent),
            Err(Error::Usage(_)) => assert!(is_wrong, "{result:?}"),
            Err(Error::Transport(WireError::Reset) | Error::Entropy) => self.is_dead = true,
            Err(_) => panic!("{result:?}"),
        }
        false
    }

    fn send<R: Sending>(
        &mut self,
        websocket: &mut Socket<'_, R>,
        kind: MessageKind,
        len: usize,
        fin: bool,
    ) {
        let start = self.message.map_or(0, |(_, len)| len);
        let mut end = start + len;
        while fin && kind == MessageKind::Text && ![0, 1, 3, 6].contains(&(end % TEXT.len())) {
            end += 1;
        }
        let payload: Vec<u8> = match kind {
            MessageKind::Text => (start..end).map(|at| TEXT[at % TEXT.len()]).collect(),
            MessageKind::Binary => (start..end).map(|at| (at % 251) as u8).collect(),
        };
        let is_wrong = self.message.is_some_and(|(begun, _)| begun != kind);
        let was_begun = self.begun.is_some();
        let result = websocket.sender().send_fragment(kind, &payload, fin);
        let is_begun = websocket.sender().is_frame_begun() && !was_begun;
        // Of a frame that failed as well, a part may have been sent.
        if self.judge(&result, is_wrong, is_begun) || is_begun && self.is_dead {
            assert!(!is_wrong);
            let opcode = match (self.message, kind) {
                (Some(_), _) => 0,
                (None, MessageKind::Text) => 1,
                (None, MessageKind::Binary) => 2,
            };
            self.data.push((opcode | if fin { FIN } else { 0 }, payload.clone()));
            self.message = if fin { None } else { Some((kind, end)) };
            self.begun = is_begun.then_some(payload);
        }
        assert!(self.is_dead || websocket.sender().is_frame_begun() == self.begun.is_some());
    }

    /// Whether no frame is left to be resumed.
    fn resume<R: Sending>(&mut self, websocket: &mut Socket<'_, R>) -> bool {
        let payload = self.begun.clone().unwrap_or_default();
        match websocket.sender().resume(&payload) {
            Ok(()) => assert!(self.begun.take().is_some()),
            Err(Error::TimedOut) => assert!(self.begun.is_some()),
            Err(Error::Usage(UsageError::NoFrameToResume)) => assert!(self.begun.is_none()),
            Err(Error::Transport(WireError::Reset)) => self.is_dead = true,
            Err(error) => panic!("{error:?}"),
        }
        self.begun.is_none()
    }

    fn close<R: Sending>(
        &mut self,
        websocket: &mut Socket<'_, R>,
        code: Option<u16>,
        reason: &str,
    ) {
        let was_open = websocket.state() == State::Open;
        let result = websocket.sender().close(code.and_then(CloseCode::new), reason);
        let is_begun = was_open && websocket.state() != State::Open;
        let is_wrong =
            reason.len() > CloseFrame::MAX_REASON_LEN || code.is_none() && !reason.is_empty();
        if self.judge(&result, is_wrong, is_begun) || is_begun {
            let payload = code.map(|code| close_payload(code, reason)).unwrap_or_default();
            self.controls.push((CLOSE, payload));
            self.is_close_sent = true;
        }
    }

    /// Whether there was an event.
    fn receive<R: Sending>(&mut self, websocket: &mut Socket<'_, R>) -> bool {
        match websocket.receive() {
            Ok((event, _)) => {
                gather(&mut self.heard, event);
                match event {
                    Event::Ping(payload) if !self.is_close_sent => {
                        self.pings.push(payload.to_vec());
                    }
                    Event::Close(close) if !self.is_close_sent => {
                        let code = close.code.map(|code| code.to_be_bytes().to_vec());
                        self.controls.push((CLOSE, code.unwrap_or_default()));
                        self.is_close_sent = true;
                    }
                    _ => {}
                }
                return true;
            }
            Err(Error::TimedOut) => {}
            Err(Error::Closed) => assert!(matches!(self.heard.last(), Some(Seen::Close(..)))),
            // Our own side may still send.
            Err(Error::Disconnected) => self.is_end_seen = true,
            Err(Error::Transport(WireError::Reset) | Error::Entropy) => self.is_dead = true,
            Err(error) => panic!("{error:?}"),
        }
        false
    }

    /// Whether nothing more can come.
    fn is_over<R: Sending>(&self, websocket: &mut Socket<'_, R>) -> bool {
        let is_closed = matches!(self.heard.last(), Some(Seen::Close(..)));
        is_closed || self.is_end_seen || websocket.transport().is_read_out()
    }

    fn check<R: Sending>(self, wire: &Wire) {
        let mut data = self.data.into_iter();
        let mut controls = self.controls.into_iter().peekable();
        let mut pings = self.pings.iter();
        let mut last_pong = None;
        let mut rest = &wire.sent[..];
        while let Some((frame, len)) = first_frame(rest) {
            rest = &rest[len..];
            assert_eq!(frame.key.is_some(), R::MASKS);
            let sent = (frame.first, frame.payload);
            if frame.first & 8 == 0 {
                assert_eq!(Some(sent), data.next());
            } else if controls.peek() == Some(&sent) {
                controls.next();
            } else if frame.first == PONG && pings.any(|ping| *ping == sent.1) {
                // Of several Pings the last is answered, and others may be, in their order.
                last_pong = Some(sent.1);
            } else {
                // An answer to a Ping whose event was lost with the connection.
                assert!(self.is_dead && frame.first & CLOSE == CLOSE, "not sent: {sent:?}");
            }
        }
        // To the peer, the part of a frame is none.
        let pieces: Vec<&[u8]> = wire.sent.chunks(1000).collect();
        let received = receive::<R::Peer>(&wire.sent, &pieces);
        assert_eq!(received.error, None);
        if !self.is_dead {
            assert!(rest.is_empty(), "a frame was sent in part");
            assert_eq!((data.next(), controls.next()), (None, None), "not sent");
            if !self.is_close_sent {
                assert_eq!(last_pong.as_ref(), self.pings.last(), "the last Ping has no answer");
            }
        }
        let arrived = receive::<R>(&self.arriving, &[&self.arriving]);
        assert!(is_start(&self.heard, &arrived.seen));
        assert!(self.is_dead || self.heard == arrived.seen, "not heard: {:?}", arrived.seen);
    }
}
