// SPDX-License-Identifier: Apache-2.0
//! The functions of `zephyr/*.c`, whose contract stands there.

use core::ffi::{c_char, c_int, c_void};

use super::poll::PollSocket;
use super::usage::Usage;

/// What `rust_websocket_recv_or_writable` returns when the socket takes bytes: `CAUSE_WRITABLE`.
pub(super) const WRITABLE: c_int = -15;

/// `struct rust_websocket_address`.
#[derive(Default)]
#[repr(C)]
pub(super) struct Address {
    pub(super) ip: [u8; 16],
    pub(super) scope_id: u32,
    pub(super) port: u16,
}

/// `struct tls_options`.
#[cfg(zephyr_tls)]
#[repr(C)]
pub(super) struct TlsOptions {
    pub(super) sec_tags: *const c_int,
    pub(super) sec_tags_count: usize,
    pub(super) hostname: *const c_char,
    pub(super) verify: c_int,
}

/// `struct rust_websocket_tls_output`.
#[cfg(zephyr_tls)]
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct TlsOutput {
    waiting: usize,
    untold: usize,
}

/// A deadline that is over: nothing waits.
pub(super) const PAST: i64 = 0;

/// A deadline that never comes.
pub(super) const NEVER: i64 = i64::MAX;

// SAFETY: the signatures are those of zephyr/*.c. The `safe` ones take nothing but numbers, and
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
    /// `host` must be a string that ends with a zero byte. `options` must be readable, and what it
    /// points to.
    #[cfg(zephyr_tls)]
    pub(super) fn rust_websocket_tls_connect(
        host: *const c_char,
        port: u16,
        options: *const TlsOptions,
        deadline: i64,
    ) -> c_int;
    /// `listeners` must be writable for two descriptors, `port` readable and writable. `options`
    /// must be readable, and what it points to.
    #[cfg(zephyr_tls)]
    pub(super) fn rust_websocket_tls_listen(
        listeners: *mut c_int,
        options: *const TlsOptions,
        port: *mut u16,
        backlog: c_int,
    ) -> c_int;
    #[cfg(zephyr_tls)]
    pub(super) safe fn rust_websocket_tls_accept(
        first: c_int,
        second: c_int,
        deadline: i64,
    ) -> c_int;
    /// `bytes` must be readable for `len` bytes for ever.
    #[cfg(zephyr_tls)]
    pub(super) fn rust_websocket_tls_credential_add(
        sec_tag: c_int,
        kind: c_int,
        bytes: *const c_void,
        len: usize,
    ) -> c_int;
    #[cfg(zephyr_tls)]
    pub(super) safe fn rust_websocket_is_tls(fd: c_int) -> bool;
    /// `output` must be that of `fd`, and `head` and `payload` readable for their lengths.
    #[cfg(zephyr_tls)]
    pub(super) fn rust_websocket_tls_send(
        fd: c_int,
        output: *mut TlsOutput,
        head: *const c_void,
        head_len: usize,
        payload: *const c_void,
        payload_len: usize,
        deadline: i64,
    ) -> c_int;
    pub(super) safe fn rust_websocket_set_nodelay(fd: c_int, on: bool) -> c_int;
    pub(super) safe fn rust_websocket_set_keepalive(
        fd: c_int,
        idle_s: c_int,
        interval_s: c_int,
        count: c_int,
    ) -> c_int;
    /// `address` must be writable.
    pub(super) fn rust_websocket_peer(fd: c_int, address: *mut Address) -> c_int;
    pub(super) safe fn rust_websocket_is_connected(fd: c_int) -> bool;
    /// `sockets` must be readable and writable for `count` of them.
    pub(super) fn rust_websocket_poll(
        sockets: *mut PollSocket,
        count: c_int,
        deadline: i64,
    ) -> c_int;
    /// `usage` must be writable.
    pub(super) fn rust_websocket_usage(usage: *mut Usage);
    #[cfg(zephyr_http)]
    pub(super) safe fn rust_websocket_http_start() -> c_int;
    #[cfg(zephyr_http)]
    pub(super) safe fn rust_websocket_http_stop() -> c_int;
    #[cfg(zephyr_http)]
    pub(super) safe fn rust_websocket_http_open() -> c_int;
    #[cfg(zephyr_http)]
    pub(super) safe fn rust_websocket_http_close();
    /// `bytes` must be writable for `size` bytes, `len` writable.
    #[cfg(zephyr_http)]
    pub(super) fn rust_websocket_http_take(bytes: *mut u8, size: usize, len: *mut usize) -> c_int;
    pub(super) safe fn rust_websocket_wait_writable(
        fd: c_int,
        refused: bool,
        deadline: i64,
    ) -> c_int;
    pub(super) safe fn rust_websocket_shutdown(fd: c_int) -> c_int;
    pub(super) safe fn rust_websocket_close(fd: c_int) -> c_int;
}
