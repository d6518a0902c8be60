// SPDX-License-Identifier: Apache-2.0
//! A hub on the network in memory, and an application that does what a test says and writes down
//! what it is told.

use std::collections::VecDeque;

use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request};
use zephyr_websocket::hub::{
    Answer, Application, Body, Delivery, End, Hub, MIN_HUB_TX_BUFFER, Network, PeerId, Peers,
    Settings, Slot, Timeout, Timeouts,
};
use zephyr_websocket::{
    CloseCode, Error, MIN_RX_BUFFER, MessageKind, ProtocolError, Transport, UsageError,
};

use super::network::{Fault, Peer, Sim, Stream};
use super::random::Random;
use super::support::*;

/// What an application was told, except about messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Opened(PeerId),
    Pong(PeerId, Vec<u8>),
    Writable(PeerId),
    Closed(PeerId, Ended),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Closed(Option<u16>),
    Protocol(ProtocolError),
    TooBig,
    Disconnected,
    Transport,
    TimedOut(Timeout),
    Overflowed,
}

impl Ended {
    fn of<E>(end: &End<'_, E>) -> Self {
        match end {
            End::Closed(close) => Self::Closed(close.code.map(CloseCode::value)),
            End::Failed(Error::Protocol(error)) => Self::Protocol(*error),
            End::Failed(Error::MessageTooBig) => Self::TooBig,
            End::Failed(Error::Disconnected) => Self::Disconnected,
            End::Failed(Error::Transport(_)) => Self::Transport,
            End::Failed(_) => panic!("no WebSocket of a hub ends like this"),
            End::TimedOut(timeout) => Self::TimedOut(*timeout),
            End::Overflowed => Self::Overflowed,
        }
    }
}

/// What an application does when the next message comes.
#[derive(Clone, Debug)]
pub enum Act {
    Send(PeerId, Vec<u8>),
    Broadcast(Vec<u8>),
    Close(PeerId, u16),
}

/// A piece of a message, or all of it.
pub type Piece = (PeerId, MessageKind, Vec<u8>, bool);

#[derive(Default)]
pub struct App {
    pub echoes: bool,
    /// Echoes wait here while the peer takes no more.
    pub retries: bool,
    pub unsent: VecDeque<Piece>,
    pub acts: VecDeque<Act>,
    pub results: Vec<Result<(), UsageError>>,
    pub broadcast_counts: Vec<usize>,
    /// Is sent when a peer has opened.
    pub greeting: Option<Vec<u8>>,
    /// Closes each that has opened.
    pub closes_at_once: bool,
    /// Does anything to any peer, also to one that has gone, whatever it is told.
    pub meddles: Option<Random>,
    pub pieces: Vec<Piece>,
    pub told: Vec<Told>,
}

/// Longer than any buffer here.
pub static PAGE: [u8; 5000] = {
    let mut page = [0; 5000];
    let mut at = 0;
    while at < page.len() {
        page[at] = (at % 251) as u8;
        at += 1;
    }
    page
};

impl Application for App {
    fn respond<'r>(&'r mut self, request: &Request<'r>) -> Answer<'r> {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/page") => {
                let fields = &[("Content-Type", "application/octet-stream")];
                Answer { status: Status::OK, fields, body: Body::Static(&PAGE) }
            }
            ("GET" | "HEAD", "/copied") => {
                Answer { status: Status::OK, fields: &[], body: Body::Copied(b"copied") }
            }
            ("GET", "/too-large") => {
                Answer { status: Status::OK, fields: &[], body: Body::Copied(&PAGE) }
            }
            ("GET", "/split") => {
                let fields = &[("X-Field", "a\r\nX-Other: b")];
                Answer { status: Status::OK, fields, body: Body::Static(b"") }
            }
            ("GET" | "HEAD", "/upgrade") => Answer::empty(Status::UPGRADE_REQUIRED),
            ("GET" | "HEAD", _) => Answer::empty(Status::NOT_FOUND),
            _ => Answer::empty(Status::METHOD_NOT_ALLOWED),
        }
    }

    fn open<'r>(
        &'r mut self,
        _: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        const LONG: &str = match str::from_utf8(&[b'x'; 2000]) {
            Ok(long) => long,
            Err(_) => "",
        };
        // Beside a Close frame, an acceptance of 110 bytes, and what else there is of the field.
        const ROOM: usize = MIN_HUB_TX_BUFFER - 4 - 110 - "X-Long: \r\n".len();
        const FITS: &[(&str, &str)] = &[("X-Long", LONG.split_at(ROOM).0)];
        const ONE_MORE: &[(&str, &str)] = &[("X-Long", LONG.split_at(ROOM + 1).0)];
        if request.origin().is_some_and(|origin| origin != b"http://own.example") {
            return Err(Answer::empty(Status::FORBIDDEN));
        }
        let chosen = request.subprotocols().find(|offered| *offered == "chat.v2");
        match request.resource_name() {
            "/nothing" => Err(Answer::empty(Status::NOT_FOUND)),
            "/busy" => Err(Answer::empty(Status::SERVICE_UNAVAILABLE)),
            "/often" => Err(Answer::empty(Status::TOO_MANY_REQUESTS)),
            "/broken" => Err(Answer::empty(Status::INTERNAL_SERVER_ERROR)),
            "/long-reason" => Err(Answer::empty(Status::new(403, LONG))),
            "/not-offered" => Ok(Acceptance { subprotocol: Some("other"), fields: &[] }),
            "/too-large" => Ok(Acceptance { subprotocol: None, fields: &[("X-Long", LONG)] }),
            "/just-fits" => Ok(Acceptance { subprotocol: None, fields: FITS }),
            "/one-more" => Ok(Acceptance { subprotocol: None, fields: ONE_MORE }),
            _ => Ok(Acceptance { subprotocol: chosen, fields: &[("X-Sort", "test")] }),
        }
    }

    fn opened<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        self.told.push(Told::Opened(peer));
        self.meddle(peers);
        if let Some(greeting) = &self.greeting {
            self.results.push(peers.send_binary(peer, greeting));
        }
        if self.closes_at_once {
            self.results.push(peers.close(peer, Some(CloseCode::NORMAL_CLOSURE), ""));
        }
    }

    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) {
        self.pieces.push((peer, kind, payload.to_vec(), fin));
        self.meddle(peers);
        match self.acts.pop_front() {
            Some(Act::Send(to, payload)) => self.results.push(peers.send_binary(to, &payload)),
            Some(Act::Broadcast(payload)) => {
                self.broadcast_counts.push(peers.broadcast(MessageKind::Binary, &payload));
            }
            Some(Act::Close(to, code)) => {
                let code = CloseCode::new(code);
                self.results.push(peers.close(to, code, ""));
            }
            None => {}
        }
        if self.echoes {
            let echo = (peer, kind, payload.to_vec(), fin);
            let waits = self.retries && self.unsent.iter().any(|(other, ..)| *other == peer);
            let sent = match waits {
                true => Err(UsageError::BacklogFull),
                false => peers.send_fragment(peer, kind, payload, fin),
            };
            self.results.push(sent);
            if self.retries && sent == Err(UsageError::BacklogFull) {
                self.unsent.push_back(echo);
            }
        }
    }

    fn pong<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId, payload: &[u8]) {
        self.told.push(Told::Pong(peer, payload.to_vec()));
        self.meddle(peers);
    }

    fn writable<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        self.told.push(Told::Writable(peer));
        let mut later = VecDeque::new();
        let mut is_full = false;
        for (other, kind, payload, fin) in self.unsent.drain(..) {
            is_full = is_full
                || other == peer
                    && peers.send_fragment(peer, kind, &payload, fin)
                        == Err(UsageError::BacklogFull);
            if other != peer || is_full {
                later.push_back((other, kind, payload, fin));
            }
        }
        self.unsent = later;
        self.meddle(peers);
    }

    fn closed<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        end: End<'_, S::Error>,
    ) {
        assert_eq!(peers.send_text(peer, "gone"), Err(UsageError::NotOpen));
        assert!(!peers.ids().any(|id| id == peer));
        self.told.push(Told::Closed(peer, Ended::of(&end)));
        self.meddle(peers);
    }
}

impl App {
    fn meddle<S: Transport>(&mut self, peers: &mut Peers<'_, S>) {
        let Some(random) = &mut self.meddles else { return };
        let opened: Vec<_> = (self.told.iter())
            .filter_map(|told| if let Told::Opened(id) = told { Some(*id) } else { None })
            .collect();
        let Some(&peer) = opened.get(random.below(opened.len().max(1))) else { return };
        let is_open = peers.ids().any(|id| id == peer);
        let len = random.pick(&[0, 1, 125, 126, 300, 700]);
        let payload = random.bytes(len);
        let result = match random.below(12) {
            0 => peers.close(peer, CloseCode::new(4000), random.pick(&["", "because"])),
            1 => peers.ping(peer, &payload[..len.min(125)]),
            2 => peers.send_fragment(peer, MessageKind::Binary, &payload, random.one_in(2)),
            3 => peers.send_text(peer, "text"),
            4 => {
                let count = peers.count();
                assert!(peers.broadcast(MessageKind::Binary, &payload) <= count);
                return;
            }
            _ => return,
        };
        assert_eq!(!is_open, result == Err(UsageError::NotOpen), "{result:?}");
    }

    /// The whole messages of `peer`, in order.
    pub fn messages(&self, peer: PeerId) -> Vec<(MessageKind, Vec<u8>)> {
        let mut messages = Vec::new();
        let mut message = Vec::new();
        for (from, kind, payload, fin) in &self.pieces {
            if *from == peer {
                message.extend_from_slice(payload);
                if *fin {
                    messages.push((*kind, std::mem::take(&mut message)));
                }
            }
        }
        messages
    }

    /// How the WebSocket of `peer` ended, if it has.
    pub fn end_of(&self, peer: PeerId) -> Option<Ended> {
        let mut ends = self.told.iter().filter_map(|told| match told {
            Told::Closed(id, end) if *id == peer => Some(*end),
            _ => None,
        });
        let end = ends.next();
        assert_eq!(ends.next(), None, "told twice that a peer has gone");
        end
    }

    /// How often `peer` was told to be writable.
    pub fn writables(&self, peer: PeerId) -> usize {
        self.told.iter().filter(|told| **told == Told::Writable(peer)).count()
    }
}

/// What a hub is made with.
#[derive(Clone)]
pub struct Setup {
    pub slots: usize,
    /// Of each connection.
    pub rx: usize,
    pub tx: usize,
    pub settings: Settings,
    /// What the clock shows at first.
    pub start: u64,
}

impl Default for Setup {
    /// Room for a request, short buffers to send with, and no timeouts but long ones.
    fn default() -> Self {
        let long = std::time::Duration::from_secs(1000);
        let timeouts = Timeouts {
            opening_handshake: long,
            ping: None,
            pong: long,
            idle: None,
            send: long,
            closing_handshake: long,
        };
        let settings = Settings { timeouts, ..Settings::default() };
        Self { slots: 4, rx: 512, tx: 512, settings, start: 0 }
    }
}

impl Setup {
    /// The shortest buffers that can receive the request of a test.
    pub fn short() -> Self {
        Self { rx: MIN_RX_BUFFER + 180, tx: MIN_HUB_TX_BUFFER, ..Self::default() }
    }

    pub fn run<O>(&self, test: impl FnOnce(&mut Rig<'_>) -> O) -> O {
        self.run_on(|sim| sim, test)
    }

    /// On a network that is made of the one in memory.
    pub fn run_on<N: Network<Stream = Stream>, O>(
        &self,
        network: impl FnOnce(Sim) -> N,
        test: impl FnOnce(&mut Rig<'_, N>) -> O,
    ) -> O {
        let sim = Sim::new(self.start);
        let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(self.slots).collect();
        let (mut rx, mut tx) = (vec![0; self.rx * self.slots], vec![0; self.tx * self.slots]);
        let network = network(sim.clone());
        let hub = Hub::new(network, &mut slots, &mut rx, &mut tx, &self.settings).unwrap();
        let Self { slots, rx, settings: Settings { delivery, .. }, .. } = *self;
        test(&mut Rig { hub, app: App::default(), sim, slots, rx, delivery })
    }
}

/// A hub at work.
pub struct Rig<'h, N: Network = Sim> {
    pub hub: Hub<'h, N>,
    pub app: App,
    pub sim: Sim,
    pub slots: usize,
    pub rx: usize,
    pub delivery: Delivery,
}

impl<N: Network<Stream = Stream>> Rig<'_, N> {
    /// Lets the hub do all that there is to do up to `ms` from now.
    pub fn run(&mut self, ms: u64) {
        self.sim.allow(ms);
        while !self.hub.is_stopped() {
            match self.hub.turn(&mut self.app, None) {
                Ok(()) => {}
                Err(Fault::Settled) => return,
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// Lets the hub do all that there is to do now.
    pub fn settle(&mut self) {
        self.run(0);
    }

    /// Connects and sends `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Peer {
        let peer = self.sim.connect();
        peer.send(bytes);
        self.settle();
        peer
    }

    /// Connects, and returns what the hub answers to `bytes`, after which it ends its side.
    #[track_caller]
    pub fn answer_to(&mut self, bytes: &[u8]) -> String {
        let peer = self.send(bytes);
        let answer = String::from_utf8_lossy(&peer.received()).into_owned();
        assert!(peer.is_shut_down(), "{answer}");
        peer.end();
        self.settle();
        assert!(peer.closed_at().is_some());
        answer
    }

    /// Opens a WebSocket.
    #[track_caller]
    pub fn open(&mut self) -> (Peer, PeerId) {
        self.open_with(&request())
    }

    #[track_caller]
    pub fn open_with(&mut self, request: &[u8]) -> (Peer, PeerId) {
        let peer = self.send(request);
        let received = peer.received();
        let text = String::from_utf8_lossy(&received);
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        assert!(text.contains(ACCEPT));
        let head = text.find("\r\n\r\n").unwrap() + 4;
        peer.forget();
        assert_eq!(head, received.len(), "more than the head");
        let id = self.app.told.iter().rev().find_map(|told| match told {
            Told::Opened(id) => Some(*id),
            _ => None,
        });
        (peer, id.unwrap())
    }

    /// Whatever happened before: a new peer is served.
    #[track_caller]
    pub fn assert_serves(&mut self) {
        let echoes = std::mem::replace(&mut self.app.echoes, true);
        let (peer, id) = self.open();
        peer.send(&masked(FIN | TEXT, b"still there?"));
        peer.send(&masked(CLOSE, &close_payload(1000, "")));
        self.settle();
        let expected =
            [unmasked(FIN | TEXT, b"still there?"), unmasked(CLOSE, &close_payload(1000, ""))];
        assert_eq!(peer.received(), expected.concat());
        peer.end();
        self.settle();
        assert_eq!(self.app.end_of(id), Some(Ended::Closed(Some(1000))));
        assert!(peer.closed_at().is_some());
        self.app.echoes = echoes;
    }
}
