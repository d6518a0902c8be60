// SPDX-License-Identifier: Apache-2.0
//! What the application chose in Kconfig (`CONFIG_RUST_WEBSOCKET_*`, described there).
//!
//! Outside a Zephyr build these are the defaults.

use core::time::Duration;

#[cfg(feature = "zephyr")]
use crate::zephyr::Keepalive;

#[cfg_attr(not(feature = "zephyr"), allow(dead_code, reason = "some are for sockets of Zephyr"))]
mod kconfig {
    include!(concat!(env!("OUT_DIR"), "/kconfig.rs"));
}

/// How many sockets Zephyr's poll can wait for: `CONFIG_ZVFS_POLL_MAX`.
#[cfg(feature = "zephyr")]
pub(crate) const POLL_MAX: usize = kconfig::POLL_MAX as usize;

/// Size of the receive buffer of one connection, in bytes: `CONFIG_RUST_WEBSOCKET_RX_BUFFER_SIZE`.
pub const RX_BUFFER_SIZE: usize = kconfig::RX_BUFFER_SIZE as usize;

/// Size of the transmit buffer of one connection, in bytes:
/// `CONFIG_RUST_WEBSOCKET_TX_BUFFER_SIZE`.
pub const TX_BUFFER_SIZE: usize = kconfig::TX_BUFFER_SIZE as usize;

/// Length of the longest message that is assembled as a whole, in bytes:
/// `CONFIG_RUST_WEBSOCKET_MAX_MESSAGE_SIZE`.
pub const MAX_MESSAGE_SIZE: usize = kconfig::MAX_MESSAGE_SIZE as usize;

/// How many connections a server serves at a time: `CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS`.
pub const MAX_CONNECTIONS: usize = kconfig::MAX_CONNECTIONS as usize;

/// How many connections may wait to be accepted: `CONFIG_RUST_WEBSOCKET_LISTEN_BACKLOG`.
pub const LISTEN_BACKLOG: usize = kconfig::LISTEN_BACKLOG as usize;

/// Time for a TCP connection to be established, with TLS including the TLS handshake:
/// `CONFIG_RUST_WEBSOCKET_CONNECT_TIMEOUT_MS`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(kconfig::CONNECT_TIMEOUT_MS as u64);

/// Time for the opening handshake: `CONFIG_RUST_WEBSOCKET_HANDSHAKE_TIMEOUT_MS`.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(kconfig::HANDSHAKE_TIMEOUT_MS as u64);

/// Time for the peer to take what is sent: `CONFIG_RUST_WEBSOCKET_SEND_TIMEOUT_MS`.
pub const SEND_TIMEOUT: Duration = Duration::from_millis(kconfig::SEND_TIMEOUT_MS as u64);

/// Time for the closing handshake: `CONFIG_RUST_WEBSOCKET_CLOSE_TIMEOUT_MS`.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(kconfig::CLOSE_TIMEOUT_MS as u64);

/// When TCP asks a silent peer for a sign of life, for every connection at first:
/// `CONFIG_RUST_WEBSOCKET_KEEPALIVE_IDLE_S`, `_INTERVAL_S` and `_COUNT`.
#[cfg(feature = "zephyr")]
pub const KEEPALIVE: Option<Keepalive> = if kconfig::KEEPALIVE_IDLE_S == 0 {
    None
} else {
    Some(Keepalive {
        idle: Duration::from_secs(kconfig::KEEPALIVE_IDLE_S as u64),
        interval: Duration::from_secs(kconfig::KEEPALIVE_INTERVAL_S as u64),
        count: kconfig::KEEPALIVE_COUNT as u8,
    })
};

/// Time without a sign of life before a Ping is sent: `CONFIG_RUST_WEBSOCKET_PING_INTERVAL_MS`,
/// `None` if that is 0.
pub const PING_INTERVAL: Option<Duration> = optional(kconfig::PING_INTERVAL_MS);

/// Time for a sign of life after a Ping: `CONFIG_RUST_WEBSOCKET_PONG_TIMEOUT_MS`.
pub const PONG_TIMEOUT: Duration = Duration::from_millis(kconfig::PONG_TIMEOUT_MS as u64);

/// Time without a message before a connection is closed: `CONFIG_RUST_WEBSOCKET_IDLE_TIMEOUT_MS`,
/// `None` if that is 0.
pub const IDLE_TIMEOUT: Option<Duration> = optional(kconfig::IDLE_TIMEOUT_MS);

const fn optional(ms: u32) -> Option<Duration> {
    if ms == 0 { None } else { Some(Duration::from_millis(ms as u64)) }
}
