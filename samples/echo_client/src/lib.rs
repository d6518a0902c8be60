// SPDX-License-Identifier: Apache-2.0
//! The echo client on Zephyr.

#![no_std]

mod client;

use core::ffi::CStr;

use log::{error, info};
use zephyr::kconfig::{CONFIG_ECHO_CLIENT_URL, CONFIG_MAIN_STACK_SIZE};
use zephyr_websocket::Url;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::zephyr::{Csprng, TcpStream, config};

const TIMEOUTS: client::Timeouts = client::Timeouts {
    handshake: config::HANDSHAKE_TIMEOUT,
    message: config::SEND_TIMEOUT,
    close: config::CLOSE_TIMEOUT,
};

/// Of the stack, what formatting a log message takes.
const LOG_SIZE: usize = 4096;

const BUFFERS_SIZE: usize =
    config::RX_BUFFER_SIZE + config::TX_BUFFER_SIZE + config::MAX_MESSAGE_SIZE;

// A stack that overflows is a fault without a cause that the log could tell.
const _: () = assert!(
    CONFIG_MAIN_STACK_SIZE as usize >= BUFFERS_SIZE + LOG_SIZE,
    "the buffers do not fit main()'s stack: raise CONFIG_MAIN_STACK_SIZE to 4096 more than the \
     receive buffer, the transmit buffer and CONFIG_RUST_WEBSOCKET_MAX_MESSAGE_SIZE take"
);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let url = match Url::parse(CONFIG_ECHO_CLIENT_URL) {
        Ok(url) if !url.is_secure => url,
        Ok(_) => return error!("wss is not supported here: use ws"),
        Err(error) => return error!("{}: {}", CONFIG_ECHO_CLIENT_URL, error),
    };
    // A host name has at most 253 characters (RFC 1035 section 2.3.4).
    let mut host: heapless::Vec<u8, 254> = heapless::Vec::new();
    if host.extend_from_slice(url.host.as_bytes()).is_err() || host.push(0).is_err() {
        return error!("the host's name is too long");
    }
    let Ok(host) = CStr::from_bytes_with_nul(&host) else {
        return error!("the host's name has a zero byte");
    };
    let stream = match TcpStream::connect(host, url.port, config::CONNECT_TIMEOUT) {
        Ok(stream) => stream,
        Err(error) => return error!("{}: {}", CONFIG_ECHO_CLIENT_URL, error),
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
