// SPDX-License-Identifier: Apache-2.0
//! Reads an HTTP/1.x head as it arrives (RFC 9112 sections 2 to 5), for the few words of it that
//! an opening handshake depends on.
//!
//! A head is words and what separates them: spaces and line ends, in a field's value commas too,
//! and the colon behind a field's name. A role has a list of the words that mean something to it
//! ([`Rules::WORDS`]), and *slots*, the places in the head where words are expected. A field's
//! name opens the slot whose number is its place in the list; most slots expect the one word that
//! stands before it in the list. So the list is all the grammar that a role needs.

/// The slot of the word behind the method, which may contain commas.
pub(super) const TARGET: u8 = 12;
/// The slot of a field's name, the first word in a line.
pub(super) const NAME: u8 = 13;

/// The bit that stands for the complete head.
pub(super) const COMPLETE: u8 = 0;

pub(super) trait Rules: Sized {
    /// The words, each with a zero byte behind it, in letters that match both cases if they are
    /// small.
    const WORDS: &'static [u8];

    /// The bit that stands for a head that is not well-formed.
    const MALFORMED: u8;

    /// Takes `word` in the slot `words.slot`; `end` is the byte behind it. Empty words come only
    /// where one must not be. Returns whether the head is over.
    fn take(words: &mut Words<Self>, word: &[u8], end: u32) -> bool;
}

/// How far a head was read, and what was found.
#[derive(Clone, Debug)]
// In this order every field but the rules is within reach of a 16-bit load.
#[repr(C)]
pub(super) struct Words<R> {
    /// How many bytes were looked at: each once.
    at: usize,
    /// Where the current word begins.
    start: usize,
    /// The bits of the slots that got what they expect.
    pub(super) seen: u16,
    pub(super) slot: u8,
    /// Whether the current word is a token (RFC 9110 section 5.6.2) if it is not empty.
    pub(super) is_token: bool,
    /// Whether only white space is between the current word and one before it.
    pub(super) is_joined: bool,
    pub(super) rules: R,
}

impl<R: Rules> Words<R> {
    pub(super) const fn new(slot: u8, seen: u16, rules: R) -> Self {
        Self { at: 0, start: 0, seen, slot, is_token: true, is_joined: false, rules }
    }

    /// The length of the head once it is complete.
    pub(super) const fn len(&self) -> usize {
        self.at
    }

    /// Goes on with `received`, all bytes since the start of the head, and returns whether the
    /// head is over: complete or refused.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn read(&mut self, received: &[u8]) -> bool {
        while let Some(&byte) = received.get(self.at) {
            let end = self.at;
            self.at = end.wrapping_add(1);
            if byte == b'\r' {
                match received.get(self.at) {
                    Some(b'\n') => self.at = end.wrapping_add(2),
                    Some(_) => return self.refuse(R::MALFORMED),
                    None => {
                        self.at = end;
                        return false;
                    }
                }
            } else if byte > b' ' {
                // More than ASCII may stand in values alone; in names and methods it is no token.
                if byte == 0x7F || byte > 0x7F && self.slot == TARGET {
                    return self.refuse(R::MALFORMED);
                }
                let ends_name = byte == b':' && self.slot == NAME;
                if !ends_name && (byte != b',' || self.slot == TARGET) {
                    self.is_token &= is_token_byte(byte);
                    continue;
                }
            } else if byte != b' ' && byte != b'\t' {
                return self.refuse(R::MALFORMED);
            }
            let word = received.get(self.start..end).unwrap_or_default();
            self.start = self.at;
            if R::take(self, word, byte.into()) {
                return true;
            }
            let is_space = byte == b' ' || byte == b'\t';
            self.is_joined = is_space && (self.is_joined || !word.is_empty());
            self.is_token = true;
            if byte == b'\r' {
                self.slot = NAME;
            }
        }
        false
    }

    /// Ends the head, for the reason whose bit is `slot`.
    pub(super) fn refuse(&mut self, slot: u8) -> bool {
        self.seen = !(1 << slot);
        true
    }

    /// The place of `word` in the list, its length if it is not there.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn find(word: &[u8]) -> u8 {
        let mut found = 0u8;
        let mut matched = 0;
        for &byte in R::WORDS {
            if byte == 0 {
                if matched == word.len() {
                    break;
                }
                found = found.wrapping_add(1);
                matched = 0;
            } else {
                // No control characters are in a word: nothing but a capital letter, and what the
                // list has itself, becomes what the list has.
                matched = match word.get(matched) {
                    Some(other) if other | byte & 0x20 == byte => matched.wrapping_add(1),
                    _ => usize::MAX,
                };
            }
        }
        found
    }
}

/// The bits of the ASCII characters that a token may have.
#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
static TOKEN: [u32; 4] = {
    let mut token = [0; 4];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        {
            token[byte / 32] |= 1 << (byte % 32);
        }
        byte += 1;
    }
    token
};

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN.get(usize::from(byte >> 5)).is_some_and(|bits| bits >> (byte & 31) & 1 != 0)
}
