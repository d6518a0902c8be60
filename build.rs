// SPDX-License-Identifier: Apache-2.0
//! Hands the numbers of Kconfig to `src/config.rs`, and chooses who computes the accept key
//! and whether there is TLS and Zephyr's HTTP server.
//!
//! In a Zephyr build `DOTCONFIG` names the file with the values. Without it, as in a build of the
//! documentation on a PC, the defaults of this module's own Kconfig stand in, and the features of
//! the crate choose.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const KCONFIG: &str = "Kconfig";
const MENU: &str = "RUST_WEBSOCKET";

/// Providers of the accept key. Where several features are enabled, the first of these counts, as
/// the last is there by default.
const PROVIDERS: [&str; 3] = ["psa", "compact", "sha1_smol"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(accept_key, values(\"{}\"))", PROVIDERS.join("\", \""));
    println!("cargo::rustc-check-cfg=cfg(zephyr_tls, zephyr_http)");
    println!("cargo:rerun-if-changed={KCONFIG}");
    println!("cargo:rerun-if-env-changed=DOTCONFIG");

    let is_zephyr = env::var_os("CARGO_FEATURE_ZEPHYR").is_some();
    let dotconfig = env::var("DOTCONFIG").ok().filter(|_| is_zephyr).map(|path| {
        println!("cargo:rerun-if-changed={path}");
        read(&path)
    });
    if let Some(text) = &dotconfig {
        assert!(
            value_of(text, MENU) == Some("y"),
            "CONFIG_{MENU} is not enabled: set it to y in the application's prj.conf, and look for \
             warnings of Kconfig about what it depends on"
        );
    }
    choose_provider(dotconfig.as_deref());
    let has_tls = |text| value_of(text, "NET_SOCKETS_SOCKOPT_TLS") == Some("y");
    if dotconfig.as_deref().is_none_or(has_tls) {
        println!("cargo::rustc-cfg=zephyr_tls");
    }
    let has_http = |text| value_of(text, "RUST_WEBSOCKET_HTTP_SERVER") == Some("y");
    if dotconfig.as_deref().is_none_or(has_http) {
        println!("cargo::rustc-cfg=zephyr_http");
    }

    let mut constants = String::new();
    for (name, default) in int_options(&read(KCONFIG)) {
        let value = match &dotconfig {
            Some(text) => value_of(text, &name)
                .unwrap_or_else(|| panic!("CONFIG_{name} is missing from DOTCONFIG")),
            None => default.as_str(),
        };
        let number: u32 =
            value.parse().unwrap_or_else(|_| panic!("CONFIG_{name}={value} is no plain number"));
        let constant = &name[MENU.len() + 1..];
        writeln!(constants, "pub const {constant}: u32 = {number};").expect("a String grows");
    }

    // Zephyr's own, for a check when the crate is compiled.
    let poll_max = dotconfig.as_deref().and_then(|text| value_of(text, "ZVFS_POLL_MAX"));
    let poll_max = poll_max.unwrap_or("u32::MAX");
    writeln!(constants, "pub const POLL_MAX: u32 = {poll_max};").expect("a String grows");

    let out = env::var("OUT_DIR").expect("Cargo sets OUT_DIR");
    let out = Path::new(&out).join("kconfig.rs");
    fs::write(&out, constants).unwrap_or_else(|e| panic!("cannot write {}: {e}", out.display()));
}

/// Sets the `cfg` that `src/handshake/accept_key` is compiled by.
fn choose_provider(dotconfig: Option<&str>) {
    let enabled = |provider: &str| {
        let feature = format!("CARGO_FEATURE_ACCEPT_{}", provider.to_uppercase());
        env::var_os(feature).is_some()
    };
    let chosen = |provider: &str| match dotconfig {
        Some(text) => {
            let option = format!("{MENU}_ACCEPT_KEY_{}", provider.to_uppercase());
            value_of(text, &option) == Some("y")
        }
        None => enabled(provider),
    };
    let Some(provider) = PROVIDERS.into_iter().find(|provider| chosen(provider)) else {
        panic!(
            "nothing computes the accept key of the opening handshake: enable the feature \
             accept-sha1-smol or accept-compact"
        );
    };
    assert!(
        provider != "sha1_smol" || enabled(provider),
        "CONFIG_{MENU}_ACCEPT_KEY_SHA1_SMOL needs the feature accept-sha1-smol of zephyr-websocket, \
         a default one that the application's Cargo.toml turns off"
    );
    println!("cargo::rustc-cfg=accept_key=\"{provider}\"");
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {path}: {e}"))
}

/// The value of `CONFIG_name` in the text of a `.config` file.
fn value_of<'a>(dotconfig: &'a str, name: &str) -> Option<&'a str> {
    dotconfig
        .lines()
        .find_map(|line| line.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('='))
}

/// The integer options that a Kconfig text defines, with their defaults.
fn int_options(kconfig: &str) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut name = None;
    let mut is_int = false;
    for line in kconfig.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("config" | "menuconfig"), Some(word)) => {
                name = Some(word);
                is_int = false;
            }
            (Some("int"), _) => is_int = true,
            (Some("default"), Some(value)) if is_int => {
                // The first default is the one that counts.
                if let Some(name) = name.take() {
                    options.push((name.to_owned(), value.to_owned()));
                }
            }
            _ => {}
        }
    }
    options
}
