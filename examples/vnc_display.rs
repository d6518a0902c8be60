// SPDX-License-Identifier: Apache-2.0
//! The VNC display on a PC.

use std::net::Ipv6Addr;
use std::process::ExitCode;

use log::{LevelFilter, Log, Metadata, Record};
use zephyr_websocket::host::TcpNetwork;
use zephyr_websocket::hub::{Hub, Slot};

#[path = "../samples/vnc_display/src/framebuffer.rs"]
mod framebuffer;
#[path = "../samples/vnc_display/src/panel.rs"]
mod panel;
#[path = "../samples/vnc_display/src/pixels.rs"]
mod pixels;
#[path = "../samples/vnc_display/src/region.rs"]
mod region;
#[path = "../samples/vnc_display/src/rfb.rs"]
mod rfb;
#[path = "../samples/vnc_display/src/server.rs"]
mod server;
#[path = "../samples/vnc_display/src/update.rs"]
mod update;

const HELP: &str = "\
Shows a display with a clock, a gauge and a button to noVNC: VNC (RFB 3.8) over WebSocket.

Usage: vnc_display [--port PORT] [--origin ORIGIN] [--viewers COUNT]

  --port PORT      TCP port on all addresses of this machine, 0 for any [default: 9001]
  --origin ORIGIN  let only pages of this origin connect, such as http://localhost:8000
  --viewers COUNT  at a time, 1 to 1000 [default: 16]
  --help           print this";

/// For the head of a browser's request, cookies included.
const RX_BUFFER: usize = 8192;
const TX_BUFFER: usize = 4 * server::MIN_TX_BUFFER;

struct Options {
    port: u16,
    origin: Option<String>,
    viewers: usize,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("vnc_display: {message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let _ = log::set_logger(&Print).map(|()| log::set_max_level(LevelFilter::Info));
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vnc_display: port {}: {error}", options.port);
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { port: 9001, origin: None, viewers: 16 };
    while let Some(argument) = arguments.next() {
        if let "--help" | "-h" = argument.as_str() {
            return Ok(None);
        }
        let value = arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--port" => {
                let port = value?;
                options.port = port.parse().map_err(|_| format!("{port} is not a port"))?;
            }
            "--origin" => options.origin = Some(value?),
            "--viewers" => {
                let count = value?;
                options.viewers = (count.parse().ok())
                    .filter(|count| (1..=1000).contains(count))
                    .ok_or(format!("{count} is not 1 to 1000"))?;
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
    println!("listening on port {}", network.local_addr()?.port());
    let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(options.viewers).collect();
    let mut rx = vec![0; options.viewers * RX_BUFFER];
    let mut tx = vec![0; options.viewers * TX_BUFFER];
    let mut hub = Hub::new(network, &mut slots, &mut rx, &mut tx, &server::settings())?;
    let mut framebuffer = Box::new(framebuffer::Framebuffer::new());
    let mut viewers: Vec<_> = std::iter::repeat_with(|| None).take(options.viewers).collect();
    let origin = options.origin.as_deref();
    Ok(server::Display::new(origin, &mut framebuffer, &mut viewers).run(&mut hub)?)
}

/// Prints what is logged.
struct Print;

impl Log for Print {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            println!("{}", record.args());
        }
    }

    fn flush(&self) {}
}
