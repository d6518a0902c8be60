// SPDX-License-Identifier: Apache-2.0
//! Bare metal on QEMU's mps2-an386, whose clock advances by a fixed time for each instruction:
//! `-icount shift=8` makes an instruction 6.4 ticks of the 25 MHz timer, so single ones show.

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{link, peers};

const TIMER_CONTROL: *mut u32 = 0x4000_0000 as _;
const TIMER_VALUE: *mut u32 = 0x4000_0004 as _;
const TIMER_RELOAD: *mut u32 = 0x4000_0008 as _;

/// Ticks that do not count.
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);
/// Ticks that leaving out takes, beyond a call of an empty function.
static RESIDUE: AtomicU32 = AtomicU32::new(0);
/// Ticks for 200,000 instructions.
static SCALE: AtomicU32 = AtomicU32::new(0);

/// The timer counts down.
#[inline(always)]
pub fn now() -> u32 {
    // SAFETY: a register of the board's timer.
    unsafe { read_volatile(TIMER_VALUE) }
}

#[inline(always)]
pub fn leave_out(start: u32) {
    let residue = RESIDUE.load(Relaxed);
    let ticks = LEFT_OUT.load(Relaxed).wrapping_add(residue).wrapping_add(start);
    LEFT_OUT.store(ticks.wrapping_sub(now()), Relaxed);
}

pub fn instructions(work: &mut dyn FnMut()) -> u64 {
    u64::from(ticks(work)) * 200_000 / u64::from(SCALE.load(Relaxed))
}

fn ticks(work: &mut dyn FnMut()) -> u32 {
    // SAFETY: as above. From here the timer does not wrap for 600 million instructions.
    unsafe { write_volatile(TIMER_VALUE, u32::MAX) };
    LEFT_OUT.store(0, Relaxed);
    let start = now();
    work();
    start.wrapping_sub(now()).wrapping_sub(LEFT_OUT.load(Relaxed))
}

fn calibrate() {
    // SAFETY: as above.
    unsafe {
        write_volatile(TIMER_RELOAD, u32::MAX);
        write_volatile(TIMER_CONTROL, 1);
    }
    let scale = ticks(&mut || {
        // SAFETY: touches nothing but its own register and the flags.
        unsafe { asm!("2: subs {0}, #1", "bne 2b", inout(reg) 100_000 => _) };
    });
    SCALE.store(scale, Relaxed);
    let calls = |function: fn(&[u8])| {
        ticks(&mut || {
            for _ in 0..1000 {
                black_box(function)(&[]);
            }
        })
    };
    RESIDUE.store((calls(link::put) - calls(nothing)) / 1000, Relaxed);
}

#[inline(never)]
fn nothing(bytes: &[u8]) {
    black_box(bytes);
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SYS_WRITEC.
            semihost(3, &raw const byte as usize);
        }
        Ok(())
    }
}

pub fn print(row: fmt::Arguments<'_>) {
    let _ = Console.write_fmt(row);
}

fn semihost(operation: usize, argument: usize) {
    // SAFETY: QEMU serves the operation, and reads at most what the argument points to.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument) };
}

/// SYS_EXIT with ADP_Stopped_ApplicationExit, or with ADP_Stopped_RunTimeErrorUnknown.
fn exit(reason: usize) -> ! {
    semihost(0x18, reason);
    loop {}
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Console, "{info}");
    exit(0x2_0023)
}

// A fault shows as QEMU's lockup.
global_asm!(".section .vectors, \"a\"", ".word stack_top", ".word reset");

#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    calibrate();
    peers::run_all();
    exit(0x2_0026)
}
