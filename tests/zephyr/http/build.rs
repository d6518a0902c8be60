// SPDX-License-Identifier: Apache-2.0

#[path = "../../../samples/common/certificates.rs"]
mod certificates;

fn main() {
    zephyr_build::export_kconfig_bool_options();
    certificates::copy(&["server.der", "server.key.der"]);
}
