// SPDX-License-Identifier: Apache-2.0
//! The VNC display on Zephyr, all viewers in one thread.

#![no_std]

mod framebuffer;
mod panel;
mod pixels;
mod region;
mod rfb;
mod server;
mod update;

use core::time::Duration;

use log::{error, info};
use static_cell::ConstStaticCell;
use zephyr::kconfig::{
    CONFIG_VNC_DISPLAY_IDLE_TIMEOUT_MS, CONFIG_VNC_DISPLAY_ORIGIN, CONFIG_VNC_DISPLAY_PORT,
};
use zephyr_websocket::hub::{Hub, Settings, Slot, Timeouts};
use zephyr_websocket::zephyr::{Error, TcpListener, TcpNetwork, TcpStream, config};

use framebuffer::Framebuffer;
use server::{Display, Viewer};

const ORIGIN: Option<&str> =
    if CONFIG_VNC_DISPLAY_ORIGIN.is_empty() { None } else { Some(CONFIG_VNC_DISPLAY_ORIGIN) };

const IDLE_TIMEOUT: Duration = Duration::from_millis(CONFIG_VNC_DISPLAY_IDLE_TIMEOUT_MS as u64);

const _: () = assert!(
    config::TX_BUFFER_SIZE >= server::MIN_TX_BUFFER,
    "CONFIG_RUST_WEBSOCKET_TX_BUFFER_SIZE is too small for a piece of the picture"
);

const VIEWERS: usize = config::MAX_CONNECTIONS;

// All memory of the picture and the connections: static, so that the linker says if it does not
// fit, and never on the stack.
static FRAMEBUFFER: ConstStaticCell<Framebuffer> = ConstStaticCell::new(Framebuffer::new());
static SESSIONS: ConstStaticCell<[Option<Viewer>; VIEWERS]> =
    ConstStaticCell::new([const { None }; VIEWERS]);
static SLOTS: ConstStaticCell<[Slot<TcpStream>; VIEWERS]> =
    ConstStaticCell::new([const { Slot::new() }; VIEWERS]);
static RX: ConstStaticCell<[u8; VIEWERS * config::RX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; VIEWERS * config::RX_BUFFER_SIZE]);
static TX: ConstStaticCell<[u8; VIEWERS * config::TX_BUFFER_SIZE]> =
    ConstStaticCell::new([0; VIEWERS * config::TX_BUFFER_SIZE]);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let port = CONFIG_VNC_DISPLAY_PORT as u16;
    if let Err(error) = TcpListener::bind(port).and_then(serve) {
        error!("port {}: {}", port, error);
    }
}

/// Returns only if the network fails.
fn serve(listener: TcpListener) -> Result<(), Error> {
    info!("listening on port {}", listener.local_port());
    let timeouts = Timeouts { ping: Some(IDLE_TIMEOUT), pong: IDLE_TIMEOUT, ..Timeouts::default() };
    let settings = Settings { timeouts, ..server::settings() };
    let (slots, rx, tx) = (SLOTS.take(), RX.take(), TX.take());
    match Hub::new(TcpNetwork::new(listener), slots, rx, tx, &settings) {
        Ok(mut hub) => Display::new(ORIGIN, FRAMEBUFFER.take(), SESSIONS.take()).run(&mut hub),
        Err(error) => {
            error!("{}", error);
            Ok(())
        }
    }
}
