// SPDX-License-Identifier: Apache-2.0
//! This library's core.

use zephyr_websocket::{Client, Connection, MAX_HEADER_LEN, MaskingKey, Opcode, Role, Server};

use super::right;
use crate::cases::{self, Setup};
use crate::link::{self, PIECE, put, read};

pub struct Ours<'m, R: Role> {
    connection: Connection<R>,
    header: [u8; MAX_HEADER_LEN],
    opcode: Opcode,
    payload: &'m mut [u8],
    buffer: &'m mut [u8],
}

pub trait End: Role {
    const KEY: Self::Key;
}

impl End for Server {
    const KEY: () = ();
}

impl End for Client {
    const KEY: MaskingKey = link::KEY;
}

impl<'m, R: End> cases::Peer<'m> for Ours<'m, R> {
    const NAME: &'static str = "ours";
    const CHECKS_UTF8: bool = true;

    fn new(setup: Setup<'m>) -> Self {
        let [buffer, _] = setup.buffers;
        Self {
            connection: Connection::new(),
            header: [0; MAX_HEADER_LEN],
            opcode: if setup.text { Opcode::Text } else { Opcode::Binary },
            payload: setup.payload,
            buffer: &mut buffer[..PIECE],
        }
    }

    fn receive(&mut self) {
        loop {
            let end = read(self.buffer);
            let mut input = &mut self.buffer[..end];
            while let Some(frame) = right(self.connection.receive(&mut input)) {
                put(frame.payload);
                if frame.fin {
                    return;
                }
            }
        }
    }

    fn send(&mut self) {
        let len = self.payload.len();
        R::mask(&mut { R::KEY }, self.payload);
        put(right(self.connection.send(self.opcode, true, len, R::KEY, &mut self.header)));
        put(self.payload);
    }
}
