// SPDX-License-Identifier: Apache-2.0
//! The echo of a connection whose opening handshake is done elsewhere.

#![no_std]
#![no_main]

use size::{BUFFER, Received, echo};
use zephyr_websocket::{Connection, Server};

#[unsafe(no_mangle)]
extern "C" fn main(buffer: &mut [u8; BUFFER]) {
    serve(Received { bytes: buffer, len: 0 });
}

fn serve(mut received: Received<'_>) -> Option<()> {
    let mut connection = Connection::<Server>::new();
    loop {
        received.fill()?;
        let input = received.bytes.get_mut(..received.len)?;
        let rest = echo(&mut connection, input, || ())?;
        received.keep(rest);
    }
}
