// SPDX-License-Identifier: Apache-2.0
//! The PC under callgrind, which is told by its options to count in [`measured`] only, to leave
//! out the functions of `link`, and to dump the counts after each call.

use std::cell::Cell;

thread_local! {
    static DUMPS: Cell<u32> = const { Cell::new(0) };
}

/// Callgrind itself leaves out what has to be.
pub fn now() -> u32 {
    0
}

pub fn leave_out(_: u32) {}

pub fn print(row: std::fmt::Arguments<'_>) {
    print!("{row}");
}

pub fn instructions(work: &mut dyn FnMut()) -> u64 {
    measured(work);
    let number = DUMPS.get() + 1;
    DUMPS.set(number);
    let prefix = std::env::args().nth(1).expect("the argument of --callgrind-out-file");
    let path = format!("{prefix}.{number}");
    let dump = std::fs::read_to_string(&path).expect("callgrind dumps after each call");
    std::fs::remove_file(&path).expect("the dump is ours");
    let totals = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.expect("each dump has its totals").parse().expect("one event is counted")
}

#[unsafe(no_mangle)]
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}
