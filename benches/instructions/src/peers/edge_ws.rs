// SPDX-License-Identifier: Apache-2.0
//! Receives whole frames only, into a buffer that holds the longest.

use core::convert::Infallible;

use edge_ws::FrameType;
use embedded_io_async::{ErrorType, Read, Write};

use super::{block_on, right};
use crate::cases::{self, Role, Setup};
use crate::link::{KEY, put, read};

pub struct Peer<'m> {
    kind: FrameType,
    key: Option<u32>,
    payload: &'m [u8],
    buffer: &'m mut [u8],
}

struct Stream;

impl ErrorType for Stream {
    type Error = Infallible;
}

impl Read for Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(read(buffer))
    }
}

impl Write for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        put(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<'m> cases::Peer<'m> for Peer<'m> {
    const NAME: &'static str = "edge-ws";
    const CHECKS_UTF8: bool = false;

    fn new(setup: Setup<'m>) -> Self {
        let [buffer, _] = setup.buffers;
        Self {
            kind: if setup.text { FrameType::Text(false) } else { FrameType::Binary(false) },
            key: (setup.role == Role::Client).then_some(u32::from_be_bytes(KEY)),
            payload: setup.payload,
            buffer,
        }
    }

    fn receive(&mut self) {
        let received = block_on(edge_ws::io::recv(Stream, self.buffer));
        let (_, len) = right(received);
        put(&self.buffer[..len]);
    }

    fn send(&mut self) {
        right(block_on(edge_ws::io::send(Stream, self.kind, self.key, self.payload)));
    }
}
