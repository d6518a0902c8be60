// SPDX-License-Identifier: Apache-2.0
//! Zephyr's PSA crypto, for images that have its SHA-1 anyway, and the Base64 of the compact
//! provider.

use super::{Accept, Key, base64};
use crate::zephyr::sha1;

/// Fails if the system's crypto does, and leaves `accept` as it was.
pub(super) fn answer(key: &Key, accept: &mut Accept) -> bool {
    let mut text = [0; size_of::<super::Text>()];
    super::put_text(key, &mut text);
    let mut words = [0; 5];
    if !sha1(&text, &mut words) {
        return false;
    }
    base64::encode(&mut words, accept);
    accept[27] = b'=';
    true
}
