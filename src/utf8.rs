// SPDX-License-Identifier: Apache-2.0
//! UTF-8 (RFC 3629), checked as its bytes arrive.

/// What may follow the bytes so far.
///
/// Bits 0 to 3 tell which continuation bytes may come next, in quarters: 80 to 8F, 90 to 9F, A0 to
/// AF and B0 to BF. Only the second byte of a character has less than all four: that keeps out
/// overlong forms, surrogates and what lies beyond U+10FFFF. The bits above count the
/// continuation bytes after the next.
pub(crate) type State = u32;

/// Between two characters: the text may end here.
pub(crate) const COMPLETE: State = 0;

/// No valid text begins like this.
pub(crate) const INVALID: State = State::MAX;

/// Takes the next bytes, the last ones if nothing is `left`, and returns the new state: [`INVALID`] from
/// the first byte on that no valid text could have there.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn check(mut state: State, bytes: &[u8], left: usize) -> State {
    let mut rest = bytes;
    // Vector instructions, where there are some and size does not matter.
    #[cfg(feature = "std")]
    if state == 0 {
        rest = if bytes.is_ascii() {
            &[]
        } else {
            match core::str::from_utf8(bytes) {
                Ok(_) => &[],
                Err(error) => bytes.get(error.valid_up_to()..).unwrap_or_default(),
            }
        };
    }
    loop {
        if state == 0 {
            rest = skip_ascii(rest);
        }
        let Some((&byte, after)) = rest.split_first() else { break };
        rest = after;
        let byte = u32::from(byte);
        if state != 0 {
            let quarter = byte >> 4 & 3;
            if byte >> 6 != 2 || state >> quarter & 1 == 0 {
                return INVALID;
            }
            state = (state | 0x0F).saturating_sub(0x10);
        } else if byte >= 0x80 {
            state = match LEADS.get(byte.wrapping_sub(0xE0) as usize) {
                Some(&state) => state.into(),
                None if matches!(byte, 0xC2..0xE0) => 0x0F,
                None => return INVALID,
            };
        }
    }
    if left == 0 && state != 0 { INVALID } else { state }
}

/// The states behind the first bytes from E0 to F4.
static LEADS: [u8; 21] = {
    let [two, three] = [0x1F, 0x2F];
    [
        0x1C, two, two, two, two, two, two, two, two, two, two, two, two, 0x13, two, two, //
        0x2E, three, three, three, 0x21,
    ]
};

/// Leaves out blocks of ASCII at the front.
#[inline(always)]
fn skip_ascii(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        let [a, b, c, d] = block.as_chunks::<4>().0 else { break };
        let word = |bytes: &[u8; 4]| u32::from_ne_bytes(*bytes);
        if (word(a) | word(b) | word(c) | word(d)) & 0x8080_8080 != 0 {
            break;
        }
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::{COMPLETE, INVALID, check};

    /// Every sequence of up to four bytes drawn from the bounds of all ranges in RFC 3629.
    #[test]
    fn agrees_with_the_standard_library_on_every_boundary() {
        let bounds = [
            0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
            0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ];
        for a in bounds {
            for b in bounds {
                for c in bounds {
                    for d in bounds {
                        let bytes = [a, b, c, d];
                        for len in 1..=4 {
                            compare(&bytes[..len]);
                        }
                    }
                }
            }
        }
    }

    fn compare(bytes: &[u8]) {
        let mut state = COMPLETE;
        let mut accepted = 0;
        while accepted < bytes.len() {
            state = check(state, &bytes[accepted..=accepted], 1);
            if state == INVALID {
                break;
            }
            accepted += 1;
        }
        let standard = std::str::from_utf8(bytes);
        // The standard library does not say at which byte of a character it gave up; the first
        // byte that fails here must be where every longer text fails too.
        match standard {
            Ok(_) => assert!(accepted == bytes.len() && state == COMPLETE, "{bytes:x?}"),
            Err(error) if error.error_len().is_none() => {
                assert!(accepted == bytes.len() && state != COMPLETE, "{bytes:x?}");
            }
            Err(error) => assert_eq!(
                accepted,
                error.valid_up_to() + error.error_len().unwrap() - first_is_wrong(bytes, &error),
                "{bytes:x?}"
            ),
        }
        assert_eq!(check(COMPLETE, bytes, 1) != INVALID, accepted == bytes.len());
        assert_eq!(check(COMPLETE, bytes, 0), if standard.is_ok() { COMPLETE } else { INVALID });
    }

    /// `error_len` counts the valid start of a broken character, or one byte that starts none.
    fn first_is_wrong(bytes: &[u8], error: &std::str::Utf8Error) -> usize {
        usize::from(!matches!(bytes[error.valid_up_to()], 0xC2..=0xF4))
    }
}
