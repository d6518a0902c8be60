// SPDX-License-Identifier: Apache-2.0
//! What of the system's memory is in use.

use core::fmt;

use zephyr_websocket::zephyr::{InUse, Usage, uptime_ms, usage};

/// Writes it as JSON: for each kind how many are in use, and how many there are.
pub fn write(out: &mut dyn fmt::Write) -> fmt::Result {
    let Usage { rx_packets, tx_packets, rx_buffers, tx_buffers, contexts, heap } = usage();
    write!(out, "{{\"uptime_ms\":{}", uptime_ms())?;
    for (name, InUse { used, total }) in [
        ("rx_packets", rx_packets),
        ("tx_packets", tx_packets),
        ("rx_buffers", rx_buffers),
        ("tx_buffers", tx_buffers),
        ("contexts", contexts),
        ("heap", heap),
    ] {
        write!(out, ",\"{name}\":[{used},{total}]")?;
    }
    out.write_str("}\n")
}
