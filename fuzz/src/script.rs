// SPDX-License-Identifier: Apache-2.0
//! A fuzzer's input, read from front to back: a seed can be written by hand, and a mutation
//! changes what comes after it as little as it can.

/// What is left of an input. Past its end there are zeros.
pub struct Script<'d>(&'d [u8]);

impl<'d> Script<'d> {
    pub fn new(data: &'d [u8]) -> Self {
        Self(data)
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// The next bytes: as many as `len`, or fewer at the end.
    pub fn bytes(&mut self, len: usize) -> &'d [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Bytes behind their number.
    pub fn counted(&mut self) -> &'d [u8] {
        let len = self.byte();
        self.bytes(len.into())
    }

    /// Text behind its length in bytes; what is not UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.counted()).into_owned()
    }

    pub fn rest(self) -> &'d [u8] {
        self.0
    }

    /// Up to seven lengths behind their number.
    pub fn cuts(&mut self) -> Cuts<'d> {
        let count = self.byte() & 7;
        Cuts(self.bytes(count.into()))
    }
}

/// Where a stream is cut: into pieces of these lengths, over and over.
#[derive(Clone, Copy, Debug)]
pub struct Cuts<'d>(&'d [u8]);

impl Cuts<'_> {
    /// The pieces of `bytes`; the whole if there are no lengths.
    pub fn of<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        self.of_up_to(500, bytes)
    }

    /// The same with at most `max` pieces and the rest as one more.
    pub fn of_up_to<'b>(&self, max: usize, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        let is_endless = self.0.iter().all(|&len| len == 0);
        for &len in self.0.iter().cycle().take(if is_endless { 0 } else { max }) {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(len.into()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        pieces
    }
}
