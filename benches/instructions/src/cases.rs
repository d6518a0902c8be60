// SPDX-License-Identifier: Apache-2.0
//! What is counted: each case is verified once, and then run N and 2 N times.

use core::cell::RefCell;

use crate::link::{self, FRAME, LARGEST, Single};
use crate::platform;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// What a peer is made of.
pub struct Setup<'m> {
    pub role: Role,
    pub text: bool,
    /// The message to send. It may be masked in place.
    pub payload: &'m mut [u8],
    /// For what the peer receives, and for what it sends.
    pub buffers: [&'m mut [u8]; 2],
}

pub trait Peer<'m> {
    const NAME: &'static str;
    /// Whether received text is checked. Otherwise that is left to the application.
    const CHECKS_UTF8: bool;

    fn new(setup: Setup<'m>) -> Self;

    /// Receives one message and [puts](link::put) it.
    fn receive(&mut self);

    /// Sends the payload as one message.
    fn send(&mut self);
}

pub struct Memory {
    payload: [u8; LARGEST],
    buffers: [[u8; FRAME]; 2],
}

pub static MEMORY: Single<Memory> =
    Single(RefCell::new(Memory { payload: [0; LARGEST], buffers: [[0; FRAME]; 2] }));

#[derive(Clone, Copy)]
pub struct Case {
    receives: bool,
    masked: bool,
    text: bool,
    size: usize,
}

impl Case {
    pub fn all() -> impl Iterator<Item = Self> {
        let flags = [true, false];
        flags.into_iter().flat_map(move |receives| {
            flags.into_iter().flat_map(move |masked| {
                flags.into_iter().flat_map(move |binary| {
                    [16, 125, 1 << 10, 16 << 10, LARGEST].map(|size| Self {
                        receives,
                        masked,
                        text: !binary,
                        size,
                    })
                })
            })
        })
    }

    /// Clients mask (RFC 6455 section 5.1).
    pub fn role(&self) -> Role {
        if self.receives == self.masked { Role::Server } else { Role::Client }
    }

    /// Byte `i` of the payload: printable ASCII, or any byte.
    fn byte(&self, i: usize) -> u8 {
        if self.text { b' ' + (i % 95) as u8 } else { (i * 37 + (i >> 8)) as u8 }
    }

    fn is_payload(&self, bytes: impl ExactSizeIterator<Item = u8>) -> bool {
        bytes.len() == self.size && bytes.enumerate().all(|(i, byte)| byte == self.byte(i))
    }

    /// Whether `frame` is this case's message, in the shortest form.
    fn is_frame(&self, frame: &[u8]) -> bool {
        let len_len = if self.size < 126 {
            1
        } else if self.size < 0x1_0000 {
            3
        } else {
            9
        };
        let (head, rest) = frame.split_at(1 + len_len);
        let mut key = [0; 4];
        let mut payload = rest;
        if self.masked {
            key.copy_from_slice(&rest[..4]);
            payload = &rest[4..];
        }
        head[0] == if self.text { 0x81 } else { 0x82 }
            && head[1] & 0x80 == if self.masked { 0x80 } else { 0 }
            && self.is_payload(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]))
    }

    /// How many messages are enough for what happens now and then, such as an allocation.
    fn count(&self) -> usize {
        if cfg!(target_os = "none") { 1 } else { (16 << 10) / self.size + 8 }
    }
}

/// Counts the instructions of one case in one peer, and prints the row.
pub fn run<'m, P: Peer<'m>>(memory: &'m mut Memory, case: Case) {
    let payload = &mut memory.payload[..case.size];
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte = case.byte(i);
    }
    link::load(case.text, case.masked, payload);
    let [receive, send] = &mut memory.buffers;
    let mut peer =
        P::new(Setup { role: case.role(), text: case.text, payload, buffers: [receive, send] });

    let mut step = || if case.receives { peer.receive() } else { peer.send() };
    link::observe(&mut step, |seen| {
        let right =
            if case.receives { case.is_payload(seen.iter().copied()) } else { case.is_frame(seen) };
        assert!(right, "{}: the payload arrived wrong", P::NAME);
    });
    let mut times = |count| {
        platform::instructions(&mut || {
            for _ in 0..count {
                step();
            }
        })
    };
    let count = case.count();
    // Buffers grow at first.
    times(count);
    let once = times(count);
    let twice = times(2 * count);
    platform::print(format_args!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        P::NAME,
        if case.receives { "receive" } else { "send" },
        if case.masked { "masked" } else { "unmasked" },
        if case.text { "text" } else { "binary" },
        if case.text && case.receives && !P::CHECKS_UTF8 { "unchecked" } else { "" },
        case.size,
        (twice - once) / count as u64,
    ));
}
