// SPDX-License-Identifier: Apache-2.0
//! What the targets share: an input read as a script, a receiver that checks each of its steps,
//! and HTTP heads as httparse reads them.

#[path = "../../tests/support/mod.rs"]
pub mod support;

pub mod http;
pub mod receiving;
pub mod script;
