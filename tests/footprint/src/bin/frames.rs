// SPDX-License-Identifier: Apache-2.0
//! Frames only, both directions: what follows an opening handshake that something else did.

#![no_std]
#![no_main]

use core::time::Duration;

use footprint::{Errno, Socket};
use zephyr_websocket::{Error, Event, Server, WebSocket};

#[unsafe(no_mangle)]
extern "C" fn main(rx: &mut [u8; 1024], tx: &mut [u8; 256]) -> bool {
    serve(rx, tx).is_ok()
}

fn serve(rx: &mut [u8], tx: &mut [u8]) -> Result<(), Error<Errno>> {
    let mut websocket = WebSocket::new(Socket, Server, rx, tx)?;
    loop {
        let (event, sender) = match websocket.receive() {
            Ok(received) => received,
            Err(error) => {
                websocket.finish(Duration::from_secs(1));
                return Err(error);
            }
        };
        match event {
            Event::Data { kind, payload, fin } => sender.send_fragment(kind, payload, fin)?,
            Event::Close(_) => break,
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    websocket.finish(Duration::from_secs(1));
    Ok(())
}
