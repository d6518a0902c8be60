// SPDX-License-Identifier: Apache-2.0
//! Masking of payload data (RFC 6455 section 5.3).

use crate::frame::MaskingKey;

/// Masks or unmasks `payload` in place, and returns the key for the bytes that follow it: `key`
/// rotated by as many bytes as were masked.
pub fn apply(payload: &mut [u8], mut key: MaskingKey) -> MaskingKey {
    let word = u32::from_ne_bytes(key);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for byte in rest {
        let [first, second, third, fourth] = key;
        *byte ^= first;
        key = [second, third, fourth, first];
    }
    key
}

#[cfg(test)]
mod tests {
    use super::apply;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn is_the_byte_wise_rule_of_section_5_3_at_every_length_and_alignment() {
        let plain: Vec<u8> = (0..200u8).collect();
        for start in 0..16 {
            for end in start..plain.len() {
                let mut masked = plain.clone();
                let next = apply(&mut masked[start..end], KEY);
                for (i, byte) in masked.iter().enumerate() {
                    let masked_here = (start..end).contains(&i);
                    let expected =
                        if masked_here { plain[i] ^ KEY[(i - start) % 4] } else { plain[i] };
                    assert_eq!(*byte, expected);
                }
                let mut rotated = KEY;
                rotated.rotate_left((end - start) % 4);
                assert_eq!(next, rotated);
            }
        }
    }
}
