// SPDX-License-Identifier: Apache-2.0
//! The echo server on a PC, a thread for each connection.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::Builder;
use std::time::Duration;

use zephyr_websocket::host::TcpTransport;

#[path = "support/echo.rs"]
mod echo;

const HELP: &str = "\
Echoes WebSocket messages, and serves a page at / to try it from a browser.

Usage: threaded_echo_server [--port PORT] [--origin ORIGIN]

  --port PORT      TCP port on all addresses of this machine, 0 for any [default: 9001]
  --origin ORIGIN  let only pages of this origin connect, such as http://localhost:9001
  --help           print this";

const BUFFER: usize = 64 * 1024;

struct Options {
    port: u16,
    origin: Option<String>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("threaded_echo_server: {message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match listen(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("threaded_echo_server: port {}: {error}", options.port);
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { port: 9001, origin: None };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--port" => {
                let port = arguments.next().ok_or("--port needs a number")?;
                options.port = port.parse().map_err(|_| format!("{port} is not a port"))?;
            }
            "--origin" => {
                options.origin = Some(arguments.next().ok_or("--origin needs an origin")?);
            }
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(Some(options))
}

fn listen(options: &Options) -> std::io::Result<()> {
    // One socket for IPv6 and IPv4 where the system has both.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, options.port))
        .or_else(|_| TcpListener::bind(("0.0.0.0", options.port)))?;
    println!("listening on http://localhost:{}/", listener.local_addr()?.port());
    std::thread::scope(|scope| {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let connection = move || {
                        if let Err(error) = serve(stream, options) {
                            eprintln!("{peer}: {error}");
                        }
                    };
                    if let Err(error) = Builder::new().spawn_scoped(scope, connection) {
                        eprintln!("{peer}: no thread: {error}");
                    }
                }
                // Such as too many open files: the connection waits until one is closed.
                Err(error) => {
                    eprintln!("accept: {error}");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    })
}

fn serve(stream: TcpStream, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let settings = echo::Settings {
        origin: options.origin.as_deref(),
        handshake_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(10),
        close_timeout: Duration::from_secs(2),
    };
    let (mut rx, mut tx) = (vec![0; BUFFER], [0; 1024]);
    Ok(echo::serve(TcpTransport::new(stream)?, &mut rx, &mut tx, &settings)?)
}
