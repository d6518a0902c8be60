// SPDX-License-Identifier: Apache-2.0
//! Bare metal needs the memory map of QEMU's board; the PC needs Debian's wslay.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    let argument = if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        format!("-T{here}/instructions/mps2-an386.ld")
    } else {
        "-lwslay".into()
    };
    println!("cargo:rustc-link-arg-bin=instructions={argument}");
    println!("cargo:rerun-if-changed=instructions");
}
