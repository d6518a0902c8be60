// SPDX-License-Identifier: Apache-2.0
//! Zephyr's PSA crypto, for images that have its SHA-1 anyway, and the Base64 of the compact
//! provider.

use super::{Accept, Key, base64};
use crate::zephyr::sha1;

/// Fails if the system's crypto does, and leaves `accept` as it was.
pub(super) fn answer(key: &Key, accept: &mut Accept) -> bool {
    let Some(digest) = sha1(&super::text(key)) else { return false };
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    base64::encode(&mut words, accept);
    accept[27] = b'=';
    true
}
