// SPDX-License-Identifier: Apache-2.0
//! Frames only, both directions: what follows an opening handshake that something else did.

#![no_std]
#![no_main]

use footprint::{Errno, Socket, echo};
use zephyr_websocket::{Error, Server, WebSocket};

#[unsafe(no_mangle)]
extern "C" fn main(rx: &mut [u8; 1024], tx: &mut [u8; 256]) -> bool {
    serve(rx, tx).is_ok()
}

fn serve(rx: &mut [u8], tx: &mut [u8]) -> Result<(), Error<Errno>> {
    let websocket = WebSocket::new(Socket, Server, rx, tx)?;
    echo(websocket)
}
