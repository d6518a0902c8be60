// SPDX-License-Identifier: Apache-2.0

use super::ffi;
use crate::transport::{Entropy, EntropyUnavailable};

/// Zephyr's cryptographically secure random number generator (`sys_csrand_get`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Csprng;

impl Entropy for Csprng {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        // SAFETY: the pointer and the length are those of one exclusively borrowed slice.
        match unsafe { ffi::rust_websocket_csrand(bytes.as_mut_ptr().cast(), bytes.len()) } {
            0 => Ok(()),
            _ => Err(EntropyUnavailable),
        }
    }
}
