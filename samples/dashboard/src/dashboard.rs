// SPDX-License-Identifier: Apache-2.0
//! What the dashboard does, on any network: the same on a board and on a PC.
//!
//! All messages are text. The device sends JSON objects, which their `type` tells apart: `device`
//! and `state` to a page that has connected, `state` to all pages when something was switched,
//! `sample` to all pages, `error` to a page whose command is not valid. A page sends `led on`,
//! `led off` and `interval MS`.

use core::fmt::{self, Write};
use core::ops::RangeInclusive;
use core::time::Duration;

use log::{info, warn};
use zephyr_websocket::handshake::Status;
use zephyr_websocket::handshake::server::{Acceptance, Request};
use zephyr_websocket::hub::{Answer, Application, End, Hub, Network, PeerId, Peers};
use zephyr_websocket::{MessageKind, Transport};

/// Where the WebSocket is.
pub const PATH: &str = "/ws";

/// The time between two samples, in milliseconds.
pub const INTERVALS_MS: RangeInclusive<u32> = 50..=10_000;

/// The longest message that is sent: a sample with every gauge, its numbers as long as can be.
const MAX_MESSAGE: usize = 512;

/// What the dashboard shows and switches.
pub trait Device {
    /// What the page calls it. Goes into JSON as it is, so without quotes and backslashes.
    fn name(&self) -> &str;

    /// Since the start, in milliseconds.
    fn uptime_ms(&mut self) -> u64;

    fn set_led(&mut self, on: bool);

    /// What of its memory is in use: the name in JSON, how many, and of how many; 0 of 0 for what
    /// is not counted.
    fn in_use(&mut self) -> impl IntoIterator<Item = (&'static str, u32, u32)>;
}

/// The application of a hub.
pub struct Dashboard<'a, D> {
    device: D,
    sensor: Sensor,
    /// The only origin whose pages may connect; `None` for that of the host that a page was loaded
    /// from.
    origin: Option<&'a str>,
    /// What is served at `/`, where the hub does that.
    page: Option<Answer<'static>>,
    connections: usize,
    led: bool,
    interval_ms: u32,
    /// When the next sample is due.
    sample_at: u64,
    text: heapless::String<MAX_MESSAGE>,
}

/// Serves the hub's connections and sends them samples. Returns only if the network fails.
pub fn run<N: Network, D: Device>(
    hub: &mut Hub<'_, N>,
    dashboard: &mut Dashboard<'_, D>,
) -> Result<(), <N::Stream as embedded_io::ErrorType>::Error> {
    loop {
        let nobody = hub.peers().count() == 0;
        let rest = dashboard.rest();
        hub.turn(dashboard, (!nobody).then_some(rest))?;
        if dashboard.rest().is_zero() {
            dashboard.send_sample(&mut hub.peers());
        }
    }
}

impl<'a, D: Device> Dashboard<'a, D> {
    /// `connections` is how many the hub has slots for, and `interval_ms` one of [`INTERVALS_MS`].
    pub fn new(
        mut device: D,
        connections: usize,
        interval_ms: u32,
        origin: Option<&'a str>,
        page: Option<Answer<'static>>,
    ) -> Self {
        device.set_led(false);
        Self {
            sensor: Sensor::new(device.uptime_ms()),
            device,
            origin,
            page,
            connections,
            led: false,
            interval_ms,
            sample_at: 0,
            text: heapless::String::new(),
        }
    }

    /// How long until the next sample.
    fn rest(&mut self) -> Duration {
        Duration::from_millis(self.sample_at.saturating_sub(self.device.uptime_ms()))
    }

    fn send_sample<S: Transport>(&mut self, peers: &mut Peers<'_, S>) {
        let now = self.device.uptime_ms();
        self.sample_at = self.sample_at.saturating_add(self.interval_ms.into());
        if self.sample_at <= now {
            self.sample_at = now.saturating_add(self.interval_ms.into());
        }
        let value = self.sensor.read(now, self.led);
        self.text.clear();
        match self.write_sample(now, value, peers.count()) {
            // A page that is behind does without this one.
            Ok(()) => _ = peers.broadcast(MessageKind::Text, self.text.as_bytes()),
            Err(_) => warn!("a sample is longer than {} bytes", MAX_MESSAGE),
        }
    }

    fn write_sample(&mut self, now: u64, value: Celsius, connections: usize) -> fmt::Result {
        let out = &mut self.text;
        write!(out, "{{\"type\":\"sample\",\"uptime_ms\":{now},\"value\":{value}")?;
        write!(out, ",\"connections\":[{connections},{}],\"in_use\":{{", self.connections)?;
        let mut comma = "";
        for (name, used, total) in self.device.in_use() {
            if total > 0 {
                write!(out, "{comma}\"{name}\":[{used},{total}]")?;
                comma = ",";
            }
        }
        out.write_str("}}")
    }

    fn write_state(&mut self) -> &str {
        self.text.clear();
        // It fits.
        let _ = write!(
            self.text,
            "{{\"type\":\"state\",\"led\":{},\"interval_ms\":{}}}",
            self.led, self.interval_ms
        );
        &self.text
    }

    /// Who has no room for it is told later, see [`Application::writable`].
    fn broadcast_state<S: Transport>(&mut self, peers: &mut Peers<'_, S>) {
        peers.broadcast(MessageKind::Text, self.write_state().as_bytes());
    }

    fn obey<S: Transport>(&mut self, command: Command, peers: &mut Peers<'_, S>) {
        match command {
            Command::Led(on) => {
                self.led = on;
                self.device.set_led(on);
                info!("LED {}", if on { "on" } else { "off" });
            }
            Command::Interval(ms) => {
                self.interval_ms = ms;
                // Never before its time, however many commands come.
                let at = self.device.uptime_ms().saturating_add(ms.into());
                self.sample_at = self.sample_at.min(at);
                info!("a sample every {} ms", ms);
            }
        }
        self.broadcast_state(peers);
    }
}

impl<D: Device> Application for Dashboard<'_, D> {
    fn respond<'r>(&'r mut self, request: &Request<'r>) -> Answer<'r> {
        match (request.method(), request.path(), self.page) {
            ("GET" | "HEAD", "/", Some(page)) => page,
            ("GET", PATH, _) => Answer::empty(Status::UPGRADE_REQUIRED),
            ("GET" | "HEAD", ..) => Answer::empty(Status::NOT_FOUND),
            _ => Answer::empty(Status::METHOD_NOT_ALLOWED),
        }
    }

    fn open<'r>(
        &'r mut self,
        _: PeerId,
        request: &Request<'r>,
    ) -> Result<Acceptance<'r>, Answer<'r>> {
        if request.path() != PATH {
            return Err(Answer::empty(Status::NOT_FOUND));
        }
        if may_connect(request.origin(), request.head().field("host"), self.origin) {
            Ok(Acceptance::default())
        } else {
            Err(Answer::empty(Status::FORBIDDEN))
        }
    }

    fn opened<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        let (min, max) = (INTERVALS_MS.start(), INTERVALS_MS.end());
        self.text.clear();
        let written = write!(
            self.text,
            "{{\"type\":\"device\",\"name\":\"{}\",\"intervals_ms\":[{min},{max}]}}",
            self.device.name(),
        );
        // There is room for them where nothing was sent before.
        if written.is_ok() {
            let _ = peers.send_text(peer, &self.text);
        }
        let _ = peers.send_text(peer, self.write_state());
        self.sample_at = self.device.uptime_ms();
    }

    fn message<S: Transport>(
        &mut self,
        peers: &mut Peers<'_, S>,
        peer: PeerId,
        kind: MessageKind,
        payload: &[u8],
        _fin: bool,
    ) {
        let text = match kind {
            MessageKind::Text => core::str::from_utf8(payload).map_err(|_| Refusal::NotText),
            MessageKind::Binary => Err(Refusal::NotText),
        };
        match text.and_then(str::parse) {
            Ok(command) => self.obey(command, peers),
            Err(refusal) => {
                self.text.clear();
                let written = write!(self.text, "{{\"type\":\"error\",\"message\":\"{refusal}\"}}");
                // Who sends commands without reading goes without answers.
                if written.is_ok() {
                    let _ = peers.send_text(peer, &self.text);
                }
            }
        }
    }

    fn writable<S: Transport>(&mut self, peers: &mut Peers<'_, S>, peer: PeerId) {
        // It may have missed a change.
        let _ = peers.send_text(peer, self.write_state());
    }

    fn closed<S: Transport>(&mut self, _: &mut Peers<'_, S>, peer: PeerId, end: End<'_, S::Error>) {
        match end {
            End::Closed(_) => {}
            End::Failed(error) => warn!("{}: {}", peer.index(), error),
            End::TimedOut(timeout) => warn!("{}: timed out: {:?}", peer.index(), timeout),
            End::Overflowed => warn!("{}: does not read", peer.index()),
        }
    }
}

/// Whether a page of `origin` may connect to `host` (RFC 6455 section 10.2): if that is `only`,
/// or without one the page's own host. Programs other than browsers send no origin, and may.
pub fn may_connect(origin: Option<&[u8]>, host: Option<&[u8]>, only: Option<&str>) -> bool {
    match (origin, only) {
        (None, _) => true,
        (Some(origin), Some(only)) => origin == only.as_bytes(),
        (Some(origin), None) => {
            let scheme = |name: &[u8]| origin.strip_prefix(name);
            let of_page = scheme(b"http://").or_else(|| scheme(b"https://"));
            of_page.zip(host).is_some_and(|(page, host)| page.eq_ignore_ascii_case(host))
        }
    }
}

/// What a page asks for.
#[derive(Clone, Copy)]
enum Command {
    Led(bool),
    Interval(u32),
}

/// Why a message is no command, as the page is told.
enum Refusal {
    NotText,
    NoSuchCommand,
    NoSwitch,
    NoInterval,
}

impl core::str::FromStr for Command {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.split_once(' ') {
            Some(("led", "on")) => Ok(Self::Led(true)),
            Some(("led", "off")) => Ok(Self::Led(false)),
            Some(("led", _)) => Err(Refusal::NoSwitch),
            Some(("interval", ms)) => {
                let ms = ms.parse().ok().filter(|ms| INTERVALS_MS.contains(ms));
                ms.map(Self::Interval).ok_or(Refusal::NoInterval)
            }
            _ => Err(Refusal::NoSuchCommand),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("a command is text"),
            Self::NoSuchCommand => f.write_str("commands are: led on, led off, interval MS"),
            Self::NoSwitch => f.write_str("led takes on or off"),
            Self::NoInterval => {
                let (min, max) = (INTERVALS_MS.start(), INTERVALS_MS.end());
                write!(f, "interval takes {min} to {max}, in milliseconds")
            }
        }
    }
}

/// A simulated thermometer beside the LED, which warms it.
struct Sensor {
    /// In thousandths of a degree Celsius.
    value: i32,
    /// The time that is simulated already.
    at: u64,
    random: u32,
}

impl Sensor {
    const STEP_MS: u64 = 50;
    /// More than this is not caught up with: it would be at rest.
    const MAX_STEPS: u64 = 2_000;

    const fn new(now: u64) -> Self {
        Self { value: 21_000, at: now, random: 0x2545_f491 }
    }

    fn read(&mut self, now: u64, led: bool) -> Celsius {
        let behind = now.saturating_sub(self.at) / Self::STEP_MS;
        let mut at = now.saturating_sub(behind.min(Self::MAX_STEPS).saturating_mul(Self::STEP_MS));
        while at < now {
            at = at.saturating_add(Self::STEP_MS);
            self.step(at, led);
        }
        self.at = now;
        Celsius(self.value)
    }

    /// Goes a part of the way to where it would come to rest, which wanders and is noisy.
    fn step(&mut self, at: u64, led: bool) {
        // Xorshift: G. Marsaglia, "Xorshift RNGs", 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let noise = (self.random % 41) as i32 - 20;
        let wave = |period_ms: u64, height: i32| {
            let half = period_ms / 2;
            let at = at % period_ms;
            let up = if at < half { at } else { period_ms - at };
            (up as i64 * i64::from(height) / half as i64) as i32
        };
        let rest = 20_400 + wave(17_000, 900) + wave(46_000, 700) + if led { 3_000 } else { 0 };
        self.value += (rest - self.value) / 60 + noise;
    }
}

/// A temperature, in thousandths of a degree. Written as a number of JSON.
#[derive(Clone, Copy)]
struct Celsius(i32);

impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let hundredths = self.0.unsigned_abs() / 10;
        write!(f, "{sign}{}.{:02}", hundredths / 100, hundredths % 100)
    }
}
