// SPDX-License-Identifier: Apache-2.0
//! The crates `sha1_smol` and `base64ct`.

use base64ct::{Base64, Encoding};
use sha1_smol::Sha1;

use super::{Accept, Key};
use crate::buffer::copy;

/// Always succeeds.
pub(super) fn answer(key: &Key, accept: &mut Accept) -> bool {
    // One update of a known length: the compiler then sees that no index is out of bounds.
    let mut sha1 = Sha1::new();
    let mut text = [0; size_of::<super::Text>()];
    super::put_text(key, &mut text);
    sha1.update(&text);
    *accept = encode(&sha1.digest().bytes());
    true
}

pub(super) fn encode_key(nonce: &[u8; 16]) -> Key {
    encode(nonce)
}

/// The Base64 of `bytes`, padded to `N`.
fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [b'='; N];
    let mut left = bytes;
    for quartet in text.as_chunks_mut::<4>().0 {
        // Whole groups only, whose lengths the compiler knows: see `answer`.
        let mut group = [0; 3];
        let count = copy(&mut group, left);
        left = left.get(count..).unwrap_or_default();
        let mut digits = [0; 4];
        // Cannot fail: four digits are what three bytes take.
        let _ = Base64::encode(&group, &mut digits);
        copy(quartet, digits.get(..=count).unwrap_or_default());
    }
    text
}
