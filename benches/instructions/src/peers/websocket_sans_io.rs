// SPDX-License-Identifier: Apache-2.0

use websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent as Event,
};

use super::right;
use crate::cases::{self, Role, Setup};
use crate::link::{KEY, PIECE, put, read};

pub struct Peer<'m> {
    decoder: WebsocketFrameDecoder,
    encoder: WebsocketFrameEncoder,
    role: Role,
    opcode: Opcode,
    payload: &'m mut [u8],
    buffer: &'m mut [u8],
}

impl<'m> cases::Peer<'m> for Peer<'m> {
    const NAME: &'static str = "websocket-sans-io";
    const CHECKS_UTF8: bool = false;

    fn new(setup: Setup<'m>) -> Self {
        let [buffer, _] = setup.buffers;
        Self {
            decoder: WebsocketFrameDecoder::new(),
            encoder: WebsocketFrameEncoder::new(),
            role: setup.role,
            opcode: if setup.text { Opcode::Text } else { Opcode::Binary },
            payload: setup.payload,
            buffer: &mut buffer[..PIECE],
        }
    }

    fn receive(&mut self) {
        loop {
            let end = read(self.buffer);
            let mut start = 0;
            loop {
                let input = &mut self.buffer[start..end];
                let result = right(self.decoder.add_data(input));
                match result.event {
                    Some(Event::PayloadChunk { .. }) => put(&input[..result.consumed_bytes]),
                    Some(Event::Start { frame_info, .. }) => {
                        assert!(frame_info.is_reasonable());
                        assert!(frame_info.mask.is_some() == (self.role == Role::Server));
                    }
                    Some(Event::End { .. }) => return,
                    None if result.consumed_bytes == 0 => break,
                    None => {}
                }
                start += result.consumed_bytes;
            }
        }
    }

    fn send(&mut self) {
        let header = self.encoder.start_frame(&FrameInfo {
            opcode: self.opcode,
            payload_length: self.payload.len() as u64,
            mask: (self.role == Role::Client).then_some(KEY),
            fin: true,
            reserved: 0,
        });
        self.encoder.transform_frame_payload(self.payload);
        put(&header);
        put(self.payload);
    }
}
