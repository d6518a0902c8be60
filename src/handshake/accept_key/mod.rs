// SPDX-License-Identifier: Apache-2.0
//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it (RFC 6455 section 4.2.2).
//!
//! `build.rs` chooses who computes SHA-1 and Base64: by Kconfig in a Zephyr build, by the features
//! of the crate elsewhere.

#[cfg(any(accept_key = "compact", accept_key = "psa", test))]
mod base64;
#[cfg(any(accept_key = "compact", test))]
mod compact;
#[cfg(accept_key = "psa")]
mod psa;
#[cfg(accept_key = "sha1_smol")]
mod sha1_smol;

#[cfg(any(accept_key = "compact", accept_key = "psa"))]
use base64::encode_key as encode;
#[cfg(accept_key = "compact")]
use compact as provider;
#[cfg(accept_key = "psa")]
use psa as provider;
#[cfg(accept_key = "sha1_smol")]
use sha1_smol::{self as provider, encode_key as encode};

/// A key as it stands in the request: the Base64 of a 16-byte nonce.
pub type Key = [u8; 24];

/// The answer to a key: the Base64 of a SHA-1 digest.
pub type Accept = [u8; 28];

const GUID: [u8; 36] = *b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server must answer `key` with; `None` if the system's SHA-1 failed, which only Zephyr's
/// PSA crypto can.
#[must_use]
pub fn accept(key: &Key) -> Option<Accept> {
    let mut accept = [0; size_of::<Accept>()];
    answer(key, &mut accept).then_some(accept)
}

/// Like [`accept`], but leaves `accept` as it was and returns false where that is `None`.
#[must_use]
// A frame of its own: the stack that it takes is there for this one call.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn answer(key: &Key, accept: &mut Accept) -> bool {
    provider::answer(key, accept)
}

/// The key made of `nonce`, which must be unpredictable and new for each connection.
pub(crate) fn encode_key(nonce: &[u8; 16]) -> Key {
    encode(nonce)
}

/// What the digest is made of.
#[cfg(not(accept_key = "compact"))]
type Text = [u8; size_of::<Key>() + GUID.len()];

/// Writes the text for `key`, which is not returned because that would copy it.
#[cfg(not(accept_key = "compact"))]
fn put_text(key: &Key, text: &mut Text) {
    // A copy of a known length takes the fewest bytes.
    if let Some((first, last)) = text.split_first_chunk_mut()
        && let Some(last) = last.first_chunk_mut()
    {
        *first = *key;
        *last = GUID;
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;

    use super::{Accept, Key, accept, base64, compact, encode_key};

    /// What the crates `sha1_smol` and `base64ct` make of `key`.
    fn expected(key: &Key) -> String {
        let mut sha1 = sha1_smol::Sha1::from(key);
        sha1.update(&super::GUID);
        encoded(&sha1.digest().bytes())
    }

    fn encoded(bytes: &[u8]) -> String {
        let mut text = [0; 28];
        Base64::encode(bytes, &mut text).unwrap().to_owned()
    }

    fn text<const N: usize>(bytes: [u8; N]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn compact(key: &Key) -> Accept {
        let mut accept = [0; 28];
        assert!(compact::answer(key, &mut accept));
        accept
    }

    #[test]
    fn answers_the_example_of_section_1_3() {
        let key = encode_key(b"the sample nonce");
        assert_eq!(&key, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept(&key).unwrap(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(&compact(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn encodes_every_digit_in_every_place() {
        for place in 0..21 {
            for digit in 0..64u128 {
                // A nonce has 21 whole digits and two bits.
                let nonce = (digit << (122 - 6 * place)).to_be_bytes();
                let key = base64::encode_key(&nonce);
                assert_eq!(text(key), encoded(&nonce));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Keys of any bytes, so that each bit of the digest's input is tried.
        #[test]
        fn answers_as_the_crates_do(key: Key) {
            prop_assert_eq!(text(compact(&key)), expected(&key));
            prop_assert_eq!(text(accept(&key).unwrap()), expected(&key));
        }

        #[test]
        fn encodes_as_the_crates_do(nonce: [u8; 16]) {
            prop_assert_eq!(text(base64::encode_key(&nonce)), encoded(&nonce));
            prop_assert_eq!(text(encode_key(&nonce)), encoded(&nonce));
        }
    }
}
