// SPDX-License-Identifier: Apache-2.0
//! The echo server on Zephyr, a thread for each connection.

#![no_std]

mod echo;

use core::time::Duration;

use log::{error, info, warn};
use static_cell::StaticCell;
use zephyr::kconfig::{
    CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS, CONFIG_ECHO_SERVER_ORIGIN, CONFIG_ECHO_SERVER_PORT,
};
use zephyr::sync::Mutex;
use zephyr::time::sleep;
use zephyr_websocket::zephyr::{TcpListener, config};

const SETTINGS: echo::Settings<'static> = echo::Settings {
    origin: if CONFIG_ECHO_SERVER_ORIGIN.is_empty() {
        None
    } else {
        Some(CONFIG_ECHO_SERVER_ORIGIN)
    },
    handshake_timeout: config::HANDSHAKE_TIMEOUT,
    idle_timeout: Duration::from_millis(CONFIG_ECHO_SERVER_IDLE_TIMEOUT_MS as u64),
    send_timeout: config::SEND_TIMEOUT,
    close_timeout: config::CLOSE_TIMEOUT,
};

/// The two buffers, and what formatting a log message takes.
const STACK_SIZE: usize = config::RX_BUFFER_SIZE + config::TX_BUFFER_SIZE + 4096;

/// One thread at a time waits for a connection: Zephyr's offloaded sockets allow no more.
static LISTENER: StaticCell<Mutex<TcpListener>> = StaticCell::new();

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    match TcpListener::bind(CONFIG_ECHO_SERVER_PORT as u16) {
        Ok(listener) => {
            info!("listening on port {}", listener.local_port());
            let listener = &*LISTENER.init(Mutex::new(listener));
            for _ in 0..config::MAX_CONNECTIONS {
                serve(listener).start();
            }
        }
        Err(error) => error!("port {}: {}", CONFIG_ECHO_SERVER_PORT, error),
    }
}

#[zephyr::thread(stack_size = STACK_SIZE, pool_size = config::MAX_CONNECTIONS)]
fn serve(listener: &'static Mutex<TcpListener>) {
    let mut rx = [0; config::RX_BUFFER_SIZE];
    let mut tx = [0; config::TX_BUFFER_SIZE];
    loop {
        let Ok(accepted) = listener.lock().map(|listener| listener.accept(None));
        match accepted {
            Ok(stream) => {
                if let Err(error) = echo::serve(stream, &mut rx, &mut tx, &SETTINGS) {
                    warn!("{}", error);
                }
            }
            Err(error) => {
                error!("accept: {}", error);
                sleep(zephyr::time::Duration::millis(100));
            }
        }
    }
}
