// SPDX-License-Identifier: Apache-2.0
//! The samples' echo server on a hub over TCP on the loopback interface, in a thread.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zephyr_websocket::CloseCode;
use zephyr_websocket::host::TcpNetwork;
use zephyr_websocket::hub::{Hub, Settings, Slot};

use super::support::*;

#[path = "../../samples/echo_server/src/echo.rs"]
mod echo;

/// Nothing here takes as long, unless it hangs.
pub const WATCHDOG: Duration = Duration::from_secs(20);

/// How long the server has to end its connections.
const WITHIN: Duration = Duration::from_millis(500);

/// A server that is stopped, and has to end, when this is dropped.
pub struct HubServer {
    pub address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl HubServer {
    pub fn start(slots: usize, buffer: usize, settings: Settings) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let is_asked = is_over.clone();
        let serve = move || {
            let network = TcpNetwork::new(listener)?;
            let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(slots).collect();
            let (mut rx, mut tx) = (vec![0; buffer * slots.len()], vec![0; buffer * slots.len()]);
            let mut hub = Hub::new(network, &mut slots, &mut rx, &mut tx, &settings).unwrap();
            let mut application = echo::Echo::new(None);
            while !is_asked.load(Ordering::Relaxed) {
                hub.turn(&mut application, Some(Duration::from_millis(20)))?;
            }
            hub.stop(CloseCode::GOING_AWAY, WITHIN);
            hub.run(&mut application)
        };
        Self { address, is_over, thread: Some(thread::spawn(serve)) }
    }

    /// Asks it to stop.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        stream
    }

    /// A connection on which the opening handshake is done. The server may have to see first that
    /// others have ended.
    pub fn open(&self) -> TcpStream {
        let started = Instant::now();
        loop {
            let mut stream = self.dial();
            // It may have been answered already.
            let _ = stream.write_all(&request());
            let mut response = Vec::new();
            while !response.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                response.push(byte[0]);
            }
            if response.starts_with(b"HTTP/1.1 101 ") {
                return stream;
            }
            assert!(response.starts_with(b"HTTP/1.1 503 "), "{}", response.escape_ascii());
            assert!(started.elapsed() < WATCHDOG, "no slot becomes free");
        }
    }

    /// What a new peer is answered that has nothing else to say: 101, or 503 of a full server.
    fn status(&self) -> Vec<u8> {
        let mut stream = self.dial();
        // It may have been answered, and ended, already.
        let _ = stream.write_all(&[request(), masked(CLOSE, b"")].concat());
        rest(stream)[9..12].to_vec()
    }

    pub fn assert_full(&self) {
        assert_eq!(self.status(), b"503");
    }

    /// Whatever happened before, the next connection is served.
    pub fn assert_serves(&self) {
        let mut stream = self.open();
        stream.write_all(&masked(FIN | TEXT, b"still there?")).unwrap();
        stream.write_all(&masked(CLOSE, &close_payload(1000, ""))).unwrap();
        let expected =
            [unmasked(FIN | TEXT, b"still there?"), unmasked(CLOSE, &close_payload(1000, ""))];
        assert_eq!(rest(stream), expected.concat());
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(Ok(())))), "the server has failed: {ended:?}");
        }
    }
}

/// What still comes until the peer ends its side.
pub fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}
