// SPDX-License-Identifier: Apache-2.0
//! WebSockets of which one thread receives while others send.

#![no_std]

mod both_ends;
mod server;

use core::fmt;
use core::time::Duration;

use log::error;
use static_cell::StaticCell;
use zephyr::kconfig::CONFIG_SPLIT_PORT;
use zephyr::printkln;
use zephyr::time::sleep;
use zephyr_websocket::zephyr::{Mutex, Mutexes, TcpStream};
use zephyr_websocket::{Error, Lock, ReceiveHalf, SendHalf, Split};

const LATER: Duration = Duration::from_secs(30);
const STACK_SIZE: usize = 6144;

type Result<T> = core::result::Result<T, Error<zephyr_websocket::zephyr::Error>>;
type Receiver<R> = ReceiveHalf<'static, 'static, TcpStream, R, Mutexes>;
type Sender<R> = SendHalf<'static, 'static, TcpStream, R, Mutexes>;
type Cell<R> = StaticCell<Split<'static, TcpStream, R, Mutexes>>;

/// How many of the other threads have ended, and what went wrong in all.
static ENDED: Mutex<u32> = Mutex::new(0);
static FAILURES: Mutex<u32> = Mutex::new(0);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let result = if CONFIG_SPLIT_PORT == 0 { both_ends::run() } else { server::run() };
    match result {
        Ok(()) if FAILURES.with(|failures| *failures) == 0 => printkln!("all checks passed"),
        Ok(()) => error!("FAILED"),
        Err(error) => error!("FAILED: {}", error),
    }
}

/// Logs what did not hold.
fn check(holds: bool, what: impl fmt::Display) {
    if !holds {
        error!("FAILED: {}", what);
        FAILURES.with(|failures| *failures += 1);
    }
}

/// How a thread ends.
fn end(result: Result<()>, what: &str) {
    if let Err(error) = result {
        check(false, format_args!("{what}: {error}"));
    }
    ENDED.with(|ended| *ended += 1);
}

/// Waits until as many threads as `count` have ended.
fn wait_for_ended(count: u32) {
    let has_ended = || ENDED.with(|ended| *ended) == count;
    for _ in 0..1000 {
        if has_ended() {
            break;
        }
        sleep(zephyr::time::Duration::millis(10));
    }
    check(has_ended(), "a thread has not ended");
}

/// The message of the thread `name` with this number, at most as long as `buffer`.
fn message(name: u8, index: u32, buffer: &mut [u8]) -> &[u8] {
    let len = 5 + index as usize * 37 % (buffer.len() - 4);
    buffer.fill(name);
    buffer[..4].copy_from_slice(&index.to_be_bytes());
    &buffer[..len]
}
