// SPDX-License-Identifier: Apache-2.0
//! The crates `sha1_smol` and `base64ct`.

use base64ct::{Base64, Encoding};
use sha1_smol::Sha1;

use super::{Accept, Key};

/// Always succeeds.
pub(super) fn answer(key: &Key, accept: &mut Accept) -> bool {
    // One update of a known length: the compiler then sees that no index is out of bounds.
    let mut sha1 = Sha1::new();
    let mut text = [0; size_of::<super::Text>()];
    super::put_text(key, &mut text);
    sha1.update(&text);
    let mut digest = [0; 21];
    if let Some(bytes) = digest.first_chunk_mut() {
        *bytes = sha1.digest().bytes();
    }
    encode(&digest, accept);
    accept[27] = b'=';
    true
}

pub(super) fn encode_key(nonce: &[u8; 16]) -> Key {
    let mut bytes = [0; 18];
    if let Some(first) = bytes.first_chunk_mut() {
        *first = *nonce;
    }
    let mut key = [0; size_of::<Key>()];
    encode(&bytes, &mut key);
    key[22] = b'=';
    key[23] = b'=';
    key
}

/// The Base64 of `bytes`, which are whole groups of three; the caller pads.
fn encode(bytes: &[u8], text: &mut [u8]) {
    for (group, digits) in bytes.as_chunks::<3>().0.iter().zip(text.as_chunks_mut::<4>().0) {
        // Groups, whose lengths the compiler knows: see `answer`. Cannot fail: four digits are
        // what three bytes take.
        let _ = Base64::encode(group, digits);
    }
}
