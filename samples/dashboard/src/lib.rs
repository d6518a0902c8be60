// SPDX-License-Identifier: Apache-2.0
//! The dashboard on Zephyr: its HTTP server has the page, a hub the WebSockets.

#![no_std]

mod dashboard;

use log::{error, info};
use static_cell::ConstStaticCell;
use zephyr::kconfig::{
    CONFIG_BOARD, CONFIG_DASHBOARD_INTERVAL_MS, CONFIG_DASHBOARD_ORIGIN, CONFIG_DASHBOARD_PORT,
};
use zephyr_websocket::hub::{Delivery, Hub, Settings, Slot};
use zephyr_websocket::zephyr::{
    Error, HttpNetwork, TcpStream, Usage, config, http, uptime_ms, usage,
};

use dashboard::{Dashboard, Device};

const ORIGIN: Option<&str> =
    if CONFIG_DASHBOARD_ORIGIN.is_empty() { None } else { Some(CONFIG_DASHBOARD_ORIGIN) };

// All memory of the connections: static, so that the linker says if it does not fit, and never on
// the stack.
static SLOTS: ConstStaticCell<[Slot<TcpStream>; config::MAX_CONNECTIONS]> =
    ConstStaticCell::new([const { Slot::new() }; config::MAX_CONNECTIONS]);
static RX: ConstStaticCell<[u8; config::MAX_CONNECTIONS * config::RX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; config::MAX_CONNECTIONS * config::RX_BUFFER_SIZE]);
static TX: ConstStaticCell<[u8; config::MAX_CONNECTIONS * config::TX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; config::MAX_CONNECTIONS * config::TX_BUFFER_SIZE]);

// SAFETY: the signature is that of src/led.c.
unsafe extern "C" {
    safe fn dashboard_led_set(on: bool);
}

struct Board;

impl Device for Board {
    fn name(&self) -> &str {
        CONFIG_BOARD
    }

    fn uptime_ms(&mut self) -> u64 {
        uptime_ms()
    }

    fn set_led(&mut self, on: bool) {
        dashboard_led_set(on);
    }

    fn in_use(&mut self) -> impl IntoIterator<Item = (&'static str, u32, u32)> {
        let Usage { rx_buffers, tx_buffers, contexts, heap, .. } = usage();
        [
            ("heap", heap),
            ("sockets", contexts),
            ("rx_buffers", rx_buffers),
            ("tx_buffers", tx_buffers),
        ]
        .map(|(name, in_use)| (name, in_use.used, in_use.total))
    }
}

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

/// Returns only if the network fails.
fn serve() -> Result<(), Error> {
    let settings = Settings { delivery: Delivery::Messages, ..Settings::default() };
    let (slots, rx, tx) = (SLOTS.take(), RX.take(), TX.take());
    let mut hub = match Hub::new(HttpNetwork::new(), slots, rx, tx, &settings) {
        Ok(hub) => hub,
        Err(error) => {
            error!("{}", error);
            return Ok(());
        }
    };
    http::start()?;
    info!("listening on port {}", CONFIG_DASHBOARD_PORT);
    let interval = CONFIG_DASHBOARD_INTERVAL_MS as u32;
    let mut dashboard = Dashboard::new(Board, config::MAX_CONNECTIONS, interval, ORIGIN, None);
    dashboard::run(&mut hub, &mut dashboard)
}
