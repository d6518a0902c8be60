// SPDX-License-Identifier: Apache-2.0

fn main() {
    zephyr_build::export_kconfig_bool_options();
}
