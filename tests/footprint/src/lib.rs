// SPDX-License-Identifier: Apache-2.0
//! What every application here stands on: sockets that are not linked, and no way to panic.

#![no_std]

use core::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use zephyr_websocket::{Entropy, EntropyUnavailable, Event, KeySource, Transport, WebSocket};

unsafe extern "C" {
    safe fn socket_receive(buffer: &mut u8, len: usize) -> isize;
    safe fn socket_send(head: &u8, head_len: usize, payload: &u8, payload_len: usize) -> isize;
    safe fn socket_shutdown() -> isize;
    safe fn socket_deadline(milliseconds: u32);
    safe fn socket_entropy(buffer: &mut u8, len: usize) -> isize;
    /// Nothing defines it: an application in which a panic is left does not link.
    safe fn a_panic_is_left_in_this_image() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_left_in_this_image()
}

/// A connected socket.
pub struct Socket;

/// What the socket layer says when it fails.
#[derive(Debug)]
pub struct Errno(i8);

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Errno {}

impl Error for Errno {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            -11 => ErrorKind::TimedOut,
            -4 => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        }
    }
}

fn counted(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(result as i8))
}

const NO_BYTE: u8 = 0;

impl ErrorType for Socket {
    type Error = Errno;
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let len = buffer.len();
        buffer.first_mut().map_or(Ok(0), |first| counted(socket_receive(first, len)))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.write_gather(bytes, &[])
    }

    fn flush(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

impl Transport for Socket {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Errno> {
        counted(socket_send(
            head.first().unwrap_or(&NO_BYTE),
            head.len(),
            payload.first().unwrap_or(&NO_BYTE),
            payload.len(),
        ))
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        socket_deadline(after.map_or(u32::MAX, |after| {
            (after.as_secs() as u32).wrapping_mul(1000).wrapping_add(after.subsec_millis())
        }));
    }

    fn shutdown(&mut self) -> Result<(), Errno> {
        counted(socket_shutdown()).map(|_| ())
    }
}

impl Entropy for Socket {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        let len = bytes.len();
        let Some(first) = bytes.first_mut() else { return Ok(()) };
        counted(socket_entropy(first, len)).map_or(Err(EntropyUnavailable), |_| Ok(()))
    }
}

/// Echoes until the connection ends.
pub fn echo<R: KeySource>(
    mut websocket: WebSocket<'_, Socket, R>,
) -> Result<(), zephyr_websocket::Error<Errno>> {
    loop {
        let (event, sender) = match websocket.receive() {
            Ok(received) => received,
            Err(error) => {
                websocket.finish(Duration::from_secs(1));
                return Err(error);
            }
        };
        match event {
            Event::Data { kind, payload, fin } => sender.send_fragment(kind, payload, fin)?,
            Event::Close(_) => break,
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    websocket.finish(Duration::from_secs(1));
    Ok(())
}
