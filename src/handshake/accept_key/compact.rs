// SPDX-License-Identifier: Apache-2.0
//! SHA-1 (FIPS 180-4) for the one text that an accept key is made of, in few bytes of code.
//!
//! Key and GUID are 60 bytes long. So the padding makes two blocks of them: the text with one word
//! behind it, and one that is empty but for the text's length.
//!
//! The five words of the state and the sixteen of the message schedule are one shift register: in
//! each round all words move up by one, and a new one enters each part. That needs no index, nor a
//! register of the processor for each word.
//!
//! How the loops are written is what `opt-level = "z"` makes the fewest bytes of on a Cortex-M4.

use super::{Accept, GUID, Key, base64};

const STATE: usize = 5;
const REGISTER: usize = STATE + 16;
const TEXT_BITS: u32 = 480;

/// Where in [`START`] the constants of the rounds are.
const CONSTANTS: usize = 15;

/// The register before the first round, the latest word of each part first: the initial state, the
/// padding, the GUID, and the place of the key, in which the constants of the rounds stand.
///
/// Static, so that it is in the image once.
#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
static START: [u32; REGISTER] = {
    let mut start = [0; REGISTER];
    let state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    let mut at = 0;
    while at < STATE {
        start[at] = state[at];
        at += 1;
    }
    start[STATE] = 1 << 31;
    let (guid, _) = GUID.as_chunks::<4>();
    let mut at = 0;
    while at < guid.len() {
        start[CONSTANTS - 1 - at] = u32::from_be_bytes(guid[at]);
        at += 1;
    }
    let constants = [0x5A82_7999, 0x6ED9_EBA1, 0x8F1B_BCDC, 0xCA62_C1D6];
    let mut at = 0;
    while at < constants.len() {
        start[CONSTANTS + at] = constants[at];
        at += 1;
    }
    start
};

/// Always succeeds.
pub(super) fn answer(key: &Key, accept: &mut Accept) -> bool {
    let mut register = START;
    for (word, bytes) in register.iter_mut().rev().zip(key.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for _ in 0..2 {
        let Some(&before) = register.first_chunk::<STATE>() else { return false };
        let mut round = 0;
        loop {
            step(&mut register, round);
            round = round.wrapping_add(1);
            if round == 80 {
                break;
            }
        }
        let mut words = register.as_mut_slice();
        for before in &before {
            let Some((word, rest)) = words.split_first_mut() else { break };
            *word = word.wrapping_add(*before);
            words = rest;
        }
        register[STATE] = TEXT_BITS;
    }
    let Some(state) = register.first_chunk_mut::<STATE>() else { return false };
    base64::encode(state, accept);
    accept[27] = b'=';
    true
}

/// One round, counted from 0 to 79.
fn step(register: &mut [u32; REGISTER], round: usize) {
    // The quotient by 20.
    let twenty = round.wrapping_mul(205) >> 12 & 3;
    let Some(&constant) = START.get(CONSTANTS.wrapping_add(twenty)) else { return };
    // The functions of the rounds differ in little. Two bits of the constants tell which one it
    // is: bit 15 is clear in the first alone, bit 3 in the second and the fourth.
    let [_, b, c, d, ..] = *register;
    let x = c ^ d;
    let mut y = b;
    if constant & 1 << 15 != 0 {
        y ^= d;
    }
    let mut word = if constant & 1 << 3 == 0 { y ^ c } else { y & x ^ d };
    for place in register.iter_mut() {
        word = core::mem::replace(place, word);
    }
    // Now the function's value is the first word, and `word` the oldest of the schedule.
    register[2] = register[2].rotate_right(2);
    register[0] = register[0]
        .wrapping_add(word)
        .wrapping_add(register[STATE])
        .wrapping_add(constant)
        .wrapping_add(register[1].rotate_left(5));
    register[STATE] = (word ^ register[19] ^ register[13] ^ register[8]).rotate_left(1);
    // No round needs these any more. They are the next block, which is empty.
    if round >= 64 {
        register[STATE] = 0;
    }
}
