// SPDX-License-Identifier: Apache-2.0
//! What the echo server does, on any network: the same on a board and on a PC.

use core::fmt;

use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request};
use zephyr_websocket::hub::{Answer, Application, Body, End, PeerId, Peers};
use zephyr_websocket::{CloseCode, MessageKind, Transport};

const PAGE: Answer<'static> = Answer {
    status: Status::OK,
    fields: &[("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache")],
    body: Body::Static(include_bytes!("page.html")),
};

const REPORT: Answer<'static> = Answer {
    status: Status::OK,
    fields: &[("Content-Type", "application/json"), ("Cache-Control", "no-store")],
    body: Body::Static(&[]),
};

/// How a report about the system is written, as JSON.
pub type Report = fn(&mut dyn fmt::Write) -> fmt::Result;

/// Echoes every message, and serves a page to try that from.
pub struct Echo<'a> {
    /// The only origin whose pages may connect; `None` lets every page on the web in.
    pub origin: Option<&'a str>,
    /// What is served at `/status`, if anything is.
    pub report: Option<Report>,
    /// The last report.
    pub text: heapless::String<512>,
}

impl<'a> Echo<'a> {
    /// Without a report.
    pub const fn new(origin: Option<&'a str>) -> Self {
        Self { origin, report: None, text: heapless::String::new() }
    }

    fn report(&mut self) -> Answer<'_> {
        let Some(report) = self.report else { return Answer::empty(Status::NOT_FOUND) };
        self.text.clear();
        match report(&mut self.text) {
            Ok(()) => Answer { body: Body::Copied(self.text.as_bytes()), ..REPORT },
            Err(_) => Answer::empty(Status::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Application for Echo<'_> {
    fn respond<'r>(&'r mut self, request: &Request<'r>) -> Answer<'r> {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => PAGE,
            ("GET" | "HEAD", "/status") => self.report(),
            ("GET" | "HEAD", _) => Answer::empty(Status::NOT_FOUND),
            _ => Answer::empty(Status::METHOD_NOT_ALLOWED),
        }
    }

    fn open<'r>(
        &'r mut self,
        _: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        let foreign = |origin| self.origin.is_some_and(|allowed| allowed.as_bytes() != origin);
        match request.origin() {
            Some(origin) if foreign(origin) => Err(Answer::empty(Status::FORBIDDEN)),
            _ => Ok(Acceptance::default()),
        }
    }

    /// As it comes: a message of any length passes through a small buffer.
    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) {
        // The hub hands out no more than a reply has room for.
        if let Err(error) = peers.send_fragment(peer, kind, payload, fin) {
            log::warn!("{}: {}", peer.index(), error);
            // It is closing already if this fails too.
            let _ = peers.close(peer, Some(CloseCode::INTERNAL_ERROR), "");
        }
    }

    fn closed<S: Transport>(&mut self, _: &mut Peers<'_, S>, peer: PeerId, end: End<'_, S::Error>) {
        match end {
            End::Closed(_) => {}
            End::Failed(error) => log::warn!("{}: {}", peer.index(), error),
            End::TimedOut(timeout) => log::warn!("{}: timed out: {:?}", peer.index(), timeout),
            End::Overflowed => log::warn!("{}: does not read", peer.index()),
        }
    }
}
