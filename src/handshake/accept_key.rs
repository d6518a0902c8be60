// SPDX-License-Identifier: Apache-2.0
//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it (RFC 6455 section 4.2.2).

use base64ct::{Base64, Encoding};
use sha1_smol::Sha1;

/// A key as it stands in the request: the Base64 of a 16-byte nonce.
pub type Key = [u8; 24];

/// The answer to a key: the Base64 of a SHA-1 digest.
pub type Accept = [u8; 28];

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server must answer `key` with.
#[must_use]
pub fn accept(key: &Key) -> Accept {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    encode(&sha1.digest().bytes())
}

/// The key made of `nonce`, which must be unpredictable and new for each connection.
pub(crate) fn encode_key(nonce: &[u8; 16]) -> Key {
    encode(nonce)
}

/// `value` if it is the Base64 of 16 bytes, as RFC 6455 section 4.2.1 wants it.
pub(crate) fn decode_key(value: &[u8]) -> Option<&Key> {
    let key: &Key = value.try_into().ok()?;
    let mut nonce = [0; 16];
    match Base64::decode(key, &mut nonce) {
        Ok(decoded) if decoded.len() == 16 => Some(key),
        _ => None,
    }
}

fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    // Only a text that is too short could fail here; both callers' lengths fit.
    let fits = Base64::encode(bytes, &mut text).is_ok();
    debug_assert!(fits);
    text
}

#[cfg(test)]
mod tests {
    use super::{accept, decode_key, encode_key};

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
            assert_eq!(decode_key(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
