// SPDX-License-Identifier: Apache-2.0
//! A client that stays connected: it connects again for ever, less often while that fails, and
//! finds out by Pings when the server is gone.

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::host::{OsEntropy, TcpTransport};
use zephyr_websocket::{
    Backoff, Connected, Error, Event, Keepalive, KeepaliveTimeout, MessageKind, Transport, Url,
    connect_or_refused,
};

const HELP: &str = "\
Prints what a WebSocket server sends, and connects again whenever the connection ends, for ever.
Ctrl-C ends it.

Usage: reconnecting_client [OPTION...] URL

  URL                   ws://HOST[:PORT][/PATH]
  --header NAME:VALUE   a further field of the request, such as Authorization or Cookie
  --subprotocol NAME    offers a subprotocol, the best first
  --send TEXT           a message to send after each opening handshake
  --first-delay SECONDS how long to wait before connecting again, at most (5)
  --max-delay SECONDS   the same after many attempts (60)
  --ping SECONDS        how long the server may be silent before it is sent a Ping (20)
  --help                print this

Each of --header, --subprotocol and --send may be given several times.";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// After a connection of this length the next delay is a first one.
const STABLE: Duration = Duration::from_secs(60);

struct Options {
    url: String,
    fields: Vec<(String, String)>,
    subprotocols: Vec<String>,
    messages: Vec<String>,
    first_delay: Duration,
    max_delay: Duration,
    ping: Duration,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("reconnecting_client: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let Err(error) = run(&options);
    eprintln!("reconnecting_client: {}: {error}", options.url);
    ExitCode::FAILURE
}

/// `None` if help was asked for.
fn options(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        url: String::new(),
        fields: Vec::new(),
        subprotocols: Vec::new(),
        messages: Vec::new(),
        first_delay: Duration::from_secs(5),
        max_delay: Duration::from_secs(60),
        ping: Duration::from_secs(20),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--header" => {
                let field = value()?;
                let (name, value) = field.split_once(':').ok_or("--header needs NAME:VALUE")?;
                options.fields.push((name.to_owned(), value.trim().to_owned()));
            }
            "--subprotocol" => options.subprotocols.push(value()?),
            "--send" => options.messages.push(value()?),
            "--first-delay" => options.first_delay = seconds(&value()?)?,
            "--max-delay" => options.max_delay = seconds(&value()?)?,
            "--ping" => options.ping = seconds(&value()?)?,
            option if option.starts_with('-') => return Err(format!("no option {option}")),
            _ if !options.url.is_empty() => return Err("one URL is enough".to_owned()),
            _ => options.url = argument,
        }
    }
    if options.url.is_empty() { Err("a URL is needed".to_owned()) } else { Ok(Some(options)) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or(format!("{text} is no number of seconds"))
}

/// Returns only if another attempt would be of no use.
fn run(options: &Options) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let url = Url::parse(&options.url)?;
    if url.is_secure {
        return Err("wss is not supported here: use ws".into());
    }
    let mut backoff = Backoff::new(options.first_delay, options.max_delay, STABLE);
    loop {
        let mut opened = None;
        let error = match receive(&url, options, &mut backoff, &mut opened) {
            Ok(()) => "the server has closed the connection".to_owned(),
            // The server has no part in it.
            Err(Error::Usage(error)) => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        if let Some(opened) = opened {
            backoff.ended(Instant::elapsed(&opened));
        }
        let delay = backoff.next_delay(&mut OsEntropy).map_err(|_| "no entropy")?;
        eprintln!("{error}; connecting again in {:.1} s", delay.as_secs_f64());
        std::thread::sleep(delay);
    }
}

/// One connection, until it ends.
fn receive(
    url: &Url<'_>,
    options: &Options,
    backoff: &mut Backoff,
    opened: &mut Option<Instant>,
) -> Result<(), Error<std::io::Error>> {
    let fields: Vec<_> =
        options.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let subprotocols: Vec<_> = options.subprotocols.iter().map(String::as_str).collect();
    let request = Request {
        fields: &fields,
        subprotocols: &subprotocols,
        ..Request::new(url.authority, url.resource_name)
    };
    let (mut rx, mut tx) = ([0; 4096], [0; 1024]);
    let mut transport =
        TcpTransport::connect((url.host, url.port), CONNECT_TIMEOUT).map_err(Error::Transport)?;
    transport.set_deadline(Some(HANDSHAKE_TIMEOUT));
    let refused =
        |status, head: zephyr_websocket::handshake::Head<'_>| backoff.refused(status, head);
    let Connected { mut websocket, subprotocol } =
        connect_or_refused(transport, OsEntropy, &request, &mut rx, &mut tx, refused)?;
    let start = Instant::now();
    *opened = Some(start);
    eprintln!("open{}", subprotocol.map(|name| format!(", {name}")).unwrap_or_default());

    let now = || start.elapsed().as_millis() as u64;
    let mut keepalive = Keepalive::new(now()).with_ping(options.ping, PONG_TIMEOUT);
    for message in &options.messages {
        let message = message.as_bytes();
        keepalive.send_fragment(websocket.sender(), MessageKind::Text, message, true, now)?;
    }
    let result = loop {
        match keepalive.receive(&mut websocket, now) {
            Ok((Event::Data { kind, payload, fin }, _)) => print(kind, payload, fin),
            Ok((Event::Close(_), _)) => break Ok(()),
            Ok((Event::Ping(_) | Event::Pong(_), _)) => {}
            Err(error) => break Err(error),
        }
    };
    // A peer that is gone is not waited for.
    if !matches!(result, Err(Error::Keepalive(KeepaliveTimeout::Pong))) {
        websocket.finish(CLOSE_TIMEOUT);
    }
    result
}

/// Prints a message as it comes, binary ones in hexadecimal, each as a line.
fn print(kind: MessageKind, payload: &[u8], fin: bool) {
    let mut out = stdout().lock();
    let mut written = match kind {
        MessageKind::Text => out.write_all(payload),
        MessageKind::Binary => payload.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
    };
    if fin {
        written = written.and_then(|()| writeln!(out));
    }
    // Nobody may be reading.
    let _ = written.and_then(|()| out.flush());
}
