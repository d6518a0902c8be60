// SPDX-License-Identifier: Apache-2.0
//! The functions of `zephyr/shim.c`, whose contract stands there.

use core::ffi::{c_char, c_int, c_void};

use super::poll::PollSocket;
use super::usage::Usage;

/// What `rust_websocket_recv_or_writable` returns when the socket takes bytes: `CAUSE_WRITABLE`.
pub(super) const WRITABLE: c_int = -15;

/// A deadline that is over: nothing waits.
pub(super) const PAST: i64 = 0;

/// A deadline that never comes.
pub(super) const NEVER: i64 = i64::MAX;

// SAFETY: the signatures are those of zephyr/shim.c. The `safe` ones take nothing but numbers, and
// Zephyr checks every descriptor.
unsafe extern "C" {
    pub(super) safe fn rust_websocket_uptime_ms() -> i64;
    /// `bytes` must be writable for `len` bytes.
    pub(super) fn rust_websocket_csrand(bytes: *mut c_void, len: usize) -> c_int;
    /// `bytes` must be readable for `len` bytes, `digest` writable.
    #[cfg(accept_key = "psa")]
    pub(super) fn rust_websocket_sha1(bytes: *const u8, len: usize, digest: *mut [u32; 5])
    -> c_int;
    /// `host` must be a string that ends with a zero byte.
    pub(super) fn rust_websocket_connect(host: *const c_char, port: u16, deadline: i64) -> c_int;
    /// `listeners` must be writable for two descriptors, `port` readable and writable.
    pub(super) fn rust_websocket_listen(
        listeners: *mut c_int,
        port: *mut u16,
        backlog: c_int,
    ) -> c_int;
    pub(super) safe fn rust_websocket_accept(first: c_int, second: c_int, deadline: i64) -> c_int;
    /// `bytes` must be writable for `len` bytes.
    pub(super) fn rust_websocket_recv(
        fd: c_int,
        bytes: *mut c_void,
        len: usize,
        deadline: i64,
    ) -> c_int;
    /// `bytes` must be writable for `len` bytes.
    pub(super) fn rust_websocket_recv_or_writable(
        fd: c_int,
        bytes: *mut c_void,
        len: usize,
        deadline: i64,
    ) -> c_int;
    /// `head` and `payload` must be readable for their lengths.
    pub(super) fn rust_websocket_send(
        fd: c_int,
        head: *const c_void,
        head_len: usize,
        payload: *const c_void,
        payload_len: usize,
        deadline: i64,
    ) -> c_int;
    /// `sockets` must be readable and writable for `count` of them.
    pub(super) fn rust_websocket_poll(
        sockets: *mut PollSocket,
        count: c_int,
        deadline: i64,
    ) -> c_int;
    /// `usage` must be writable.
    pub(super) fn rust_websocket_usage(usage: *mut Usage);
    pub(super) safe fn rust_websocket_wait_writable(
        fd: c_int,
        refused: bool,
        deadline: i64,
    ) -> c_int;
    pub(super) safe fn rust_websocket_shutdown(fd: c_int) -> c_int;
    pub(super) safe fn rust_websocket_close(fd: c_int) -> c_int;
}
