// SPDX-License-Identifier: Apache-2.0
//! Base64 (RFC 4648 section 4) of up to 160 bits, in few bytes of code.

use super::Key;

/// Writes digits to all of `text`, and shifts what they stand for out of `words`, whose first word
/// is the most significant. The caller pads.
pub(super) fn encode(words: &mut [u32; 5], text: &mut [u8]) {
    for text in text {
        let mut digit = 0;
        for word in words.iter_mut().rev() {
            let shifted_out = *word >> 26;
            *word = *word << 6 | digit;
            digit = shifted_out;
        }
        // All of it modulo 256: letters, small letters, figures, and then `+` or `/`.
        let mut character = digit.wrapping_add(65);
        if digit > 25 {
            character = digit.wrapping_add(71);
        }
        if digit > 51 {
            character = digit.wrapping_sub(4);
        }
        if digit > 61 {
            character = digit << 2 ^ 0xD3;
        }
        *text = character as u8;
    }
}

pub(super) fn encode_key(nonce: &[u8; 16]) -> Key {
    let nonce = u128::from_be_bytes(*nonce);
    let word = |behind: u32| (nonce >> behind) as u32;
    let mut key = [b'='; size_of::<Key>()];
    let (digits, _) = key.split_at_mut(22);
    encode(&mut [word(96), word(64), word(32), word(0), 0], digits);
    key
}
