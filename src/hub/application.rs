// SPDX-License-Identifier: Apache-2.0
//! What an application says to a hub, and hears from it.

use super::peers::{PeerId, Peers};
use crate::close::CloseFrame;
use crate::error::Error;
use crate::event::MessageKind;
use crate::handshake::Status;
use crate::handshake::server::{Acceptance, Request, Response};
use crate::transport::Transport;

/// The application of a [`Hub`](super::Hub): what it does when something happens.
///
/// The methods are called one at a time and MUST NOT wait: all connections would wait with them.
pub trait Application {
    /// Answers a request that asks for no WebSocket, with a page or an error.
    ///
    /// A hub without pages answers 426, and 405 where the method is not GET.
    fn respond<'r>(&'r mut self, request: &Request<'r>) -> Answer<'r> {
        match request.method() {
            "GET" => Answer::empty(Status::UPGRADE_REQUIRED),
            _ => Answer::empty(Status::METHOD_NOT_ALLOWED),
        }
    }

    /// Decides about a valid opening handshake: opens it, perhaps with a subprotocol, or refuses
    /// it with an HTTP status, such as 403 for a page of a foreign
    /// [`origin`](Request::origin) or 404 for an unknown [`path`](Request::path). `peer` is how
    /// the connection will be called if it opens.
    ///
    /// Whoever accepts without looking at the origin lets every page on the web in that its reader
    /// opens in a browser (RFC 6455 section 10.2).
    ///
    /// # Errors
    /// The refusal.
    fn open<'r>(
        &'r mut self,
        peer: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        let _ = (peer, request);
        Ok(Acceptance::default())
    }

    /// `peer` is open: messages can be sent to it.
    fn opened<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        let _ = (peers, peer);
    }

    /// The next bytes of a message have come from `peer`, the last ones if `fin`; with
    /// [`Delivery::Messages`](super::Delivery) a whole one, and `fin` is always set. Text is UTF-8;
    /// without `fin` its last character may be incomplete.
    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    );

    /// `peer` has brought back the payload of a Ping, or sent a Pong of its own.
    fn pong<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId, payload: &[u8]) {
        let _ = (peers, peer, payload);
    }

    /// All that waited for `peer` has left, after something was refused with
    /// [`UsageError::BacklogFull`](crate::UsageError::BacklogFull).
    fn writable<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        let _ = (peers, peer);
    }

    /// The WebSocket of `peer` has ended; nothing more comes from it or reaches it. Called exactly
    /// once for each that opened.
    fn closed<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        end: End<'_, S::Error>,
    ) {
        let _ = (peers, peer, end);
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a, E> {
    /// Cleanly, with Close frames in both directions (RFC 6455 section 7.1.4): the peer's.
    Closed(CloseFrame<'a>),
    /// By an error: [`Error::Protocol`] or [`Error::MessageTooBig`], which the peer was told,
    /// [`Error::Disconnected`], [`Error::Transport`].
    Failed(Error<E>),
    /// A timeout passed.
    TimedOut(Timeout),
    /// The peer did not take what was sent to it, and [`Overflow::Close`](super::Overflow) says to
    /// give it up then. It was told so with 1013.
    Overflowed,
}

/// A timeout that ended a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// No Pong came, nor anything else.
    Pong,
    /// No message came or went.
    Idle,
    /// The peer did not take what was sent to it.
    Send,
    /// The peer did not answer a Close frame.
    ClosingHandshake,
    /// The hub was shut down, and the peer did not answer that in time.
    Shutdown,
}

/// An ordinary HTTP response.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'r> {
    /// The status.
    pub status: Status,
    /// Further fields, such as `Content-Type`.
    pub fields: &'r [(&'r str, &'r str)],
    /// The body, which is left out where the request's method is HEAD.
    pub body: Body<'r>,
}

/// The body of an [`Answer`].
#[derive(Clone, Copy, Debug)]
pub enum Body<'r> {
    /// A page of any length that stays where it is, such as in flash.
    Static(&'static [u8]),
    /// Bytes that are copied, and must fit the transmit buffer together with the head.
    Copied(&'r [u8]),
}

impl<'r> Answer<'r> {
    /// An answer without a body.
    #[must_use]
    pub const fn empty(status: Status) -> Self {
        Self { status, fields: &[], body: Body::Static(&[]) }
    }

    pub(super) const fn response(&self) -> Response<'r> {
        let body = match self.body {
            Body::Static(body) | Body::Copied(body) => body,
        };
        Response { status: self.status, fields: self.fields, body }
    }
}
