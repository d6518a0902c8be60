// SPDX-License-Identifier: Apache-2.0
//! Zephyr's TCP sockets, time and entropy.
//!
//! The functions behind this are in the C half of the module (`zephyr/shim.c`), which Zephyr's
//! build compiles when `CONFIG_RUST_WEBSOCKET` is enabled. This is the only place of the crate with
//! `unsafe` code. Nothing here allocates.

mod entropy;
mod error;
mod ffi;
mod handle;
mod handover;
#[cfg(zephyr_http)]
pub mod http;
mod mutex;
mod network;
mod poll;
#[cfg(accept_key = "psa")]
mod sha1;
mod tcp;
mod usage;

#[cfg(zephyr_tls)]
pub mod tls;

pub use crate::config;
pub use entropy::Csprng;
pub use error::Error;
pub use handle::TcpHandle;
pub use handover::{HandOver, HandedOver};
#[cfg(zephyr_http)]
pub use http::HttpNetwork;
pub use mutex::{Mutex, Mutexes};
pub use network::TcpNetwork;
pub use poll::{PollSocket, poll};
#[cfg(accept_key = "psa")]
pub(crate) use sha1::sha1;
pub use tcp::{Keepalive, TcpListener, TcpStream};
pub use usage::{InUse, Usage, usage};

/// The time since the system started, in milliseconds.
pub fn uptime_ms() -> u64 {
    // Zephyr counts from 0.
    ffi::rust_websocket_uptime_ms().unsigned_abs()
}
