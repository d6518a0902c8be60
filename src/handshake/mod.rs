// SPDX-License-Identifier: Apache-2.0
//! The opening handshake (RFC 6455 sections 1.3, 4 and RFC 9112), without I/O.
//!
//! A head (request or response line, fields, empty line) is gathered in the application's buffer,
//! which bounds it. [`HeadScanner`] looks at each byte once, finds the head's end and refuses what
//! is no HTTP; [`server::Request`] and [`client::Request`] read and write what stands in it.

mod accept_key;
pub mod client;
mod head;
pub mod server;
mod status;
mod writer;

pub use accept_key::{Accept, Key, accept};
pub use head::{Fields, Head, HeadScanner, Malformed};
pub use status::Status;
