// SPDX-License-Identifier: Apache-2.0
//! What stands for the socket and for the application: a frame that arrives over and over, and a
//! sink. Both cost nothing: their instructions are not counted, for any peer.

use core::cell::RefCell;
use core::hint::black_box;

use crate::platform;

/// The longest message.
pub const LARGEST: usize = 1 << 20;
/// The longest frame.
pub const FRAME: usize = 14 + LARGEST;
/// The most that arrives at once, and the buffer of a peer that takes messages in pieces.
pub const PIECE: usize = if cfg!(target_os = "none") { 4 << 10 } else { 16 << 10 };

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// State for the one thread that there is.
pub struct Single<T>(pub RefCell<T>);

// SAFETY: neither platform starts a second thread.
unsafe impl<T> Sync for Single<T> {}

struct Link {
    frame: [u8; FRAME],
    frame_len: usize,
    position: usize,
    seen: [u8; FRAME],
    seen_len: usize,
    keep: bool,
}

static LINK: Single<Link> = Single(RefCell::new(Link {
    frame: [0; FRAME],
    frame_len: 0,
    position: 0,
    seen: [0; FRAME],
    seen_len: 0,
    keep: false,
}));

/// Sets the frame that arrives.
pub fn load(text: bool, masked: bool, payload: &[u8]) {
    let mut link = LINK.0.borrow_mut();
    let Link { frame, .. } = &mut *link;
    let mask = if masked { 0x80 } else { 0 };
    frame[0] = if text { 0x81 } else { 0x82 };
    let mut at = match payload.len() {
        len @ 0..126 => {
            frame[1] = mask | len as u8;
            2
        }
        len @ 126..0x1_0000 => {
            frame[1] = mask | 126;
            frame[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        len => {
            frame[1] = mask | 127;
            frame[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    if masked {
        frame[at..at + 4].copy_from_slice(&KEY);
        at += 4;
    }
    for (i, byte) in payload.iter().enumerate() {
        frame[at + i] = byte ^ if masked { KEY[i % 4] } else { 0 };
    }
    link.frame_len = at + payload.len();
    link.position = 0;
}

/// Keeps what comes out while `run` runs, and shows it to `look`.
pub fn observe(run: impl FnOnce(), look: impl FnOnce(&[u8])) {
    let keep = |keep| {
        let mut link = LINK.0.borrow_mut();
        link.keep = keep;
        if keep {
            link.seen_len = 0;
        }
    };
    keep(true);
    run();
    keep(false);
    let link = LINK.0.borrow();
    look(&link.seen[..link.seen_len]);
}

/// Receives at most what is left of the frame, or the start of the next one.
pub fn read(buffer: &mut [u8]) -> usize {
    let len = buffer.len();
    read_with(len, &mut |bytes| buffer[..bytes.len()].copy_from_slice(bytes))
}

/// The same for a buffer that is no slice of bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn read_with(limit: usize, take: &mut dyn FnMut(&[u8])) -> usize {
    let start = platform::now();
    let count = arrive(limit, take);
    platform::leave_out(start);
    count
}

/// Takes what a peer delivers to the application or writes to its socket.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn put(bytes: &[u8]) {
    let start = platform::now();
    take(bytes);
    platform::leave_out(start);
}

#[inline(never)]
fn arrive(limit: usize, take: &mut dyn FnMut(&[u8])) -> usize {
    let mut link = LINK.0.borrow_mut();
    if link.position == link.frame_len {
        link.position = 0;
    }
    let start = link.position;
    let count = limit.min(PIECE).min(link.frame_len - start);
    take(&link.frame[start..start + count]);
    link.position += count;
    count
}

#[inline(never)]
fn take(bytes: &[u8]) {
    let mut link = LINK.0.borrow_mut();
    if link.keep {
        let start = link.seen_len;
        link.seen[start..start + bytes.len()].copy_from_slice(bytes);
        link.seen_len += bytes.len();
    } else {
        black_box(bytes);
    }
}
