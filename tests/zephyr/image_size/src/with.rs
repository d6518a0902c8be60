// SPDX-License-Identifier: Apache-2.0
//! WebSocket: the opening handshake, messages, control frames and the closing handshake, on the
//! core without I/O.

use embedded_io::Read;
use static_cell::ConstStaticCell;
use zephyr_websocket::handshake::server::Handshake;
use zephyr_websocket::zephyr::TcpStream;
use zephyr_websocket::{Connection, MAX_HEADER_LEN, Opcode, Server, Transport};

use crate::BUFFER_SIZE;

static CONNECTION: ConstStaticCell<Connection<Server>> = ConstStaticCell::new(Connection::new());

pub struct Echo(&'static mut Connection<Server>);

impl Echo {
    pub fn take() -> Self {
        Self(CONNECTION.take())
    }

    pub fn serve(&mut self, stream: &mut TcpStream, buffer: &mut [u8; BUFFER_SIZE]) -> Option<()> {
        *self.0 = Connection::new();
        let mut handshake = Handshake::new();
        let mut is_open = false;
        // What has arrived and is not consumed: the first `len` bytes of the buffer.
        let mut len = 0usize;
        loop {
            let count = stream.read(buffer.get_mut(len..)?).ok()?;
            if count == 0 {
                return Some(());
            }
            len = len.wrapping_add(count);
            let mut input = buffer.get_mut(..len)?;
            if !is_open {
                if !handshake.read(input) && len < BUFFER_SIZE {
                    continue;
                }
                send(stream, handshake.respond().as_bytes(), &[])?;
                handshake.verdict().ok()?;
                input = input.get_mut(handshake.head_len()..)?;
                is_open = true;
            }
            let rest = echo(self.0, stream, input)?;
            // Never many bytes: memmove would add more code than it saves time.
            for at in 0..rest {
                let byte = *buffer.get(len.wrapping_sub(rest).wrapping_add(at))?;
                *buffer.get_mut(at)? = byte;
            }
            len = rest;
        }
    }
}

/// Echoes the frames in `input`, and returns how much of it is left.
fn echo(
    connection: &mut Connection<Server>,
    stream: &mut TcpStream,
    mut input: &mut [u8],
) -> Option<usize> {
    loop {
        let failure;
        let (opcode, fin, payload) = match connection.receive(&mut input) {
            Ok(None) => return Some(input.len()),
            Ok(Some(frame)) => match frame.opcode {
                Opcode::Pong => continue,
                Opcode::Ping => (Opcode::Pong, true, &*frame.payload),
                opcode => (opcode, frame.fin, &*frame.payload),
            },
            Err(error) => {
                failure = error.close_code().to_be_bytes();
                (Opcode::Close, true, &failure[..])
            }
        };
        let mut header = [0; MAX_HEADER_LEN];
        let header = connection.send(opcode, fin, payload.len(), (), &mut header).ok()?;
        send(stream, header, payload)?;
    }
}

fn send(stream: &mut TcpStream, mut head: &[u8], mut payload: &[u8]) -> Option<()> {
    while !head.is_empty() || !payload.is_empty() {
        let sent = stream.write_gather(head, payload).ok()?;
        let of_head = sent.min(head.len());
        head = head.get(of_head..)?;
        payload = payload.get(sent.wrapping_sub(of_head)..)?;
    }
    Some(())
}
