// SPDX-License-Identifier: Apache-2.0
//! Counts the instructions that a message takes in each library, on x86-64 under callgrind and on
//! a Cortex-M4 in QEMU. Prints one row for each case, separated by tabs.

#![cfg_attr(target_os = "none", no_std, no_main)]

mod cases;
mod link;
mod peers;
#[cfg_attr(target_os = "none", path = "qemu.rs")]
#[cfg_attr(not(target_os = "none"), path = "callgrind.rs")]
mod platform;

#[cfg(not(target_os = "none"))]
fn main() {
    peers::run_all();
}
