// SPDX-License-Identifier: Apache-2.0
//! The echo client on a PC.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use zephyr_websocket::Url;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::host::{OsEntropy, TcpTransport};

#[path = "../samples/echo_client/src/client.rs"]
mod client;
mod support;

const HELP: &str = "\
Sends messages to a WebSocket echo server and checks what comes back.

Usage: echo_client URL

  URL     ws://HOST[:PORT][/PATH]
  --help  print this";

fn main() -> ExitCode {
    let url = match support::url_argument("echo_client", HELP) {
        Ok(url) => url,
        Err(status) => return status,
    };
    match run(&url) {
        Ok(count) => {
            println!("{count} messages echoed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("echo_client: {url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let url = Url::parse(url)?;
    if url.is_secure {
        return Err("wss is not supported here: use ws".into());
    }
    let transport = TcpTransport::new(TcpStream::connect((url.host, url.port))?)?;
    let request = Request::new(url.authority, url.resource_name);
    let buffers: [&mut [u8]; 3] = [&mut [0; 4096], &mut [0; 1024], &mut [0; 4096]];
    let timeouts = client::Timeouts {
        handshake: Duration::from_secs(10),
        message: Duration::from_secs(10),
        close: Duration::from_secs(2),
    };
    client::run(transport, OsEntropy, &request, buffers, &timeouts)
        .map_err(|failure| failure.to_string().into())
}
