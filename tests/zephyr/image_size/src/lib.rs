// SPDX-License-Identifier: Apache-2.0
//! An echo server over TCP, or over WebSocket on the same sockets. `scripts/image-size.sh` builds
//! both: the difference of the images is what a WebSocket costs.

#![no_std]

#[cfg_attr(CONFIG_IMAGE_SIZE_WEBSOCKET, path = "with.rs")]
#[cfg_attr(not(CONFIG_IMAGE_SIZE_WEBSOCKET), path = "without.rs")]
mod echo;

use static_cell::ConstStaticCell;
use zephyr::kconfig::CONFIG_IMAGE_SIZE_PORT;
use zephyr_websocket::zephyr::TcpListener;

const BUFFER_SIZE: usize = 1024;

/// Static, as all that lives as long as a connection, so that the linker counts it.
static BUFFER: ConstStaticCell<[u8; BUFFER_SIZE]> = ConstStaticCell::new([0; BUFFER_SIZE]);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    let buffer = BUFFER.take();
    let Ok(listener) = TcpListener::bind(CONFIG_IMAGE_SIZE_PORT as u16) else { return };
    let mut echo = echo::Echo::take();
    while let Ok(mut stream) = listener.accept(None) {
        // However a connection ends, the next one is served.
        let _ = echo.serve(&mut stream, buffer);
    }
}
