// SPDX-License-Identifier: Apache-2.0
//! The echo client over TLS.

#![no_std]

#[path = "../../echo_client/src/client.rs"]
mod client;

use core::ffi::CStr;

use log::{error, info};
use zephyr::kconfig::{CONFIG_MAIN_STACK_SIZE, CONFIG_WSS_CLIENT_HOSTNAME, CONFIG_WSS_CLIENT_URL};
use zephyr_websocket::Url;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::zephyr::tls::{self, Credential, Verify};
use zephyr_websocket::zephyr::{Csprng, Error, TcpStream, config};

const TIMEOUTS: client::Timeouts = client::Timeouts {
    handshake: config::HANDSHAKE_TIMEOUT,
    message: config::SEND_TIMEOUT,
    close: config::CLOSE_TIMEOUT,
};

/// Of the stack, what the TLS handshake or formatting a log message takes.
const OTHER_SIZE: usize = 8192;

const BUFFERS_SIZE: usize =
    config::RX_BUFFER_SIZE + config::TX_BUFFER_SIZE + config::MAX_MESSAGE_SIZE;

// A stack that overflows is a fault without a cause that the log could tell.
const _: () = assert!(
    CONFIG_MAIN_STACK_SIZE as usize >= BUFFERS_SIZE + OTHER_SIZE,
    "the buffers do not fit main()'s stack: raise CONFIG_MAIN_STACK_SIZE to 8192 more than the \
     receive buffer, the transmit buffer and CONFIG_RUST_WEBSOCKET_MAX_MESSAGE_SIZE take"
);

/// Who may vouch for the server.
const CA: i32 = 1;
/// The client's own certificate and private key.
const OWN: i32 = 2;

const SEC_TAGS: &[i32] = if cfg!(CONFIG_WSS_CLIENT_OWN_CERTIFICATE) { &[CA, OWN] } else { &[CA] };

/// A host name has at most 253 characters (RFC 1035 section 2.3.4).
type Name = heapless::Vec<u8, 254>;

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let url = match Url::parse(CONFIG_WSS_CLIENT_URL) {
        Ok(url) if url.is_secure => url,
        Ok(_) => return error!("ws is not supported here: use wss"),
        Err(error) => return error!("{}: {}", CONFIG_WSS_CLIENT_URL, error),
    };
    let stream = match connect(&url) {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return error!("{}: {}", CONFIG_WSS_CLIENT_URL, error),
        None => return error!("the host's name is too long"),
    };
    let request = Request::new(url.authority, url.resource_name);
    let mut rx = [0; config::RX_BUFFER_SIZE];
    let mut tx = [0; config::TX_BUFFER_SIZE];
    let mut message = [0; config::MAX_MESSAGE_SIZE];
    let buffers: [&mut [u8]; 3] = [&mut rx, &mut tx, &mut message];
    match client::run(stream, Csprng, &request, buffers, &TIMEOUTS) {
        Ok(count) => info!("{} messages echoed", count),
        Err(failure) => error!("{}", failure),
    }
}

/// `None` if a name is too long.
fn connect(url: &Url<'_>) -> Option<Result<TcpStream, Error>> {
    let hostname = match CONFIG_WSS_CLIENT_HOSTNAME {
        "" => url.host,
        name => name,
    };
    let (mut host_bytes, mut hostname_bytes) = (Name::new(), Name::new());
    let host = c_str(&mut host_bytes, url.host)?;
    let hostname = c_str(&mut hostname_bytes, hostname)?;
    let client = tls::Client { sec_tags: SEC_TAGS, hostname, verify: Verify::Required };
    Some(
        add_credentials().and_then(|()| {
            TcpStream::connect_tls(host, url.port, &client, config::CONNECT_TIMEOUT)
        }),
    )
}

fn c_str<'a>(bytes: &'a mut Name, text: &str) -> Option<&'a CStr> {
    bytes.extend_from_slice(text.as_bytes()).ok()?;
    bytes.push(0).ok()?;
    CStr::from_bytes_with_nul(bytes).ok()
}

fn add_credentials() -> Result<(), Error> {
    let ca = include_bytes!(concat!(env!("OUT_DIR"), "/ca.der"));
    tls::add_credential(CA, Credential::CaCertificate, ca)?;
    if cfg!(CONFIG_WSS_CLIENT_OWN_CERTIFICATE) {
        let certificate = include_bytes!(concat!(env!("OUT_DIR"), "/client.der"));
        let key = include_bytes!(concat!(env!("OUT_DIR"), "/client.key.der"));
        tls::add_credential(OWN, Credential::PublicCertificate, certificate)?;
        tls::add_credential(OWN, Credential::PrivateKey, key)?;
    }
    Ok(())
}
