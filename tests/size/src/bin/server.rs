// SPDX-License-Identifier: Apache-2.0
//! A whole echo server: opening handshake, messages, control frames, closing handshake.

#![no_std]
#![no_main]

use size::{BUFFER, Received, echo, send};
use zephyr_websocket::handshake::server::Handshake;
use zephyr_websocket::{Connection, Server};

#[unsafe(no_mangle)]
extern "C" fn main(buffer: &mut [u8; BUFFER]) {
    serve(Received { bytes: buffer, len: 0 });
}

fn serve(mut received: Received<'_>) -> Option<()> {
    let mut handshake = Handshake::new();
    let mut connection = None;
    loop {
        received.fill()?;
        let mut input = received.bytes.get_mut(..received.len)?;
        if connection.is_none() {
            if !handshake.read(input) && received.len < BUFFER {
                continue;
            }
            send(handshake.respond().as_bytes(), &[])?;
            handshake.verdict().ok()?;
            input = input.get_mut(handshake.head_len()..)?;
        }
        let connection = connection.get_or_insert(Connection::<Server>::new());
        let rest = echo(connection, input, || ())?;
        received.keep(rest);
    }
}
