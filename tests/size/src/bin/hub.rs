// SPDX-License-Identifier: Apache-2.0
//! The echo server on a hub. How many connections it has does not change its code; here it is one.

#![no_std]
#![no_main]

use core::fmt;
use core::iter;
use core::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use size::{BUFFER, receive, send};
use zephyr_websocket::hub::{
    Application, Hub, Network, PeerId, Peers, Readiness, Settings, Slot, Waiting,
};
use zephyr_websocket::{CloseCode, MessageKind, Transport};

/// The only connection there will be.
struct Socket;

#[derive(Clone, Copy, Debug)]
struct Failure(ErrorKind);

impl fmt::Display for Failure {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl core::error::Error for Failure {}

impl embedded_io::Error for Failure {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl ErrorType for Socket {
    type Error = Failure;
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Failure> {
        receive(bytes).ok_or(Failure(ErrorKind::Other))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        self.write_gather(bytes, &[])
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Transport for Socket {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Failure> {
        send(head, payload).ok_or(Failure(ErrorKind::Other))?;
        Ok(head.len().wrapping_add(payload.len()))
    }

    fn set_deadline(&mut self, _: Option<Duration>) {}

    fn shutdown(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Where that connection comes from.
struct Once(Option<Socket>);

impl Network for Once {
    type Stream = Socket;

    fn now_ms(&mut self) -> u64 {
        0
    }

    fn accept(&mut self) -> Result<Socket, Failure> {
        self.0.take().ok_or(Failure(ErrorKind::TimedOut))
    }

    fn wait<'w, W: Waiting<Socket> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        _: bool,
        _: Option<Duration>,
    ) -> Result<(), Failure> {
        let mut is_over = self.0.is_none();
        for stream in streams {
            if stream.interest().is_some() {
                stream.set_ready(Readiness { readable: true, writable: true });
                is_over = false;
            }
        }
        if is_over { Err(Failure(ErrorKind::Other)) } else { Ok(()) }
    }
}

struct Echo;

impl Application for Echo {
    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
    ) {
        if peers.send_fragment(peer, kind, payload, fin).is_err() {
            let _ = peers.close(peer, Some(CloseCode::INTERNAL_ERROR), "");
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(buffer: &mut [u8; BUFFER]) {
    let mut slots = [const { Slot::new() }; 1];
    // Room for what a receive buffer holds.
    let mut tx = [0; BUFFER + 160];
    let network = Once(Some(Socket));
    if let Ok(mut hub) = Hub::new(network, &mut slots, buffer, &mut tx, &Settings::default()) {
        // Ends with the connection.
        let _ = iter::repeat_with(|| hub.turn(&mut Echo, None)).find(Result::is_err);
    }
}
