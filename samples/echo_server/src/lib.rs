// SPDX-License-Identifier: Apache-2.0
//! The echo server on Zephyr, all connections in one thread.

#![no_std]

mod echo;
#[cfg_attr(CONFIG_SAMPLE_TLS, path = "tls.rs")]
#[cfg_attr(not(CONFIG_SAMPLE_TLS), path = "tcp.rs")]
mod network;
#[cfg(CONFIG_ECHO_SERVER_STATUS)]
mod report;

use core::time::Duration;

use log::error;
use static_cell::ConstStaticCell;
use zephyr::kconfig::{
    CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS, CONFIG_ECHO_SERVER_ORIGIN, CONFIG_ECHO_SERVER_PORT,
};
use zephyr_websocket::hub::{Hub, Network, Settings, Slot, Timeouts};
use zephyr_websocket::zephyr::{Error, TcpStream, config};

const ORIGIN: Option<&str> =
    if CONFIG_ECHO_SERVER_ORIGIN.is_empty() { None } else { Some(CONFIG_ECHO_SERVER_ORIGIN) };

#[cfg(CONFIG_ECHO_SERVER_STATUS)]
const REPORT: Option<echo::Report> = Some(report::write);
#[cfg(not(CONFIG_ECHO_SERVER_STATUS))]
const REPORT: Option<echo::Report> = None;

const IDLE_TIMEOUT: Duration = Duration::from_millis(CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS as u64);

// All memory of the connections: static, so that the linker says if it does not fit, and never on
// the stack.
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
    let port = CONFIG_ECHO_SERVER_PORT as u16;
    if let Err(error) = network::listen(port).and_then(serve) {
        error!("port {}: {}", port, error);
    }
}

/// Returns only if the network fails.
fn serve(network: impl Network<Stream = TcpStream>) -> Result<(), Error> {
    let timeouts = Timeouts { ping: Some(IDLE_TIMEOUT), pong: IDLE_TIMEOUT, ..Timeouts::default() };
    let settings = Settings { timeouts, ..Settings::default() };
    let (slots, rx, tx) = (SLOTS.take(), RX.take(), TX.take());
    match Hub::new(network, slots, rx, tx, &settings) {
        Ok(mut hub) => {
            let mut echo = echo::Echo::new(ORIGIN);
            echo.report = REPORT;
            hub.run(&mut echo)
        }
        Err(error) => {
            error!("{}", error);
            Ok(())
        }
    }
}
