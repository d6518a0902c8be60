// SPDX-License-Identifier: Apache-2.0
//! The opening handshake (RFC 6455 sections 1.3, 4 and RFC 9112), without I/O.
//!
//! A head (request or response line, fields, empty line) is gathered in the application's buffer,
//! which bounds it. [`server::Handshake`] and [`client::Handshake`] read it as it arrives, find
//! its end, and refuse what is no HTTP and no valid opening handshake. An application that
//! wants to know more looks at the head's fields with [`server::Request`] or [`Head`].

mod accept_key;
pub mod client;
mod head;
pub mod server;
mod status;
mod words;
mod writer;

pub use accept_key::{Accept, Key, accept};
pub use head::{Fields, Head};
pub use status::Status;
