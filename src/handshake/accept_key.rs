// SPDX-License-Identifier: Apache-2.0
//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it (RFC 6455 section 4.2.2).

use crate::buffer::copy;
use base64ct::{Base64, Encoding};
use sha1_smol::Sha1;

/// A key as it stands in the request: the Base64 of a 16-byte nonce.
pub type Key = [u8; 24];

/// The answer to a key: the Base64 of a SHA-1 digest.
pub type Accept = [u8; 28];

const GUID: [u8; 36] = *b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server must answer `key` with.
#[must_use]
pub fn accept(key: &Key) -> Accept {
    // One update of a known length: the compiler then sees that no index is out of bounds.
    let mut text = [0; size_of::<Key>() + GUID.len()];
    let (first, last) = text.split_at_mut(key.len());
    copy(first, key);
    copy(last, &GUID);
    let mut sha1 = Sha1::new();
    sha1.update(&text);
    encode(&sha1.digest().bytes())
}

/// The key made of `nonce`, which must be unpredictable and new for each connection.
pub(crate) fn encode_key(nonce: &[u8; 16]) -> Key {
    encode(nonce)
}

/// `value` if it is the Base64 of 16 bytes, as RFC 6455 section 4.2.1 wants it.
pub(crate) fn check_key(value: &[u8]) -> Option<&Key> {
    let key: &Key = value.try_into().ok()?;
    // The 22nd character holds the last two bits of the nonce, and nothing else.
    let [digits @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] = key else {
        return None;
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.iter().all(is_digit).then_some(key)
}

/// The Base64 of `bytes`, padded to `N`.
fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [b'='; N];
    let mut left = bytes;
    for quartet in text.as_chunks_mut::<4>().0 {
        // Whole groups only, whose lengths the compiler knows: see `accept`.
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

#[cfg(test)]
mod tests {
    use super::{accept, check_key, encode_key};

    #[test]
    fn answers_the_example_of_section_1_3() {
        let key = encode_key(b"the sample nonce");
        assert_eq!(&key, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_is_not_the_base64_of_16_bytes() {
        for wrong in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j!Q==",
            "dGhlIHNhbXBsZSBub25jZSE=",
            "dGhlIHNhbXBsZSBub25jZSEh",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "====dGhlIHNhbXBsZSBub25j",
        ] {
            assert_eq!(check_key(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
