// SPDX-License-Identifier: Apache-2.0
//! What every job stands on: sockets that are not linked, no way to panic, and the echo.

#![no_std]

use zephyr_websocket::{Connection, MAX_HEADER_LEN, Opcode, Role};

unsafe extern "C" {
    /// Receives up to `len` bytes and returns how many, 0 at the end and less than 0 on failure.
    safe fn socket_receive(buffer: *mut u8, len: usize) -> isize;
    /// Sends all of both, and returns less than 0 on failure.
    safe fn socket_send(
        head: *const u8,
        head_len: usize,
        payload: *const u8,
        payload_len: usize,
    ) -> isize;
    /// Writes `len` random bytes.
    safe fn socket_entropy(buffer: *mut u8, len: usize);
    /// Nothing defines it: a job in which a panic is left does not link.
    safe fn a_panic_is_left_in_this_image() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_left_in_this_image()
}

/// How much a job's receive buffer holds.
pub const BUFFER: usize = 1024;

/// What has arrived and is not consumed: the first `len` bytes.
pub struct Received<'b> {
    pub bytes: &'b mut [u8; BUFFER],
    pub len: usize,
}

impl Received<'_> {
    /// Receives into the free room.
    pub fn fill(&mut self) -> Option<()> {
        let count = receive(self.bytes.get_mut(self.len..)?)?;
        if count == 0 {
            return None;
        }
        self.len = self.len.wrapping_add(count);
        Some(())
    }

    /// Leaves only the last `rest` bytes.
    #[inline(never)]
    pub fn keep(&mut self, rest: usize) {
        let start = self.len.wrapping_sub(rest);
        if let Some(received) = self.bytes.get_mut(..self.len)
            && start <= received.len()
        {
            received.copy_within(start.., 0);
        }
        self.len = rest;
    }
}

/// Receives once, and returns how many bytes came; 0 at the end.
#[inline(always)]
pub fn receive(room: &mut [u8]) -> Option<usize> {
    let count = socket_receive(room.as_mut_ptr(), room.len());
    (count >= 0).then_some(count as usize)
}

/// Sends both in one call of the socket.
pub fn send(head: &[u8], payload: &[u8]) -> Option<()> {
    let sent = socket_send(head.as_ptr(), head.len(), payload.as_ptr(), payload.len());
    (sent >= 0).then_some(())
}

/// Fills `bytes` with random ones.
pub fn entropy(bytes: &mut [u8]) {
    socket_entropy(bytes.as_mut_ptr(), bytes.len());
}

/// Echoes the frames in `input`, and returns how much of it is left.
#[inline(always)]
pub fn echo<R: Role>(
    connection: &mut Connection<R>,
    mut input: &mut [u8],
    new_key: impl Fn() -> R::Key,
) -> Option<usize> {
    loop {
        let mut failure;
        let (opcode, fin, payload) = match connection.receive(&mut input) {
            Ok(None) => return Some(input.len()),
            Ok(Some(frame)) => match frame.opcode {
                Opcode::Pong => continue,
                Opcode::Ping => (Opcode::Pong, true, frame.payload),
                opcode => (opcode, frame.fin, frame.payload),
            },
            Err(error) => {
                failure = error.close_code().to_be_bytes();
                (Opcode::Close, true, &mut failure[..])
            }
        };
        let mut key = new_key();
        let mut header = [0; MAX_HEADER_LEN];
        let header = connection.send(opcode, fin, payload.len(), key, &mut header).ok()?;
        R::mask(&mut key, payload);
        send(header, payload)?;
    }
}
