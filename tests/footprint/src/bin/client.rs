// SPDX-License-Identifier: Apache-2.0
//! A whole client: opening handshake, messages, control frames, closing handshake.

#![no_std]
#![no_main]

use footprint::{Errno, Socket, echo};
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{Connected, Error, connect};

#[unsafe(no_mangle)]
extern "C" fn main(rx: &mut [u8; 1024], tx: &mut [u8; 256]) -> bool {
    run(rx, tx).is_ok()
}

fn run(rx: &mut [u8], tx: &mut [u8]) -> Result<(), Error<Errno>> {
    let request = Request::new("device.local", "/echo");
    let Connected { websocket, .. } = connect(Socket, Socket, &request, rx, tx)?;
    echo(websocket)
}
