// SPDX-License-Identifier: Apache-2.0
//! Reads an HTTP/1.x head as it arrives (RFC 9112 sections 2 to 5), for the few words of it that
//! an opening handshake depends on.
//!
//! A head is words and what separates them: spaces and line ends, in a field's value commas too,
//! and the colon behind a field's name. A role has a list of the words that mean something to it
//! ([`Rules::WORDS`]), and *slots*, the places in the head where words are expected. A field's
//! name opens the slot whose number is its place in the list; most slots expect the one word that
//! stands before it in the list. So the list is all the grammar that a role needs. A slot is
//! written as the bit of its number, so that a set of slots is a number too.

/// The slot of the word behind the method, which may contain commas.
pub(super) const TARGET: u32 = 1 << 12;
/// The slot of a field's name, the first word in a line.
pub(super) const NAME: u32 = 1;
/// It gets what it expects at the end of the head, where no word is before the end of the line.
pub(super) const COMPLETE: u32 = NAME;

pub(super) trait Rules: Sized {
    /// The words, each with a zero byte behind it, in letters that match both cases if they are
    /// small.
    const WORDS: &'static [u8];

    /// The slot that stands for what is no HTTP.
    const MALFORMED: u32;

    /// Takes `word` in the slot `words.slot`; `end` is the byte behind it. Between two separators
    /// the word is empty.
    fn take(words: &mut Words<Self>, word: &[u8], end: char);
}

/// How far a head was read, and what was found.
#[derive(Clone, Debug)]
// In this order every field but the rules is within reach of a 16-bit load.
#[repr(C)]
pub(super) struct Words<R> {
    /// How many bytes were looked at.
    at: usize,
    /// Where the current word begins.
    start: usize,
    /// The slots that got what they expect.
    pub(super) seen: u32,
    pub(super) slot: u32,
    // A character, as not every number is one: the hub's phases stand beside it for nothing.
    /// The largest byte between the current word and the one before it, a space or less if they
    /// belong together.
    pub(super) between: char,
    pub(super) rules: R,
}

impl<R: Rules> Words<R> {
    pub(super) const fn new(slot: u32, seen: u32, rules: R) -> Self {
        Self { at: 0, start: 0, seen, slot, between: '\0', rules }
    }

    /// The length of the head once it is complete.
    pub(super) const fn len(&self) -> usize {
        self.at
    }

    /// Goes on with `received`, all bytes since the start of the head, and returns whether the
    /// head is over: complete or refused.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn read(&mut self, received: &[u8]) -> bool {
        while self.seen & COMPLETE == 0 {
            let Some(&byte) = received.get(self.at) else { return false };
            let end = self.at;
            let mut after = end.wrapping_add(1);
            let mut ends_word = true;
            let is_valid;
            if byte == b'\r' {
                let Some(&line_feed) = received.get(after) else { return false };
                is_valid = line_feed == b'\n';
                after = after.wrapping_add(1);
            } else if byte > b' ' {
                let is_target = self.slot & TARGET != 0;
                // More than ASCII may stand in values alone; in names and methods it is no token.
                is_valid = byte != 0x7F && (byte < 0x7F || !is_target);
                ends_word = byte == b',' && !is_target || byte == b':' && self.slot & NAME != 0;
            } else {
                is_valid = byte == b' ' || byte == b'\t';
            }
            if !is_valid {
                self.refuse(R::MALFORMED);
                break;
            }
            self.at = after;
            if !ends_word {
                continue;
            }
            let Some(word) = received.get(self.start..end) else { return false };
            self.start = after;
            R::take(self, word, byte.into());
            if byte == b'\r' {
                self.slot = NAME;
            }
        }
        true
    }

    /// Ends the head as if it were complete, but for `slot`.
    pub(super) fn refuse(&mut self, slot: u32) {
        self.seen = !slot;
    }

    /// The slot of `word`, the one behind all others if it is not in the list.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn find(word: &[u8]) -> u32 {
        let mut found = 1;
        let mut matched = 0;
        for &byte in R::WORDS {
            if byte == 0 {
                if matched == word.len() {
                    break;
                }
                found <<= 1;
                matched = 0;
            } else {
                // No control characters are in a word: nothing but a capital letter, and what the
                // list has itself, becomes what the list has. Nor does the zero behind its end.
                let other = word.get(matched).copied().unwrap_or(0);
                let is_same = other | byte & 0x20 == byte;
                matched = if is_same { matched.wrapping_add(1) } else { usize::MAX };
            }
        }
        found
    }
}

/// A set of ASCII characters, a bit for each.
type Characters = [u32; 4];

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) static TOKEN: Characters = letters_digits_and(b"!#$%&'*+-.^_`|~");
/// RFC 4648 section 4.
pub(super) static BASE64: Characters = letters_digits_and(b"+/");

#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
const fn letters_digits_and(others: &[u8]) -> Characters {
    let mut characters = [0; 4];
    let mut byte = 0;
    while byte < 128u8 {
        if byte.is_ascii_alphanumeric() {
            characters[byte as usize / 32] |= 1 << (byte % 32);
        }
        byte = byte.wrapping_add(1);
    }
    let mut index = 0usize;
    while index < others.len() {
        characters[others[index] as usize / 32] |= 1 << (others[index] % 32);
        index = index.wrapping_add(1);
    }
    characters
}

/// Whether each byte of `word` is one of `characters`.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(super) fn consists_of(word: &[u8], characters: &Characters) -> bool {
    word.iter().all(|byte| {
        let bits = characters.get(usize::from(byte >> 5));
        bits.is_some_and(|bits| bits >> (byte & 31) & 1 != 0)
    })
}
