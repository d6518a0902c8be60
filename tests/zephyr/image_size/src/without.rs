// SPDX-License-Identifier: Apache-2.0
//! Plain TCP: what arrives goes back.

use embedded_io::{Read, Write};
use zephyr_websocket::zephyr::TcpStream;

use crate::BUFFER_SIZE;

pub struct Echo;

impl Echo {
    pub fn take() -> Self {
        Self
    }

    pub fn serve(&mut self, stream: &mut TcpStream, buffer: &mut [u8; BUFFER_SIZE]) -> Option<()> {
        loop {
            let count = stream.read(buffer).ok()?;
            let received = buffer.get(..count)?;
            if received.is_empty() {
                return Some(());
            }
            stream.write_all(received).ok()?;
        }
    }
}
