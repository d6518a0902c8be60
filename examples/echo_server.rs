// SPDX-License-Identifier: Apache-2.0
//! The echo server on a PC, for many connections in one thread.

use std::net::Ipv6Addr;
use std::process::ExitCode;
use std::time::Duration;

use zephyr_websocket::host::TcpNetwork;
use zephyr_websocket::hub::{Hub, Settings, Slot, Timeouts};

#[path = "../samples/echo_server/src/echo.rs"]
mod echo;

const HELP: &str = "\
Echoes WebSocket messages, and serves a page at / to try it from a browser.

Usage: echo_server [--port PORT] [--origin ORIGIN] [--connections COUNT] [--idle-ms MS]

  --port PORT          TCP port on all addresses of this machine, 0 for any [default: 9001]
  --origin ORIGIN      let only pages of this origin connect, such as http://localhost:9001
  --connections COUNT  at a time, 1 to 1000 [default: 64]
  --idle-ms MS         without a sign of life before a Ping is sent, and again before the peer is
                       given up [default: 30000]
  --help               print this";

const BUFFER: usize = 64 * 1024;

struct Options {
    port: u16,
    origin: Option<String>,
    connections: usize,
    idle: Duration,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("echo_server: {message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: port {}: {error}", options.port);
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options =
        Options { port: 9001, origin: None, connections: 64, idle: Duration::from_secs(30) };
    while let Some(argument) = arguments.next() {
        if let "--help" | "-h" = argument.as_str() {
            return Ok(None);
        }
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--port" => {
                let port = value()?;
                options.port = port.parse().map_err(|_| format!("{port} is not a port"))?;
            }
            "--origin" => options.origin = Some(value()?),
            "--connections" => {
                let count = value()?;
                options.connections = (count.parse().ok())
                    .filter(|count| (1..=1000).contains(count))
                    .ok_or(format!("{count} is not 1 to 1000"))?;
            }
            "--idle-ms" => {
                let ms = value()?;
                let ms: u32 = ms.parse().map_err(|_| format!("{ms} is no number of ms"))?;
                options.idle = Duration::from_millis(ms.into());
            }
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(Some(options))
}

fn serve(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    // One socket for IPv6 and IPv4 where the system has both.
    let network = TcpNetwork::bind((Ipv6Addr::UNSPECIFIED, options.port))
        .or_else(|_| TcpNetwork::bind(("0.0.0.0", options.port)))?;
    println!("listening on http://localhost:{}/", network.local_addr()?.port());
    let timeouts = Timeouts { ping: Some(options.idle), pong: options.idle, ..Timeouts::default() };
    let settings = Settings { timeouts, ..Settings::default() };
    let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(options.connections).collect();
    let mut rx = vec![0; options.connections * BUFFER];
    let mut tx = vec![0; options.connections * BUFFER];
    let mut hub = Hub::new(network, &mut slots, &mut rx, &mut tx, &settings)?;
    Ok(hub.run(&mut echo::Echo::new(options.origin.as_deref()))?)
}
