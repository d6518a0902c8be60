// SPDX-License-Identifier: Apache-2.0
//! The dashboard on a PC: the page and the WebSocket by one hub.

use std::net::Ipv6Addr;
use std::process::ExitCode;
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record};
use zephyr_websocket::handshake::Status;
use zephyr_websocket::host::TcpNetwork;
use zephyr_websocket::hub::{Answer, Body, Delivery, Hub, Settings, Slot};

#[path = "../samples/dashboard/src/dashboard.rs"]
mod dashboard;

use dashboard::{Dashboard, Device, INTERVALS_MS};

const HELP: &str = "\
Serves a page that shows live telemetry, and switches an LED that is only simulated.

Usage: dashboard [--port PORT] [--origin ORIGIN] [--interval-ms MS]

  --port PORT       TCP port on all addresses of this machine, 0 for any [default: 8080]
  --origin ORIGIN   let only pages of this origin connect, such as http://localhost:8080; without
                    it those of the host that they connect to
  --interval-ms MS  time between two samples at first, 50 to 10000 [default: 250]
  --help            print this";

const CONNECTIONS: usize = 16;
const BUFFER: usize = 4096;

const PAGE: Answer<'static> = Answer {
    status: Status::OK,
    fields: &[("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache")],
    body: Body::Static(include_bytes!("../samples/dashboard/page/index.html")),
};

struct Options {
    port: u16,
    origin: Option<String>,
    interval_ms: u32,
}

/// Its memory is not counted: it is the operating system's.
struct Pc(Instant);

impl Device for Pc {
    fn name(&self) -> &str {
        "Dashboard on a PC"
    }

    fn uptime_ms(&mut self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }

    fn set_led(&mut self, _: bool) {}

    fn in_use(&mut self) -> impl IntoIterator<Item = (&'static str, u32, u32)> {
        []
    }
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("dashboard: {message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dashboard: port {}: {error}", options.port);
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { port: 8080, origin: None, interval_ms: 250 };
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
            "--interval-ms" => {
                let ms = value()?;
                options.interval_ms = (ms.parse().ok())
                    .filter(|ms| INTERVALS_MS.contains(ms))
                    .ok_or(format!("{ms} is not 50 to 10000"))?;
            }
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(Some(options))
}

fn serve(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    // Fails only where there is a logger already.
    let _ = log::set_logger(&Stdout);
    log::set_max_level(LevelFilter::Info);
    // One socket for IPv6 and IPv4 where the system has both.
    let network = TcpNetwork::bind((Ipv6Addr::UNSPECIFIED, options.port))
        .or_else(|_| TcpNetwork::bind(("0.0.0.0", options.port)))?;
    println!("listening on http://localhost:{}/", network.local_addr()?.port());
    let settings = Settings { delivery: Delivery::Messages, ..Settings::default() };
    let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(CONNECTIONS).collect();
    let mut rx = vec![0; CONNECTIONS * BUFFER];
    let mut tx = vec![0; CONNECTIONS * BUFFER];
    let mut hub = Hub::new(network, &mut slots, &mut rx, &mut tx, &settings)?;
    let device = Pc(Instant::now());
    let (origin, interval) = (options.origin.as_deref(), options.interval_ms);
    let mut dashboard = Dashboard::new(device, CONNECTIONS, interval, origin, Some(PAGE));
    Ok(dashboard::run(&mut hub, &mut dashboard)?)
}

/// What happens, as the board's log shows it.
struct Stdout;

impl Log for Stdout {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            println!("{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
