// SPDX-License-Identifier: Apache-2.0
//! An echo server on one connection, on any transport.

use core::time::Duration;

use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request, Response};
use zephyr_websocket::{Error, Event, Incoming, KeySource, Server, Transport, WebSocket};

const PAGE: Response<'static> = Response {
    status: Status::OK,
    fields: &[("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache")],
    body: include_bytes!("../../samples/echo_server/src/page.html"),
};

/// How long the echo server waits, and for whom.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The only origin whose pages may connect; `None` lets every page on the web in.
    pub origin: Option<&'a str>,
    /// For the whole opening handshake.
    pub handshake_timeout: Duration,
    /// Without a sign of life before a Ping is sent, and again before the peer is given up.
    pub idle_timeout: Duration,
    /// For the peer to take what is sent to it.
    pub send_timeout: Duration,
    /// For the closing handshake and the end of the stream.
    pub close_timeout: Duration,
}

/// Serves one connection until it ends: the page, an HTTP error, or a WebSocket that echoes.
pub fn serve<T: Transport>(
    mut transport: T,
    rx: &mut [u8],
    tx: &mut [u8],
    settings: &Settings<'_>,
) -> Result<(), Error<T::Error>> {
    transport.set_deadline(Some(settings.handshake_timeout));
    let incoming = Incoming::read(transport, rx, tx)?;
    let request = incoming.request();
    if !incoming.is_websocket() {
        let response = plain_response(&request);
        incoming.respond(&response)?;
        return Ok(());
    }
    let foreign = |origin| settings.origin.is_some_and(|allowed| allowed.as_bytes() != origin);
    if request.origin().is_some_and(foreign) {
        incoming.respond(&Response::empty(Status::FORBIDDEN))?;
        return Ok(());
    }
    let mut websocket = incoming.accept(&Acceptance::default())?;
    let result = echo_alive(&mut websocket, settings);
    websocket.finish(settings.close_timeout);
    result
}

fn plain_response(request: &Request<'_>) -> Response<'static> {
    match (request.method(), request.path()) {
        ("GET" | "HEAD", "/") => PAGE,
        ("GET" | "HEAD", _) => Response::empty(Status::NOT_FOUND),
        _ => Response::empty(Status::METHOD_NOT_ALLOWED),
    }
}

/// Echoes, and asks a silent peer for a sign of life before it is given up.
fn echo_alive<T: Transport>(
    websocket: &mut WebSocket<'_, T, Server>,
    settings: &Settings<'_>,
) -> Result<(), Error<T::Error>> {
    let mut asked = false;
    loop {
        websocket.set_deadline(Some(settings.idle_timeout));
        match echo_next(websocket, settings.send_timeout) {
            Ok(true) => asked = false,
            Err(Error::TimedOut) if !asked && !websocket.sender().is_frame_begun() => {
                websocket.set_deadline(Some(settings.send_timeout));
                websocket.sender().ping(&[])?;
                asked = true;
            }
            Ok(false) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Echoes what comes next, as it comes: a message of any length passes through a small buffer.
/// Returns whether the connection is still open.
pub fn echo_next<T: Transport, R: KeySource>(
    websocket: &mut WebSocket<'_, T, R>,
    send_timeout: Duration,
) -> Result<bool, Error<T::Error>> {
    let (event, sender) = websocket.receive()?;
    match event {
        Event::Data { kind, payload, fin } => {
            sender.set_deadline(Some(send_timeout));
            sender.send_fragment(kind, payload, fin)?;
        }
        Event::Close(_) => return Ok(false),
        Event::Ping(_) | Event::Pong(_) => {}
    }
    Ok(true)
}
