// SPDX-License-Identifier: Apache-2.0
//! WebSockets behind Zephyr's HTTP server (`CONFIG_RUST_WEBSOCKET_HTTP_SERVER`).
//!
//! Zephyr's server serves the pages, over HTTP or HTTPS, and answers the opening handshake with
//! 101. A [`Hub`](crate::hub::Hub) with an [`HttpNetwork`] takes the connection over. The resource
//! is defined in C, beside the pages:
//!
//! ```c
//! #include <zephyr_websocket/http.h>
//!
//! static uint16_t port = 80;
//! HTTP_SERVICE_DEFINE(web, NULL, &port, 4, 4, NULL, NULL);
//! RUST_WEBSOCKET_HTTP_RESOURCE(live, web, "/live");
//! ```
//!
//! ```ignore
//! let mut hub = Hub::new(HttpNetwork::new(), slots, rx, tx, &settings)?;
//! http::start()?;
//! hub.run(&mut application)?;
//! ```
//!
//! # What this adds
//! - Zephyr 4.2 asks for `Upgrade: websocket` and `Connection: Upgrade`, and for nothing else. Here
//!   the method, the HTTP version, `Host`, `Sec-WebSocket-Key` and `Sec-WebSocket-Version` are
//!   checked as in any other opening handshake (RFC 6455 section 4.2.1). A wrong one is closed with
//!   1002.
//! - [`Application::open`](crate::hub::Application::open) is asked, and sees the resource name, the
//!   origin, the offered subprotocols, and what else the application lets Zephyr capture by
//!   `HTTP_SERVER_REGISTER_HEADER_CAPTURE()`. What it refuses is closed with 1008, or with 1011 or
//!   1013 for a status from 500 on.
//! - Zephyr's WebSocket, which the connection comes in, is released at once, and so is its place
//!   among the clients of pages: `CONFIG_WEBSOCKET_MAX_CONTEXTS` needs no more than 1, and
//!   `CONFIG_HTTP_SERVER_MAX_CLIENTS` counts pages alone.
//! - What the peer has sent together with its request, and Zephyr would forget, is received.
//!
//! # What this cannot do
//! - Zephyr has answered already: there is no HTTP status for what is refused, no subprotocol is
//!   agreed, and fields of an acceptance are not sent. A browser that asked for a subprotocol
//!   closes the connection itself.
//! - A request of which Zephyr had to drop a field is closed with 1009, and so is one that does not
//!   fit the receive buffer. See `CONFIG_HTTP_SERVER_MAX_HEADER_LEN`, `_CAPTURE_HEADER_COUNT` and
//!   `_CAPTURE_HEADER_BUFFER_SIZE`.
//! - Zephyr has no WebSockets over HTTP/2 (RFC 8441). Browsers use HTTP/1.1 for them then.
//! - On `native_sim` the server needs a C library of Zephyr's, such as `CONFIG_PICOLIBC=y`.

use core::ffi::c_int;
use core::time::Duration;

use super::error::Error;
use super::ffi;
use super::handover::bounded;
use super::network::{STREAMS, wait_for};
use super::tcp::TcpStream;
use super::uptime_ms;
use crate::config::POLL_MAX;
use crate::hub::{Network, Waiting};

/// Starts Zephyr's HTTP server with all its services. Nothing happens if it runs already.
///
/// # Errors
/// None in Zephyr 4.2; that the server cannot listen is in Zephyr's log.
pub fn start() -> Result<(), Error> {
    Error::check(ffi::rust_websocket_http_start()).map(drop)
}

/// Stops Zephyr's HTTP server. The WebSockets that it has handed over go on.
///
/// # Errors
/// None in Zephyr 4.2.
pub fn stop() -> Result<(), Error> {
    Error::check(ffi::rust_websocket_http_stop()).map(drop)
}

/// The [`Network`] of a hub whose connections come from Zephyr's HTTP server: see the
/// [module](self).
///
/// They are [upgraded](Network::UPGRADED), and wait here until the hub has a slot: for how many
/// there is room, `CONFIG_RUST_WEBSOCKET_HTTP_QUEUE_SIZE` says, and more are closed with 1013. As
/// long as there is no `HttpNetwork` at all they are closed with 1001, and so are those that still
/// wait when the last one is dropped.
#[derive(Debug)]
pub struct HttpNetwork {
    /// Readable while a connection waits; negative if Zephyr had none.
    event: c_int,
}

impl HttpNetwork {
    /// From now on connections are handed over.
    ///
    /// They wake the hub if `CONFIG_ZVFS_EVENTFD_MAX` has one for it beside Zephyr's own server;
    /// otherwise it looks for them every 20 ms.
    #[must_use]
    pub fn new() -> Self {
        // Zephyr counts a socket twice that is waited for in both directions.
        const {
            assert!(
                POLL_MAX > 2 * STREAMS,
                "raise CONFIG_ZVFS_POLL_MAX to 2 * CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS + 3"
            );
        }
        Self { event: ffi::rust_websocket_http_open() }
    }
}

impl Default for HttpNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for HttpNetwork {
    fn drop(&mut self) {
        ffi::rust_websocket_http_close();
    }
}

impl Network for HttpNetwork {
    type Stream = TcpStream;

    const UPGRADED: bool = true;

    fn now_ms(&mut self) -> u64 {
        uptime_ms()
    }

    fn accept(&mut self) -> Result<TcpStream, Error> {
        self.accept_into(&mut []).map(|(stream, _)| stream)
    }

    fn accept_into(&mut self, buffer: &mut [u8]) -> Result<(TcpStream, usize), Error> {
        let mut len = 0;
        // SAFETY: the pointer and the size are those of one exclusively borrowed slice, and the
        // other pointer is that of a local variable.
        let fd =
            unsafe { ffi::rust_websocket_http_take(buffer.as_mut_ptr(), buffer.len(), &mut len) };
        Ok((TcpStream::from_returned(fd)?, len))
    }

    fn wait<'w, W: Waiting<TcpStream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let timeout = if self.event < 0 { bounded(accepting, timeout) } else { timeout };
        wait_for(&[if accepting { self.event } else { -1 }], streams, timeout)
    }
}
