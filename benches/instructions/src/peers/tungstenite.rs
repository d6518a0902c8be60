// SPDX-License-Identifier: Apache-2.0
//! Draws its masking keys from its own generator.

use std::io::{self, Read, Write};

use tungstenite::protocol::{self, Message, WebSocket, WebSocketConfig};
use tungstenite::{Bytes, Utf8Bytes};

use super::right;
use crate::cases::{self, Role, Setup};
use crate::link::{PIECE, put, read};

pub struct Peer {
    websocket: WebSocket<Stream>,
    message: Message,
}

struct Stream;

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'m> cases::Peer<'m> for Peer {
    const NAME: &'static str = "tungstenite";
    const CHECKS_UTF8: bool = true;

    fn new(setup: Setup<'m>) -> Self {
        let role = match setup.role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        let bytes = Bytes::copy_from_slice(setup.payload);
        let message = if setup.text {
            Message::Text(Utf8Bytes::try_from(bytes).expect("ASCII"))
        } else {
            Message::Binary(bytes)
        };
        let config = WebSocketConfig::default().read_buffer_size(PIECE);
        Self { websocket: WebSocket::from_raw_socket(Stream, role, Some(config)), message }
    }

    fn receive(&mut self) {
        match right(self.websocket.read()) {
            Message::Text(text) => put(text.as_bytes()),
            Message::Binary(bytes) => put(&bytes),
            other => unreachable!("{other}"),
        }
    }

    fn send(&mut self) {
        // Shares the payload, which is copied or masked into the write buffer.
        right(self.websocket.send(self.message.clone()));
    }
}
