// SPDX-License-Identifier: Apache-2.0

#[path = "../common/certificates.rs"]
mod certificates;

fn main() {
    zephyr_build::export_kconfig_bool_options();
    certificates::copy(&["ca.der"]);
}
