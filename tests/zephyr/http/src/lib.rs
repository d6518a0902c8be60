// SPDX-License-Identifier: Apache-2.0
//! Echoes behind Zephyr's HTTP server. A peer that sends `stop` stops the hub, which then begins
//! anew; `no pages` stops the HTTP server, and `pages` starts it again.

#![no_std]

use core::time::Duration;

use log::{error, info};
use static_cell::ConstStaticCell;
use zephyr::kconfig::CONFIG_TEST_PORT;
use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request};
use zephyr_websocket::hub::{Answer, Application, End, Hub, PeerId, Peers, Settings, Slot};
use zephyr_websocket::zephyr::{Error, HttpNetwork, TcpStream, config, http};
use zephyr_websocket::{CloseCode, MessageKind, Transport};

static SLOTS: ConstStaticCell<[Slot<TcpStream>; config::MAX_CONNECTIONS]> =
    ConstStaticCell::new([const { Slot::new() }; config::MAX_CONNECTIONS]);
static RX: ConstStaticCell<[u8; config::MAX_CONNECTIONS * config::RX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; config::MAX_CONNECTIONS * config::RX_BUFFER_SIZE]);
static TX: ConstStaticCell<[u8; config::MAX_CONNECTIONS * config::TX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; config::MAX_CONNECTIONS * config::TX_BUFFER_SIZE]);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    if let Err(error) = serve() {
        error!("{}", error);
    }
}

/// Of the service in `web.c`.
#[cfg(CONFIG_SAMPLE_TLS)]
fn add_certificate() -> Result<(), Error> {
    use zephyr_websocket::zephyr::tls::{self, Credential};

    let certificate = include_bytes!(concat!(env!("OUT_DIR"), "/server.der"));
    let key = include_bytes!(concat!(env!("OUT_DIR"), "/server.key.der"));
    tls::add_credential(1, Credential::PublicCertificate, certificate)?;
    tls::add_credential(1, Credential::PrivateKey, key)
}

fn serve() -> Result<(), Error> {
    #[cfg(CONFIG_SAMPLE_TLS)]
    add_certificate()?;
    let (slots, rx, tx) = (SLOTS.take(), RX.take(), TX.take());
    http::start()?;
    info!("listening on port {}", CONFIG_TEST_PORT);
    loop {
        let mut echo = Echo::default();
        let hub = Hub::new(HttpNetwork::new(), slots, rx, tx, &Settings::default());
        let Ok(mut hub) = hub else { return Err(Error::OutOfMemory) };
        while !echo.stops {
            hub.turn(&mut echo, None)?;
        }
        hub.stop(CloseCode::GOING_AWAY, Duration::from_secs(2));
        hub.run(&mut echo)?;
        info!("stopped");
    }
}

#[derive(Default)]
struct Echo {
    stops: bool,
}

impl Application for Echo {
    fn open<'r>(
        &'r mut self,
        _: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        match request.origin() {
            Some(origin) if origin != b"http://device.example" => {
                Err(Answer::empty(Status::FORBIDDEN))
            }
            _ if request.query() == Some("busy") => Err(Answer::empty(Status::SERVICE_UNAVAILABLE)),
            _ => Ok(Acceptance::default()),
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
        let done = match payload {
            b"no pages" => http::stop(),
            b"pages" => http::start(),
            _ => Ok(()),
        };
        if let Err(error) = done {
            error!("{}", error);
        }
        self.stops |= payload == b"stop";
        let _ = peers.send_fragment(peer, kind, payload, fin);
    }

    fn closed<S: Transport>(&mut self, _: &mut Peers<'_, S>, peer: PeerId, end: End<'_, S::Error>) {
        info!("{}: {:?}", peer.index(), end);
    }
}
