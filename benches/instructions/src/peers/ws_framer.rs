// SPDX-License-Identifier: Apache-2.0
//! Receives whole messages only, into a buffer that holds the longest.

use ws_framer::{WsFrame, WsRxFramer, WsTxFramer};

use super::right;
use crate::cases::{self, Role, Setup};
use crate::link::{put, read};

pub struct Peer<'m> {
    receiver: WsRxFramer<'m>,
    sender: WsTxFramer<'m>,
    message: WsFrame<'m>,
}

impl<'m> cases::Peer<'m> for Peer<'m> {
    const NAME: &'static str = "ws-framer";
    const CHECKS_UTF8: bool = true;

    fn new(setup: Setup<'m>) -> Self {
        let [receive, send] = setup.buffers;
        Self {
            receiver: WsRxFramer::new(receive),
            sender: WsTxFramer::new(setup.role == Role::Client, send),
            message: if setup.text {
                WsFrame::Text(str::from_utf8(setup.payload).expect("ASCII"))
            } else {
                WsFrame::Binary(setup.payload)
            },
        }
    }

    fn receive(&mut self) {
        loop {
            let count = read(self.receiver.read_buf());
            self.receiver.advance(count);
            if let Some(frame) = self.receiver.next_frame() {
                return put(right(frame).data());
            }
        }
    }

    fn send(&mut self) {
        put(right(self.sender.frame(self.message.clone()).ok_or("the buffer is too small")));
    }
}
