// SPDX-License-Identifier: Apache-2.0
//! The client under test by Autobahn|Testsuite, on a PC. `scripts/autobahn.sh host client` runs it.

use std::net::TcpStream;
use std::process::ExitCode;

use zephyr_websocket::Url;
use zephyr_websocket::host::{OsEntropy, TcpTransport};

#[path = "support/echo.rs"]
#[allow(dead_code, reason = "only the echo itself is the client's too")]
mod echo;
#[path = "../tests/autobahn/client/src/suite.rs"]
mod suite;
mod support;

const HELP: &str = "\
Runs every case of a fuzzing server of Autobahn|Testsuite.

Usage: autobahn_client URL

  URL     ws://HOST:PORT of the fuzzing server
  --help  print this";

fn main() -> ExitCode {
    let url = match support::url_argument("autobahn_client", HELP) {
        Ok(url) => url,
        Err(status) => return status,
    };
    match run(&url) {
        Ok(count) => {
            println!("{count} cases run");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("autobahn_client: {url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let url = Url::parse(url)?;
    let dial = || TcpStream::connect((url.host, url.port)).and_then(TcpTransport::new);
    let (mut rx, mut tx) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    Ok(suite::run(dial, OsEntropy, url.authority, &mut rx, &mut tx)?)
}
