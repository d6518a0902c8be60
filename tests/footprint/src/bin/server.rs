// SPDX-License-Identifier: Apache-2.0
//! A whole echo server: opening handshake, messages, control frames, closing handshake.

#![no_std]
#![no_main]

use footprint::{Errno, Socket, echo};
use zephyr_websocket::handshake::server::Acceptance;
use zephyr_websocket::{Error, Incoming};

#[unsafe(no_mangle)]
extern "C" fn main(rx: &mut [u8; 1024], tx: &mut [u8; 256]) -> bool {
    serve(rx, tx).is_ok()
}

fn serve(rx: &mut [u8], tx: &mut [u8]) -> Result<(), Error<Errno>> {
    let websocket = Incoming::read(Socket, rx, tx)?.accept(&Acceptance::default())?;
    echo(websocket)
}
