// SPDX-License-Identifier: Apache-2.0
//! The MQTT client on a PC.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};
use zephyr_websocket::host::{OsEntropy, TcpTransport};
use zephyr_websocket::{Backoff, Url};

#[path = "../samples/mqtt_websocket/src/mqtt.rs"]
mod mqtt;

const HELP: &str = "\
A device that speaks MQTT 5.0 over a WebSocket, simulated: it reports at TOPIC/telemetry, obeys
`interval MS` and `led on|off` at TOPIC/command, and connects again whenever the connection ends.
Ctrl-C ends it.

Usage: mqtt_client [OPTION...] URL

  URL                   the broker: ws://HOST[:PORT][/PATH]
  --topic TOPIC         where it publishes and obeys (zephyr-websocket)
  --client-id ID        what the broker knows it by (zephyr-websocket)
  --user-name NAME      if the broker asks for one (none)
  --password PASSWORD   the same (none)
  --keep-alive SECONDS  how long nothing may be sent; 0 is for ever (60)
  --interval MS         the time between two reports (5000)
  --first-delay MS      how long to wait before connecting again, at most (5000)
  --max-delay MS        the same after many attempts (60000)
  --help                print this";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const TIMEOUTS: mqtt::Timeouts = mqtt::Timeouts {
    handshake: Duration::from_secs(10),
    answer: Duration::from_secs(10),
    close: Duration::from_secs(2),
};

struct Options {
    url: String,
    topic: String,
    client_id: String,
    user_name: Option<String>,
    password: Option<String>,
    keep_alive: u16,
    interval: u32,
    first_delay: u32,
    max_delay: u32,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("mqtt_client: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let error = match Url::parse(&options.url) {
        Ok(url) if url.is_secure => "wss is not supported here: use ws".to_owned(),
        Ok(url) => run(url, &options),
        Err(error) => error.to_string(),
    };
    eprintln!("mqtt_client: {}: {error}", options.url);
    ExitCode::FAILURE
}

/// `None` if help was asked for.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        url: String::new(),
        topic: "zephyr-websocket".to_owned(),
        client_id: "zephyr-websocket".to_owned(),
        user_name: None,
        password: None,
        keep_alive: 60,
        interval: 5000,
        first_delay: 5000,
        max_delay: 60_000,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--topic" => options.topic = value()?,
            "--client-id" => options.client_id = value()?,
            "--user-name" => options.user_name = Some(value()?),
            "--password" => options.password = Some(value()?),
            "--keep-alive" => options.keep_alive = number(&value()?)?,
            "--interval" => options.interval = number(&value()?)?,
            "--first-delay" => options.first_delay = number(&value()?)?,
            "--max-delay" => options.max_delay = number(&value()?)?,
            option if option.starts_with('-') => return Err(format!("no option {option}")),
            _ if !options.url.is_empty() => return Err("one URL is enough".to_owned()),
            _ => options.url = argument,
        }
    }
    if !mqtt::INTERVALS.contains(&options.interval) {
        return Err(format!("--interval must be in {:?}", mqtt::INTERVALS));
    }
    if options.url.is_empty() { Err("a URL is needed".to_owned()) } else { Ok(Some(options)) }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text} is not a number that is possible here"))
}

/// Returns why another attempt to connect would be of no use.
fn run(url: Url<'_>, options: &Options) -> String {
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    let milliseconds = |ms: u32| Duration::from_millis(ms.into());
    let settings = mqtt::Settings {
        url,
        client_id: &options.client_id,
        user_name: options.user_name.as_deref(),
        password: options.password.as_deref(),
        topic: &options.topic,
        keep_alive: options.keep_alive,
        interval: options.interval,
        backoff: Backoff::new(
            milliseconds(options.first_delay),
            milliseconds(options.max_delay),
            mqtt::STABLE,
        ),
        timeouts: TIMEOUTS,
    };
    let pc = Pc { address: (url.host, url.port), start: Instant::now() };
    let buffers: [&mut [u8]; 3] = [&mut [0; 1024], &mut [0; 256], &mut [0; 512]];
    mqtt::run(&pc, &settings, buffers).to_string()
}

struct Pc<'a> {
    address: (&'a str, u16),
    start: Instant,
}

impl mqtt::Platform for Pc<'_> {
    type Transport = TcpTransport;
    type Entropy = OsEntropy;

    fn connect(&self) -> Result<TcpTransport, std::io::Error> {
        TcpTransport::connect(self.address, CONNECT_TIMEOUT)
    }

    fn entropy(&self) -> OsEntropy {
        OsEntropy
    }

    fn uptime_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

/// A log in lines of standard output.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        println!("{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}
