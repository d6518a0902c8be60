// SPDX-License-Identifier: Apache-2.0
//! Runs a job on QEMU's mps2-an386 through the conversations of conversations.py: it is the job's
//! socket, compares everything that the job sends, and measures the job's stack.
//!
//! It prints lines for measure.py: `run RECORD` and `failed RECORD FIRST PIECE ITEM WHY` for each
//! conversation, `type SIZE NAME`, `stack BYTES BYTES-WITH-ACCEPT-KEY`, and at the end `done RUNS`.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::hint::spin_loop;
use core::panic::PanicInfo;
use core::slice::from_raw_parts;

use zephyr_websocket::handshake::{client, server};
use zephyr_websocket::hub::Slot;
use zephyr_websocket::{Client, Connection, Server};

// The job runs on the process stack, the harness on the main one: what lies on the job's stack is
// the job's own.
global_asm!(
    r#"
    .section .vectors, "a"
    .word harness_stack_top, reset, fault, fault

    .macro socket name
    .balign 64
    mov ip, #0
    msr control, ip
    isb
    push {{r4, lr}}
    bl \name
    pop {{r4, lr}}
    mov ip, #2
    msr control, ip
    isb
    bx lr
    .endm
    .section .sockets, "ax"
    socket receive
    socket send
    socket entropy

    .text
    .thumb_func
    .global call_job
call_job:
    push {{r4, lr}}
    msr psp, r2
    mov ip, #2
    msr control, ip
    isb
    blx r1
    mov ip, #0
    msr control, ip
    isb
    pop {{r4, pc}}
"#
);

unsafe extern "C" {
    fn call_job(buffer: *mut u8, main: usize, stack: *mut u32);
    static mut job_stack_bottom: u32;
    static mut job_stack_top: u32;
}

const BUFFER: usize = 1024;
const PAINT: u32 = 0xA5A5_A5A5;
const CONVERSATIONS: *const u8 = 0x2100_0000 as _;

/// What of conversations.py is not read yet.
#[derive(Clone, Copy)]
struct Script(&'static [u8]);

impl Script {
    fn bytes(&mut self, len: usize) -> &'static [u8] {
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    fn number(&mut self) -> usize {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap()) as usize
    }

    fn sized(&mut self) -> &'static [u8] {
        let len = self.number();
        self.bytes(len)
    }
}

/// What the job must send: a frame with this first byte, unless it is raw bytes.
#[derive(Clone, Copy)]
struct Item {
    kind: usize,
    bytes: &'static [u8],
}

impl Item {
    const RAW: usize = 0x100;
    /// Followed by a Close frame of failure, and sent as far as it came before that.
    const PARTIAL: usize = 0x200;
}

// What applies to a record as a whole.
const GIVES_UP: usize = 1;
const SPLITS: usize = 2;
const MASKS: usize = 4;

/// One run of the job.
struct Run {
    flags: usize,
    input: Script,
    /// How many bytes the next `receive` gives at most, and each after it.
    first: usize,
    piece: usize,
    /// Each received frame arrives whole, and is echoed as one.
    exact: bool,
    items: Script,
    item: Option<Item>,
    item_number: usize,
    /// How much of the item was sent.
    at: usize,
    in_message: bool,
    key: [u8; 4],
    /// Whether the job has asked for more than the script has.
    ended: bool,
    failure: Option<&'static str>,
    has_sent: bool,
    sent_request: bool,
    opened: bool,
    /// The most bytes on the stack, without and with the computation of the accept key.
    stack: [usize; 2],
}

const NO_RUN: Run = Run {
    flags: 0,
    input: Script(&[]),
    first: 0,
    piece: 0,
    exact: false,
    items: Script(&[]),
    item: None,
    item_number: 0,
    at: 0,
    in_message: false,
    key: *b"\x5A\x0F\xC3\x96",
    ended: false,
    failure: None,
    has_sent: false,
    sent_request: false,
    opened: false,
    stack: [0; 2],
};

struct Shared(UnsafeCell<Run>);
// SAFETY: there is one thread.
unsafe impl Sync for Shared {}

static RUN: Shared = Shared(UnsafeCell::new(NO_RUN));

/// The current run. Nobody keeps it across a call of the job.
fn run() -> &'static mut Run {
    // SAFETY: see above.
    unsafe { &mut *RUN.0.get() }
}

impl Run {
    fn start(&mut self, flags: usize, input: Script, items: Script, feed: (usize, usize)) {
        let (first, piece) = feed;
        let exact = first >= input.0.len() && input.0.len() <= BUFFER;
        let (key, stack) = (self.key, self.stack);
        *self = Run { flags, input, first, piece, exact, items, key, stack, ..NO_RUN };
        self.next();
    }

    /// Goes on to the next item; the first is number 1.
    fn next(&mut self) {
        self.at = 0;
        self.item_number += 1;
        self.item = (!self.items.0.is_empty())
            .then(|| Item { kind: self.items.number(), bytes: self.items.sized() });
    }

    fn fail(&mut self, why: &'static str) -> isize {
        self.failure.get_or_insert(why);
        -1
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let gives_up = self.flags & GIVES_UP != 0;
        match self.failure {
            Some(why) => Err(why),
            None if self.item.is_some() => Err("ends before it has sent this"),
            None if self.ended && gives_up => Err("asks for more instead of giving up"),
            None if !self.ended && !gives_up => Err("gives up"),
            None => Ok(()),
        }
    }

    fn receive(&mut self, room: usize) -> &'static [u8] {
        let len = self.first.min(room).min(self.input.0.len());
        self.ended |= room > 0 && len == 0;
        self.first = self.piece;
        self.input.bytes(len)
    }

    fn sent(&mut self, head: &[u8], payload: &[u8]) -> Result<(), &'static str> {
        let mut item = self.item.ok_or("sends more")?;
        if item.kind & Item::RAW != 0 {
            self.next();
            let (start, end) = item.bytes.split_at_checked(head.len()).ok_or("is longer")?;
            return (start == head && end == payload).then_some(()).ok_or("differs");
        }
        let is_control = head.first().is_some_and(|first| first & 8 != 0);
        if is_control && item.kind & Item::PARTIAL != 0 {
            if self.piece == 1 && self.at < item.bytes.len() {
                return Err("is not echoed before the wrong byte");
            }
            self.next();
            item = self.item.ok_or("sends more")?;
        }
        let rest = &item.bytes[self.at..];
        let expected = rest.get(..payload.len()).ok_or("is longer")?;
        let complete = expected.len() == rest.len();
        let first = item.kind as u8;
        if !complete && (first & 8 != 0 || self.exact || payload.is_empty()) {
            return Err("is shorter");
        }
        let opcode = if first & 8 == 0 && self.in_message { 0 } else { first & 0x0F };
        let fin = if complete { first & 0x80 } else { 0 };
        let masks = self.flags & MASKS != 0;
        let key = if masks { self.key } else { [0; 4] };
        if !is_header(head, fin | opcode, payload.len(), masks.then_some(key)) {
            return Err("has another header");
        }
        if payload.iter().zip(expected).zip(key.iter().cycle()).any(|((a, b), key)| a ^ key != *b) {
            return Err("differs");
        }
        if first & 8 == 0 {
            self.in_message = fin == 0;
        }
        self.at += payload.len();
        if complete {
            self.next();
        }
        Ok(())
    }

    /// Takes the peak of the stack since the last time, and paints it again.
    fn measure_stack(&mut self, with_accept_key: bool, in_use: *mut u32) {
        // SAFETY: the stack of the job, which does not run, up to what it uses.
        unsafe {
            let mut at = &raw mut job_stack_bottom;
            while at < in_use && at.read_volatile() == PAINT {
                at = at.add(1);
            }
            let depth = (&raw mut job_stack_top).byte_offset_from_unsigned(at);
            let peak = &mut self.stack[usize::from(with_accept_key)];
            *peak = depth.max(*peak);
            while at < in_use {
                at.write_volatile(PAINT);
                at = at.add(1);
            }
        }
    }

    /// Just before a server sends its acceptance, and between a client's request and what it then
    /// receives, the accept key was computed. Later there is no such difference to look for.
    fn event(&mut self, sends: Option<&[u8]>) {
        if self.opened {
            return;
        }
        let in_use;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, psp", out(reg) in_use) };
        let accepts = sends.is_some_and(|head| head.starts_with(b"HTTP/1.1 101"));
        self.measure_stack(accepts || self.sent_request, in_use);
        self.opened = self.has_sent;
        self.has_sent |= sends.is_some();
        self.sent_request = sends.is_some_and(|head| head.starts_with(b"GET "));
    }
}

/// Whether `head` is the shortest header of such a frame.
fn is_header(head: &[u8], first: u8, len: usize, key: Option<[u8; 4]>) -> bool {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut header = [0; 14];
    header[0] = first;
    let short = match len {
        0..126 => (len as u8, 2),
        126..0x1_0000 => (126, 4),
        _ => (127, 10),
    };
    header[1] = short.0 | mask;
    header[2..short.1].copy_from_slice(&(len as u64).to_be_bytes()[10 - short.1..]);
    let end = short.1 + key.map_or(0, |key| key.len());
    header[short.1..end].copy_from_slice(&key.unwrap_or_default()[..end - short.1]);
    head == &header[..end]
}

#[unsafe(no_mangle)]
extern "C" fn receive(buffer: *mut u8, len: usize) -> isize {
    let run = run();
    run.event(None);
    if run.failure.is_some() {
        return -1;
    }
    let bytes = run.receive(len);
    // SAFETY: the job gives room for `len` bytes.
    unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    bytes.len() as isize
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(
    head: *const u8,
    head_len: usize,
    payload: *const u8,
    payload_len: usize,
) -> isize {
    // SAFETY: the job gives two slices.
    let (head, payload) =
        unsafe { (from_raw_parts(head, head_len), from_raw_parts(payload, payload_len)) };
    let run = run();
    run.event(Some(head));
    match run.failure.map_or_else(|| run.sent(head, payload), Err) {
        Ok(()) => 0,
        Err(why) => run.fail(why),
    }
}

#[unsafe(no_mangle)]
extern "C" fn entropy(buffer: *mut u8, len: usize) {
    let run = run();
    run.event(None);
    run.key = u32::from_le_bytes(run.key).wrapping_mul(0x0019_660D).wrapping_add(1).to_le_bytes();
    // The nonce of RFC 6455 section 1.3, or a masking key.
    let bytes = if len == 16 { &b"the sample nonce"[..] } else { &run.key };
    // SAFETY: the job gives room for `len` bytes.
    unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), len.min(bytes.len())) };
}

#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    // SAFETY: QEMU has loaded it here, its length first.
    let mut script = unsafe {
        Script(from_raw_parts(CONVERSATIONS.add(4), CONVERSATIONS.cast::<u32>().read() as usize))
    };
    let main = script.number();
    let mut buffer = [0; BUFFER + 4];
    let (mut runs, mut record) = (0, 0);
    let stack_top = &raw mut job_stack_top;
    // Paints it.
    run().measure_stack(false, stack_top);
    run().stack = NO_RUN.stack;
    while !script.0.is_empty() {
        let (flags, input) = (script.number(), Script(script.sized()));
        let items = Script(script.sized());
        print(format_args!("run {record}"));
        let len = input.0.len();
        let splits = if flags & SPLITS != 0 { 1..len } else { 0..0 };
        let feeds = [(len, len), (1, 1), (3, 3)].into_iter().chain(splits.map(|at| (at, len)));
        for feed in feeds {
            buffer.fill(0xEE);
            run().start(flags, input, items, feed);
            // SAFETY: the job's entry, which gets a buffer, at each alignment in turn, and a stack.
            unsafe { call_job(buffer.as_mut_ptr().add(runs % 4), main, stack_top) };
            let run = run();
            run.measure_stack(false, stack_top);
            runs += 1;
            if let Err(why) = run.end() {
                let ((first, piece), item) = (feed, run.item_number);
                print(format_args!("failed {record} {first} {piece} {item} {why}"));
                break;
            }
        }
        record += 1;
    }
    print(format_args!("type {} Connection<Server>", size_of::<Connection<Server>>()));
    print(format_args!("type {} Connection<Client>", size_of::<Connection<Client>>()));
    print(format_args!("type {} server::Handshake", size_of::<server::Handshake>()));
    print(format_args!("type {} client::Handshake", size_of::<client::Handshake<'_>>()));
    // What a hub keeps of a connection, apart from its socket.
    let slot = size_of::<Slot<u32>>() - size_of::<Option<u32>>();
    print(format_args!("type {slot} hub::Slot"));
    print(format_args!("stack {} {}", run().stack[0], run().stack[1]));
    print(format_args!("done {runs}"));
    exit(0x2_0026)
}

#[unsafe(no_mangle)]
extern "C" fn fault() -> ! {
    print(format_args!("fault"));
    exit(0x2_0023)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("{info}"));
    exit(0x2_0023)
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

fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(Console, "{line}");
}

fn semihost(operation: usize, argument: usize) {
    // SAFETY: QEMU serves the operation, and reads at most what the argument points to.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument) };
}

/// SYS_EXIT: ADP_Stopped_ApplicationExit, or ADP_Stopped_RunTimeErrorUnknown.
fn exit(reason: usize) -> ! {
    semihost(0x18, reason);
    loop {
        spin_loop();
    }
}
