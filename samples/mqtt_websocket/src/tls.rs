// SPDX-License-Identifier: Apache-2.0
//! TLS, with a CA that is built in.

use core::ffi::{CStr, c_int};

use zephyr_websocket::zephyr::tls::{self, Credential, Verify};
use zephyr_websocket::zephyr::{Error, TcpStream, config};

/// Who may vouch for the broker.
const CA: c_int = 1;

/// Registers the CA, once.
pub fn add_ca() -> Result<(), Error> {
    let ca = include_bytes!(concat!(env!("OUT_DIR"), "/ca.der"));
    tls::add_credential(CA, Credential::CaCertificate, ca)
}

pub fn connect(host: &CStr, port: u16) -> Result<TcpStream, Error> {
    let client = tls::Client { sec_tags: &[CA], hostname: host, verify: Verify::Required };
    TcpStream::connect_tls(host, port, &client, config::CONNECT_TIMEOUT)
}
