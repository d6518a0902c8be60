// SPDX-License-Identifier: Apache-2.0
//! For build scripts: finds the certificates that are built in, or has them made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Copies `names` to where `include_bytes!(concat!(env!("OUT_DIR"), "/NAME"))` finds them, if the
/// sample speaks TLS.
pub fn copy(names: &[&str]) {
    let dotconfig = env::var("DOTCONFIG").expect("Zephyr's build sets DOTCONFIG");
    println!("cargo:rerun-if-env-changed=DOTCONFIG");
    println!("cargo:rerun-if-changed={dotconfig}");
    let text = fs::read_to_string(&dotconfig).unwrap_or_else(|e| panic!("{dotconfig}: {e}"));
    // There is this option only with CONFIG_SAMPLE_TLS.
    let Some(chosen) = text
        .lines()
        .find_map(|line| line.strip_prefix("CONFIG_SAMPLE_TLS_CERTIFICATES=\"")?.strip_suffix('"'))
    else {
        return;
    };
    let folder = if chosen.is_empty() {
        make(&Path::new(&dotconfig).with_file_name("certificates"))
    } else {
        PathBuf::from(chosen)
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    for name in names {
        let from = folder.join(name);
        println!("cargo:rerun-if-changed={}", from.display());
        fs::copy(&from, out.join(name)).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    }
}

fn make(folder: &Path) -> PathBuf {
    // As Cargo builds and runs a build script in the package's folder.
    let script = Path::new(file!()).with_file_name("certificates.sh");
    println!("cargo:rerun-if-changed={}", script.display());
    let status = Command::new("sh").arg(&script).arg(folder).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{} cannot make certificates: install openssl, or set CONFIG_SAMPLE_TLS_CERTIFICATES",
        script.display()
    );
    folder.to_path_buf()
}
