// SPDX-License-Identifier: Apache-2.0
//! Copies while it unmasks, from one buffer to the other.

use embedded_websocket::{
    Client, EmptyRng, Server, WebSocket, WebSocketClient, WebSocketSendMessageType,
    WebSocketServer, WebSocketState, WebSocketType,
};

use super::right;
use crate::cases::{self, Setup};
use crate::link::{PIECE, put, read};

pub struct Peer<'m, T: WebSocketType> {
    websocket: WebSocket<EmptyRng, T>,
    kind: WebSocketSendMessageType,
    payload: &'m [u8],
    buffers: [&'m mut [u8]; 2],
}

pub trait End: WebSocketType + Sized {
    fn websocket() -> WebSocket<EmptyRng, Self>;
}

impl End for Server {
    fn websocket() -> WebSocketServer {
        WebSocketServer::new_server()
    }
}

impl End for Client {
    fn websocket() -> WebSocketClient<EmptyRng> {
        WebSocketClient::new_client(EmptyRng::new())
    }
}

impl<'m, T: End> cases::Peer<'m> for Peer<'m, T> {
    const NAME: &'static str = "embedded-websocket";
    const CHECKS_UTF8: bool = false;

    fn new(setup: Setup<'m>) -> Self {
        let mut websocket = T::websocket();
        websocket.state = WebSocketState::Open;
        Self {
            websocket,
            kind: if setup.text {
                WebSocketSendMessageType::Text
            } else {
                WebSocketSendMessageType::Binary
            },
            payload: setup.payload,
            buffers: setup.buffers,
        }
    }

    fn receive(&mut self) {
        let [from, to] = &mut self.buffers;
        let (from, to) = (&mut from[..PIECE], &mut to[..PIECE]);
        loop {
            let end = read(from);
            let mut start = 0;
            while start < end {
                let from = &from[start..end];
                let result = right(self.websocket.read(from, to));
                put(&to[..result.len_to]);
                if result.end_of_message {
                    return;
                }
                start += result.len_from;
            }
        }
    }

    fn send(&mut self) {
        let [_, to] = &mut self.buffers;
        let len = right(self.websocket.write(self.kind, true, self.payload, to));
        put(&to[..len]);
    }
}
