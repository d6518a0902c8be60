// SPDX-License-Identifier: Apache-2.0
//! Masking of payload data (RFC 6455 section 5.3).

/// Masks or unmasks `payload` in place, and returns the key for the bytes that follow it: `key`,
/// first byte lowest, turned by as many bytes as were masked.
// One body for data and control frames, with registers of its own, is smaller than two in theirs.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn apply(payload: &mut [u8], mut key: u32) -> u32 {
    let (blocks, rest) = payload.as_chunks_mut::<32>();
    for block in blocks {
        // Written out, because a loop is not unrolled at opt-level z.
        if let [a, b, c, d, e, f, g, h] = block.as_chunks_mut::<4>().0 {
            turn(a, key);
            turn(b, key);
            turn(c, key);
            turn(d, key);
            turn(e, key);
            turn(f, key);
            turn(g, key);
            turn(h, key);
        }
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    for word in words {
        turn(word, key);
    }
    for byte in rest {
        *byte ^= key as u8;
        key = key.rotate_right(8);
    }
    key
}

#[inline(always)]
fn turn(word: &mut [u8; 4], key: u32) {
    *word = (u32::from_le_bytes(*word) ^ key).to_le_bytes();
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
                let next = apply(&mut masked[start..end], u32::from_le_bytes(KEY));
                for (i, byte) in masked.iter().enumerate() {
                    let masked_here = (start..end).contains(&i);
                    let expected =
                        if masked_here { plain[i] ^ KEY[(i - start) % 4] } else { plain[i] };
                    assert_eq!(*byte, expected);
                }
                let mut rotated = KEY;
                rotated.rotate_left((end - start) % 4);
                assert_eq!(next.to_le_bytes(), rotated);
            }
        }
    }
}
