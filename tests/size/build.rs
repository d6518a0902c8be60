// SPDX-License-Identifier: Apache-2.0
//! In a job the socket functions get an address instead of code, which harness.ld has too; nothing
//! else may stay undefined.

fn main() {
    for job in ["server", "client", "frames", "hub"] {
        for (index, symbol) in ["receive", "send", "entropy"].iter().enumerate() {
            let address = 0x3_0001 + 64 * index;
            println!("cargo:rustc-link-arg-bin={job}=--defsym=socket_{symbol}={address:#x}");
        }
        println!("cargo:rustc-link-arg-bin={job}=--entry=main");
    }
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    println!("cargo:rustc-link-arg-bin=harness=-T{here}/harness.ld");
    println!("cargo:rerun-if-changed=harness.ld");
}
