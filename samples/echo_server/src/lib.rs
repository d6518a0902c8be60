// SPDX-License-Identifier: Apache-2.0
//! The echo server on Zephyr, all connections in one thread.

#![no_std]

mod echo;

use core::time::Duration;

use log::{error, info};
use static_cell::StaticCell;
use zephyr::kconfig::{
    CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS, CONFIG_ECHO_SERVER_ORIGIN, CONFIG_ECHO_SERVER_PORT,
};
use zephyr_websocket::hub::{Hub, Settings, Slot, Timeouts};
use zephyr_websocket::zephyr::{Error, TcpListener, TcpNetwork, TcpStream, config};

const ORIGIN: Option<&str> =
    if CONFIG_ECHO_SERVER_ORIGIN.is_empty() { None } else { Some(CONFIG_ECHO_SERVER_ORIGIN) };

const IDLE_TIMEOUT: Duration = Duration::from_millis(CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS as u64);

const RX_SIZE: usize = config::MAX_CONNECTIONS * config::RX_BUFFER_SIZE;
const TX_SIZE: usize = config::MAX_CONNECTIONS * config::TX_BUFFER_SIZE;

/// All memory of the connections.
struct Memory {
    slots: [Slot<TcpStream>; config::MAX_CONNECTIONS],
    rx: [u8; RX_SIZE],
    tx: [u8; TX_SIZE],
}

/// Static, so that the linker says if it does not fit.
static MEMORY: StaticCell<Memory> = StaticCell::new();

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    if let Err(error) = serve() {
        error!("port {}: {}", CONFIG_ECHO_SERVER_PORT, error);
    }
}

/// Returns only if the network fails.
fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind(CONFIG_ECHO_SERVER_PORT as u16)?;
    info!("listening on port {}", listener.local_port());
    let Memory { slots, rx, tx } = MEMORY.init_with(|| Memory {
        slots: [const { Slot::new() }; config::MAX_CONNECTIONS],
        rx: [0; RX_SIZE],
        tx: [0; TX_SIZE],
    });
    let timeouts =
        Timeouts { ping: Some(IDLE_TIMEOUT), pong: IDLE_TIMEOUT, ..Timeouts::default() };
    let settings = Settings { timeouts, ..Settings::default() };
    match Hub::new(TcpNetwork::new(listener), slots, rx, tx, &settings) {
        Ok(mut hub) => hub.run(&mut echo::Echo { origin: ORIGIN }),
        Err(error) => {
            error!("{}", error);
            Ok(())
        }
    }
}
