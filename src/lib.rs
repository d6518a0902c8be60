// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]
#![cfg_attr(not(feature = "zephyr"), forbid(unsafe_code))]
#![cfg_attr(feature = "zephyr", deny(unsafe_code))]

/// Reports what happens to a connection, where the feature `log` is enabled.
macro_rules! debug {
    ($($message:tt)*) => {
        #[cfg(feature = "log")]
        log::debug!($($message)*)
    };
}

mod buffer;
mod byte_stream;
mod close;
pub mod config;
mod connect;
mod connection;
mod error;
mod event;
mod frame;
pub mod handshake;
#[cfg(feature = "std")]
pub mod host;
pub mod hub;
mod incoming;
mod keepalive;
mod mask;
mod message;
mod outgoing;
mod reconnect;
mod role;
mod sender;
mod split;
mod transport;
mod url;
mod utf8;
mod websocket;
#[cfg(feature = "zephyr")]
#[allow(unsafe_code)]
pub mod zephyr;

pub use byte_stream::ByteStream;
pub use close::{CloseCode, CloseFrame};
pub use connect::{Connected, connect, connect_or_refused};
pub use connection::{Connection, State};
pub use error::{
    Blame, Error, KeepaliveTimeout, ProtocolError, RequestError, ResponseError, UsageError,
};
pub use event::{Event, MessageKind};
pub use frame::{Frame, MAX_CONTROL_PAYLOAD_LEN, MAX_HEADER_LEN, MaskingKey, Opcode};
pub use incoming::Incoming;
pub use keepalive::{Due, Keepalive};
pub use message::{Message, MessageBuffer};
pub use outgoing::MIN_TX_BUFFER;
pub use reconnect::{Backoff, MAX_RETRY_AFTER};
pub use role::{Client, KeySource, Role, Server};
pub use sender::Sender;
pub use split::{Handle, Lock, Locks, ReceiveHalf, SendHalf, Split, SplitTransport, Turn};
pub use transport::{Entropy, EntropyUnavailable, Transport};
pub use url::{Url, UrlError};
pub use websocket::{MIN_RX_BUFFER, WebSocket};
