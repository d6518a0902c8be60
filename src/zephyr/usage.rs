// SPDX-License-Identifier: Apache-2.0
//! How much of the memory below is in use.

use super::ffi;

/// How many of something are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct InUse {
    /// So many are in use.
    pub used: u32,
    /// So many there are; 0 where the system has none, or does not count them.
    pub total: u32,
}

/// What of Zephyr's network stack and of the kernel's heap is in use.
///
/// Offloaded sockets, such as those of the PC on `native_sim`, take nothing of the first five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Usage {
    /// Packets that have arrived and are not taken yet (`CONFIG_NET_PKT_RX_COUNT`).
    pub rx_packets: InUse,
    /// Packets on their way (`CONFIG_NET_PKT_TX_COUNT`).
    pub tx_packets: InUse,
    /// Their buffers (`CONFIG_NET_BUF_RX_COUNT`), if `CONFIG_NET_BUF_POOL_USAGE` counts them.
    pub rx_buffers: InUse,
    /// Their buffers (`CONFIG_NET_BUF_TX_COUNT`), if `CONFIG_NET_BUF_POOL_USAGE` counts them.
    pub tx_buffers: InUse,
    /// Sockets of the stack (`CONFIG_NET_MAX_CONTEXTS`).
    pub contexts: InUse,
    /// Bytes of the kernel's heap, if `CONFIG_SYS_HEAP_RUNTIME_STATS` counts them.
    pub heap: InUse,
}

/// What is in use now.
pub fn usage() -> Usage {
    let mut usage = Usage::default();
    // SAFETY: the pointer is that of a local variable, and Usage is struct rust_websocket_usage.
    unsafe { ffi::rust_websocket_usage(&mut usage) };
    usage
}
