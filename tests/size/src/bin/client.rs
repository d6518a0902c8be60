// SPDX-License-Identifier: Apache-2.0
//! A whole client that echoes: opening handshake, messages, control frames, closing handshake.

#![no_std]
#![no_main]

use size::{BUFFER, Received, echo, entropy, send};
use zephyr_websocket::handshake::client::{Handshake, Request};
use zephyr_websocket::{Client, Connection};

#[unsafe(no_mangle)]
extern "C" fn main(buffer: &mut [u8; BUFFER]) {
    serve(Received { bytes: buffer, len: 0 });
}

fn serve(mut received: Received<'_>) -> Option<()> {
    let request = Request::new("example.com", "/chat");
    let mut nonce = [0; 16];
    entropy(&mut nonce);
    let key = Request::key(&nonce);
    let len = request.encode(&key, received.bytes).ok()?;
    send(received.bytes.get(..len)?, &[])?;
    let mut handshake = Handshake::new(&request, &key);
    let mut connection = None;
    loop {
        received.fill()?;
        let mut input = received.bytes.get_mut(..received.len)?;
        if connection.is_none() {
            if !handshake.read(input) {
                continue;
            }
            handshake.verdict().ok()?;
            input = input.get_mut(handshake.head_len()..)?;
        }
        let connection = connection.get_or_insert(Connection::<Client>::new());
        let rest = echo(connection, input, || {
            let mut key = [0; 4];
            entropy(&mut key);
            key
        })?;
        received.keep(rest);
    }
}
