// SPDX-License-Identifier: Apache-2.0
//! The client under test by Autobahn|Testsuite, on Zephyr. `scripts/autobahn.sh native_sim client`
//! builds and runs it.

#![no_std]

#[path = "../../../../examples/support/echo.rs"]
#[allow(dead_code, reason = "only the echo itself is the client's too")]
mod echo;
mod suite;

use core::ffi::CStr;

use log::{error, info};
use zephyr::kconfig::{CONFIG_AUTOBAHN_URL, CONFIG_MAIN_STACK_SIZE};
use zephyr_websocket::Url;
use zephyr_websocket::zephyr::{Csprng, TcpStream, config};

/// Of the stack, what formatting a log message takes.
const LOG_SIZE: usize = 4096;

// A stack that overflows is a fault without a cause that the log could tell.
const _: () = assert!(
    CONFIG_MAIN_STACK_SIZE as usize >= config::RX_BUFFER_SIZE + config::TX_BUFFER_SIZE + LOG_SIZE,
    "the buffers do not fit main()'s stack: raise CONFIG_MAIN_STACK_SIZE to 4096 more than the \
     receive buffer and the transmit buffer take"
);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let url = match Url::parse(CONFIG_AUTOBAHN_URL) {
        Ok(url) => url,
        Err(error) => return error!("{}: {}", CONFIG_AUTOBAHN_URL, error),
    };
    let mut host: heapless::Vec<u8, 64> = heapless::Vec::new();
    if host.extend_from_slice(url.host.as_bytes()).is_err() || host.push(0).is_err() {
        return error!("the host's address is too long");
    }
    let Ok(host) = CStr::from_bytes_with_nul(&host) else {
        return error!("the host's address has a zero byte");
    };
    let mut rx = [0; config::RX_BUFFER_SIZE];
    let mut tx = [0; config::TX_BUFFER_SIZE];
    let dial = || TcpStream::connect(host, url.port, config::CONNECT_TIMEOUT);
    match suite::run(dial, Csprng, url.authority, &mut rx, &mut tx) {
        Ok(count) => info!("{} cases run", count),
        Err(error) => error!("{}: {}", CONFIG_AUTOBAHN_URL, error),
    }
}
