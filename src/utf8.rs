// SPDX-License-Identifier: Apache-2.0
//! UTF-8 (RFC 3629), checked as its bytes arrive.

/// A check that can stop after any byte and go on with the next. It fails at the first byte that
/// no valid text could have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8 {
    /// Continuation bytes that the current character still needs, 0 to 3.
    needed: u8,
    /// The next continuation byte's range. Only the second byte of a character has one narrower
    /// than 80 to BF: it keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
    lowest: u8,
    highest: u8,
}

impl Utf8 {
    /// Between two characters.
    pub const fn new() -> Self {
        Self { needed: 0, lowest: 0x80, highest: 0xBF }
    }

    /// Takes the next bytes and says whether all up to here can be the start of valid text.
    #[must_use]
    pub fn accepts(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            if self.needed == 0 {
                rest = skip_ascii(rest);
            }
            let Some((&byte, after)) = rest.split_first() else {
                return true;
            };
            rest = after;
            if !self.accepts_byte(byte) {
                return false;
            }
        }
    }

    /// Whether the text could end here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.needed == 0
    }

    fn accepts_byte(&mut self, byte: u8) -> bool {
        if self.needed > 0 {
            if byte < self.lowest || byte > self.highest {
                return false;
            }
            self.needed = self.needed.wrapping_sub(1);
            (self.lowest, self.highest) = (0x80, 0xBF);
            return true;
        }
        match byte {
            0x00..=0x7F => return true,
            0xC2..=0xDF => self.needed = 1,
            0xE0..=0xEF => self.needed = 2,
            0xF0..=0xF4 => self.needed = 3,
            _ => return false,
        }
        match byte {
            0xE0 => self.lowest = 0xA0,
            0xED => self.highest = 0x9F,
            0xF0 => self.lowest = 0x90,
            0xF4 => self.highest = 0x8F,
            _ => {}
        }
        true
    }
}

/// Leaves out whole words of ASCII at the front.
fn skip_ascii(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<4>() {
        if u32::from_ne_bytes(*word) & 0x8080_8080 != 0 {
            break;
        }
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::Utf8;

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
                            check(&bytes[..len]);
                        }
                    }
                }
            }
        }
    }

    fn check(bytes: &[u8]) {
        let mut utf8 = Utf8::new();
        let mut accepted = 0;
        while accepted < bytes.len() && utf8.accepts(&bytes[accepted..=accepted]) {
            accepted += 1;
        }
        let standard = std::str::from_utf8(bytes);
        // The standard library does not say at which byte of a character it gave up; the first
        // byte that fails here must be where every longer text fails too.
        match standard {
            Ok(_) => assert!(accepted == bytes.len() && utf8.is_complete(), "{bytes:x?}"),
            Err(error) if error.error_len().is_none() => {
                assert!(accepted == bytes.len() && !utf8.is_complete(), "{bytes:x?}");
            }
            Err(error) => assert_eq!(
                accepted,
                error.valid_up_to() + error.error_len().unwrap() - first_is_wrong(bytes, &error),
                "{bytes:x?}"
            ),
        }
        let mut whole = Utf8::new();
        assert_eq!(whole.accepts(bytes), accepted == bytes.len());
    }

    /// `error_len` counts the valid start of a broken character, or one byte that starts none.
    fn first_is_wrong(bytes: &[u8], error: &std::str::Utf8Error) -> usize {
        usize::from(!matches!(bytes[error.valid_up_to()], 0xC2..=0xF4))
    }
}
