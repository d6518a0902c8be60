// SPDX-License-Identifier: Apache-2.0
//! The echo server over TLS. A thread of its own accepts: Zephyr does the TLS handshake meanwhile, in
//! which a peer can be slow.

use log::{info, warn};
use static_cell::StaticCell;
use zephyr::time::{Duration, sleep};
use zephyr_websocket::zephyr::tls::{self, Credential, Verify};
use zephyr_websocket::zephyr::{Error, HandOver, HandedOver, TcpListener};

/// The server's own certificate and private key.
const OWN: i32 = 1;
/// Who may vouch for clients.
const CA: i32 = 2;

/// For mbedTLS' handshake, and formatting a log message.
const STACK_SIZE: usize = 10240;

static LISTENER: StaticCell<TcpListener> = StaticCell::new();
static HAND_OVER: HandOver = HandOver::new();

pub fn listen(port: u16) -> Result<HandedOver<'static>, Error> {
    let listener = LISTENER.init(bind(port)?);
    info!("listening on port {}", listener.local_port());
    accept(listener).start();
    Ok(HAND_OVER.network())
}

fn bind(port: u16) -> Result<TcpListener, Error> {
    let certificate = include_bytes!(concat!(env!("OUT_DIR"), "/server.der"));
    let key = include_bytes!(concat!(env!("OUT_DIR"), "/server.key.der"));
    tls::add_credential(OWN, Credential::PublicCertificate, certificate)?;
    tls::add_credential(OWN, Credential::PrivateKey, key)?;
    if !cfg!(CONFIG_ECHO_SERVER_CLIENT_CERTIFICATES) {
        return TcpListener::bind_tls(
            port,
            &tls::Server { sec_tags: &[OWN], verify: Verify::None },
        );
    }
    let ca = include_bytes!(concat!(env!("OUT_DIR"), "/ca.der"));
    tls::add_credential(CA, Credential::CaCertificate, ca)?;
    TcpListener::bind_tls(port, &tls::Server { sec_tags: &[OWN, CA], verify: Verify::Required })
}

#[zephyr::thread(stack_size = STACK_SIZE, pool_size = 1)]
fn accept(listener: &'static TcpListener) {
    loop {
        match listener.accept(None) {
            Ok(stream) => HAND_OVER.give(stream),
            Err(error) => {
                warn!("{}", error);
                // Out of sockets or memory, until one is closed.
                sleep(Duration::millis(100));
            }
        }
    }
}
