// SPDX-License-Identifier: Apache-2.0
//! The display's server, on any network: the same on a board and on a PC.

use core::fmt::Write;
use core::time::Duration;

use embedded_graphics::geometry::Point;
use embedded_io::ErrorType;
use heapless::String;
use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request};
use zephyr_websocket::hub::{
    Answer, Application, Body, End, Hub, Network, PeerId, Peers, Settings,
};
use zephyr_websocket::{CloseCode, MessageKind, Transport};

use crate::framebuffer::Framebuffer;
use crate::panel::Panel;
use crate::rfb::{Error, Input, MIN_PIECE, Session};
use crate::update::Out;

/// What is sent in one message: all of it in one TCP segment of an Ethernet.
pub const PIECE: usize = 1400;

/// The transmit buffer that a connection needs at least: a piece in its frame, and what the hub
/// keeps for control frames.
pub const MIN_TX_BUFFER: usize = PIECE + 4 + 131;

const _: () = assert!(PIECE >= MIN_PIECE);

const HELP: Answer<'static> = Answer {
    status: Status::OK,
    fields: &[("Content-Type", "text/plain; charset=utf-8")],
    body: Body::Static(
        b"A VNC display (RFB 3.8, no password) over WebSocket, for noVNC.\n\n\
        In noVNC's settings, Advanced, WebSocket: enter this host and port, and any path. Or open\n\
        noVNC's page as vnc.html?host=HOST&port=PORT&show_dot=true&autoconnect=true\n",
    ),
};

/// The left button of a pointer.
const LEFT: u8 = 1;

// X11's numbers of the keys that do what a click on the button does.
const SPACE: u32 = 0x20;
const RETURN: u32 = 0xff0d;

/// Settings of the hub: a viewer is heard even while it does not take what is sent to it.
pub fn settings() -> Settings {
    Settings { reply_room: 0, ..Settings::default() }
}

/// A viewer that is connected.
#[derive(Debug)]
pub struct Viewer {
    peer: PeerId,
    session: Session,
    /// Its left button is down.
    is_down: bool,
}

/// The display, and those who look at it.
pub struct Display<'a> {
    /// The only origin whose pages may connect; `None` lets every page on the web in.
    origin: Option<&'a str>,
    framebuffer: &'a mut Framebuffer,
    /// As many as the hub has slots.
    viewers: &'a mut [Option<Viewer>],
    panel: Panel,
}

impl<'a> Display<'a> {
    pub fn new(
        origin: Option<&'a str>,
        framebuffer: &'a mut Framebuffer,
        viewers: &'a mut [Option<Viewer>],
    ) -> Self {
        Self { origin, framebuffer, viewers, panel: Panel::new() }
    }

    /// Serves all viewers until the network fails.
    pub fn run<N: Network>(
        &mut self,
        hub: &mut Hub<'_, N>,
    ) -> Result<(), <N::Stream as ErrorType>::Error> {
        loop {
            self.turn(hub)?;
        }
    }

    /// Draws, sends what can be sent now, and waits until there is something to do.
    fn turn<N: Network>(
        &mut self,
        hub: &mut Hub<'_, N>,
    ) -> Result<(), <N::Stream as ErrorType>::Error> {
        let now = hub.network().now_ms();
        let next = self.draw(now);
        let at_most = match self.send(&mut hub.peers()) {
            true => Duration::ZERO,
            false => Duration::from_millis(next.saturating_sub(now)),
        };
        hub.turn(self, Some(at_most))
    }

    fn draw(&mut self, now: u64) -> u64 {
        let next = self.panel.advance(now);
        let Ok(()) = self.panel.draw(self.framebuffer);
        for rect in self.framebuffer.take_changes().rects() {
            for viewer in self.viewers.iter_mut().flatten() {
                viewer.session.add_change(*rect);
            }
        }
        next
    }

    /// Sends a piece to each viewer that has room for one, so that none waits for another, and
    /// returns whether there may be room for more.
    fn send<S: Transport>(&mut self, peers: &mut Peers<'_, S>) -> bool {
        let mut has_more = false;
        for Viewer { peer, session, .. } in self.viewers.iter_mut().flatten() {
            if !session.has_output() || peers.room(*peer) < PIECE {
                continue;
            }
            let mut piece = [0; PIECE];
            let mut out = Out::new(&mut piece);
            session.write(self.framebuffer, &mut out);
            // It has room, so this fails only if it is closing.
            let sent = peers.send_binary(*peer, out.written());
            has_more |= sent.is_ok() && session.has_output();
        }
        has_more
    }

    fn act(&mut self, viewer: usize, input: Input) {
        match input {
            Input::Pointer { x, y, buttons } => {
                let is_down = buttons & LEFT != 0;
                let Some(Some(Viewer { is_down: was_down, .. })) = self.viewers.get_mut(viewer)
                else {
                    return;
                };
                if core::mem::replace(was_down, is_down) != is_down {
                    self.panel.point(viewer, Point::new(x.into(), y.into()), is_down);
                }
            }
            Input::Key { keysym: SPACE | RETURN, is_down } => {
                self.panel.hold(viewer, is_down, true);
            }
            Input::Key { .. } => {}
        }
    }

    fn forget(&mut self, viewer: usize) {
        if let Some(place) = self.viewers.get_mut(viewer) {
            *place = None;
        }
        self.panel.leave(viewer);
        self.count_viewers();
    }

    fn count_viewers(&mut self) {
        self.panel.set_viewers(self.viewers.iter().flatten().count());
    }
}

/// A viewer did something wrong, and is told what.
fn refuse<S: Transport>(peers: &mut Peers<'_, S>, viewer: &Viewer, error: Error) {
    log::warn!("{}: {}", viewer.peer.index(), error);
    let mut refusal = [0; 64];
    let mut out = Out::new(&mut refusal);
    viewer.session.refusal(error, &mut out);
    if out.len() > 0 {
        let _ = peers.send_binary(viewer.peer, out.written());
    }
    let code = match error {
        Error::Text => CloseCode::UNSUPPORTED_DATA,
        _ => CloseCode::POLICY_VIOLATION,
    };
    let mut reason = String::<64>::new();
    let _ = write!(reason, "{error}");
    // It is closing already if this fails.
    let _ = peers.close(viewer.peer, Some(code), &reason);
}

impl Application for Display<'_> {
    fn respond<'r>(&'r mut self, request: &Request<'r>) -> Answer<'r> {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => HELP,
            ("GET" | "HEAD", _) => Answer::empty(Status::NOT_FOUND),
            _ => Answer::empty(Status::METHOD_NOT_ALLOWED),
        }
    }

    /// noVNC offers a subprotocol only if it is told to; older ones offer `binary`.
    fn open<'r>(
        &'r mut self,
        _: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        let foreign = |origin| self.origin.is_some_and(|allowed| allowed.as_bytes() != origin);
        match request.origin() {
            Some(origin) if foreign(origin) => Err(Answer::empty(Status::FORBIDDEN)),
            _ => {
                let subprotocol = request.subprotocols().find(|offered| *offered == "binary");
                Ok(Acceptance { subprotocol, fields: &[] })
            }
        }
    }

    fn opened<S: Transport>(&mut self, _: &mut Peers<'_, S>, peer: PeerId) {
        if let Some(viewer) = self.viewers.get_mut(peer.index()) {
            *viewer = Some(Viewer { peer, session: Session::new(), is_down: false });
        }
        self.count_viewers();
        log::info!("viewer {} connected", peer.index());
    }

    /// The messages of a viewer make up a stream; where one ends means nothing.
    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        _fin: bool,
    ) {
        let mut received = payload;
        loop {
            // One that was refused is no viewer any more.
            let viewer = self.viewers.get_mut(peer.index());
            let Some(viewer) = viewer.and_then(Option::as_mut) else { return };
            let received = match kind {
                MessageKind::Binary => viewer.session.receive(&mut received),
                MessageKind::Text => Err(Error::Text),
            };
            match received {
                Ok(Some(input)) => self.act(peer.index(), input),
                Ok(None) => return,
                Err(error) => {
                    refuse(peers, viewer, error);
                    self.forget(peer.index());
                }
            }
        }
    }

    fn closed<S: Transport>(&mut self, _: &mut Peers<'_, S>, peer: PeerId, end: End<'_, S::Error>) {
        let index = peer.index();
        self.forget(index);
        match end {
            End::Closed(_) => log::info!("viewer {index} disconnected"),
            End::Failed(error) => log::warn!("viewer {index}: {error}"),
            End::TimedOut(timeout) => log::warn!("viewer {index}: timed out: {timeout:?}"),
            End::Overflowed => log::warn!("viewer {index}: does not read"),
        }
    }
}
