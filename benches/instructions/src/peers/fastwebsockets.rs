// SPDX-License-Identifier: Apache-2.0
//! Draws its masking keys from its own generator.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use fastwebsockets::{Frame, OpCode, Payload, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{block_on, right};
use crate::cases::{self, Role, Setup};
use crate::link::{put, read_with};

pub struct Peer<'m> {
    websocket: WebSocket<Stream>,
    opcode: OpCode,
    payload: &'m mut [u8],
}

struct Stream;

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        read_with(buffer.remaining(), &mut |bytes| buffer.put_slice(bytes));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        slices.iter().for_each(|slice| put(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<'m> cases::Peer<'m> for Peer<'m> {
    const NAME: &'static str = "fastwebsockets";
    const CHECKS_UTF8: bool = true;

    fn new(setup: Setup<'m>) -> Self {
        let role = match setup.role {
            Role::Server => fastwebsockets::Role::Server,
            Role::Client => fastwebsockets::Role::Client,
        };
        Self {
            websocket: WebSocket::after_handshake(Stream, role),
            opcode: if setup.text { OpCode::Text } else { OpCode::Binary },
            payload: setup.payload,
        }
    }

    fn receive(&mut self) {
        let frame = right(block_on(self.websocket.read_frame()));
        put(&frame.payload);
    }

    fn send(&mut self) {
        let payload = Payload::BorrowedMut(self.payload);
        let frame = Frame::new(true, self.opcode, None, payload);
        right(block_on(self.websocket.write_frame(frame)));
    }
}
