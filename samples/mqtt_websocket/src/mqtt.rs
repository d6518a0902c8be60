// SPDX-License-Identifier: Apache-2.0
//! A device that reports and obeys by MQTT 5.0 over a WebSocket: the same on a board and on a PC.

use core::cell::Cell;
use core::convert::Infallible;
use core::fmt::{self, Write as _};
use core::ops::RangeInclusive;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use embedded_io::{ErrorType, Read, ReadExactError, Write};
use log::{info, warn};
use mountain_mqtt::client::ClientError;
use mountain_mqtt::client_state::{
    ClientState, ClientStateError, ClientStateNoQueue, ClientStateReceiveEvent,
};
use mountain_mqtt::codec::write;
use mountain_mqtt::data::property::{ConnackProperty, ConnectProperty, Property};
use mountain_mqtt::data::quality_of_service::QualityOfService;
use mountain_mqtt::error::{PacketReadError, PacketWriteError};
use mountain_mqtt::packet_client::{Connection, PacketClient};
use mountain_mqtt::packets::connect::{Connect, Will};
use mountain_mqtt::packets::packet::Packet;
use mountain_mqtt::packets::packet_generic::PacketGeneric;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{
    Backoff, ByteStream, CloseCode, Connected, Entropy, Error, KeySource, Transport, Url,
    connect_or_refused,
};

/// What the device is told.
pub struct Settings<'a> {
    pub url: Url<'a>,
    pub client_id: &'a str,
    pub user_name: Option<&'a str>,
    /// On `ws://` it is sent as it is.
    pub password: Option<&'a str>,
    /// The device publishes at `TOPIC/telemetry` and `TOPIC/status`, and obeys `TOPIC/command`.
    pub topic: &'a str,
    /// In seconds; 0 is none (MQTT 5.0 section 3.1.2.10).
    pub keep_alive: u16,
    /// The time between two reports at first, in milliseconds, see [`INTERVALS`].
    pub interval: u32,
    pub backoff: Backoff,
    pub timeouts: Timeouts,
}

#[derive(Clone, Copy)]
pub struct Timeouts {
    pub handshake: Duration,
    /// For the broker to take a packet, and for its answer.
    pub answer: Duration,
    pub close: Duration,
}

/// What differs between a board and a PC.
pub trait Platform {
    type Transport: Transport;
    type Entropy: Entropy;
    /// Connects to the host and the port of the URL.
    fn connect(&self) -> Result<Self::Transport, TransportError<Self>>;
    fn entropy(&self) -> Self::Entropy;
    fn uptime_ms(&self) -> u64;
    fn sleep(&self, duration: Duration);
}

pub type TransportError<P> = <<P as Platform>::Transport as ErrorType>::Error;

/// Why a connection ended, or could not begin.
#[derive(Debug)]
pub enum Failure<E> {
    /// Nothing can be published at such a topic.
    Topic,
    WebSocket(Error<E>),
    /// The server did not choose the subprotocol `mqtt` (MQTT 5.0 section 6).
    Subprotocol,
    Mqtt(ClientError),
}

impl<E> From<Error<E>> for Failure<E> {
    fn from(error: Error<E>) -> Self {
        Self::WebSocket(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic => write!(f, "the topic has # or +, or over {MAX_TOPIC_LEN} bytes"),
            Self::WebSocket(error) => error.fmt(f),
            Self::Subprotocol => f.write_str("the server does not speak the subprotocol mqtt"),
            Self::Mqtt(ClientError::TimeoutOnResponsePacket) => {
                f.write_str("the broker did not answer in time")
            }
            Self::Mqtt(ClientError::ClientState(ClientStateError::Connect(reason))) => {
                write!(f, "the broker refuses the device: {reason:?}")
            }
            Self::Mqtt(ClientError::PacketWrite(error)) => write!(
                f,
                "the client identifier, the topic, the user name and the password do not fit a \
                 packet: {error}"
            ),
            // The broker's reasons are missing from what the crate would display.
            Self::Mqtt(error) => write!(f, "MQTT: {error:?}"),
        }
    }
}

/// The times between two reports that a command can set, in milliseconds.
pub const INTERVALS: RangeInclusive<u32> = 100..=3_600_000;

/// Of `TOPIC` in [`Settings`].
const MAX_TOPIC_LEN: usize = 100;

/// A connection of this length was a success: the next delay is a first one.
pub const STABLE: Duration = Duration::from_secs(60);

/// How many properties (MQTT 5.0 section 2.2.2) a packet from the broker may have.
const MAX_PROPERTIES: usize = 16;

struct Topics {
    telemetry: Topic,
    status: Topic,
    command: Topic,
}

type Topic = heapless::String<{ MAX_TOPIC_LEN + "/telemetry".len() }>;

impl Topics {
    fn new(base: &str) -> Option<Self> {
        if base.len() > MAX_TOPIC_LEN || base.contains(['#', '+']) {
            return None;
        }
        let topic = |name: &str| {
            let mut topic = Topic::new();
            write!(topic, "{base}/{name}").ok().map(|()| topic)
        };
        Some(Self {
            telemetry: topic("telemetry")?,
            status: topic("status")?,
            command: topic("command")?,
        })
    }
}

/// What commands change, and reports tell.
struct Device {
    interval: u32,
    led: bool,
    /// The uptime of the next report.
    report_at: u64,
}

type Report = heapless::String<80>;

impl Device {
    fn obey(&mut self, command: &[u8], now: u64) {
        let mut words = str::from_utf8(command).unwrap_or_default().split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("led"), Some(state @ ("on" | "off")), None) => {
                self.led = state == "on";
                info!("command: LED {state}");
                // So that the change is seen.
                self.report_at = now;
            }
            (Some("interval"), Some(ms), None) if interval(ms).is_some() => {
                self.interval = interval(ms).unwrap_or(self.interval);
                info!("command: a report every {} ms", self.interval);
                self.report_at = now + u64::from(self.interval);
            }
            _ => warn!("a command of {} bytes is not understood", command.len()),
        }
    }

    fn report(&self, uptime: u64) -> Report {
        // A simulated sensor: from 20.0 to 25.0 degrees and back in 100 s.
        let tenths = 200 + (uptime / 1000 % 100).abs_diff(50);
        let mut report = Report::new();
        let (whole, tenth, led) = (tenths / 10, tenths % 10, self.led);
        let written = write!(
            report,
            "{{\"uptime_ms\":{uptime},\"temperature\":{whole}.{tenth},\"led\":{led}}}"
        );
        debug_assert!(written.is_ok(), "the longest has 74 bytes");
        report
    }
}

fn interval(ms: &str) -> Option<u32> {
    ms.parse().ok().filter(|ms| INTERVALS.contains(ms))
}

/// Reports and obeys, and connects again whenever the connection ends. Returns only if another
/// attempt would be of no use.
///
/// `buffers` are for what arrives, for what is sent, and for one MQTT packet.
pub fn run<P: Platform>(
    platform: &P,
    settings: &Settings<'_>,
    mut buffers: [&mut [u8]; 3],
) -> Failure<TransportError<P>>
where
    TransportError<P>: fmt::Display,
{
    let Some(topics) = Topics::new(settings.topic) else { return Failure::Topic };
    let mut device = Device { interval: settings.interval, led: false, report_at: 0 };
    let mut backoff = settings.backoff.clone();
    loop {
        let mut opened = None;
        let buffers = buffers.each_mut().map(|buffer| &mut **buffer);
        let Err(failure) = connection(
            platform,
            settings,
            &topics,
            &mut device,
            &mut backoff,
            &mut opened,
            buffers,
        );
        if let Some(opened) = opened {
            backoff.ended(Duration::from_millis(platform.uptime_ms().saturating_sub(opened)));
        }
        // That a packet did not leave is an error of the WebSocket, that there is none is final.
        if let Failure::WebSocket(Error::Usage(_)) | Failure::Mqtt(ClientError::PacketWrite(_)) =
            failure
        {
            return failure;
        }
        let Ok(delay) = backoff.next_delay(&mut platform.entropy()) else {
            return Error::Entropy.into();
        };
        warn!("{failure}; connecting again in {} ms", delay.as_millis());
        platform.sleep(delay);
    }
}

/// One connection, until it ends.
fn connection<P: Platform>(
    platform: &P,
    settings: &Settings<'_>,
    topics: &Topics,
    device: &mut Device,
    backoff: &mut Backoff,
    opened: &mut Option<u64>,
    [rx, tx, packet]: [&mut [u8]; 3],
) -> Result<Infallible, Failure<TransportError<P>>> {
    let Settings { url, timeouts, .. } = settings;
    let mut transport = platform.connect().map_err(Error::Transport)?;
    transport.set_deadline(Some(timeouts.handshake));
    let request =
        Request { subprotocols: &["mqtt"], ..Request::new(url.authority, url.resource_name) };
    let Connected { websocket, subprotocol } =
        connect_or_refused(transport, platform.entropy(), &request, rx, tx, |status, head| {
            backoff.refused(status, head);
        })?;
    *opened = Some(platform.uptime_ms());
    info!("WebSocket open");
    let mut stream = ByteStream::new(websocket);
    let result = if subprotocol == Some("mqtt") {
        let packet_len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let (patience, failure) = (Cell::new(Duration::ZERO), Cell::new(None));
        let link = Link {
            stream: &mut stream,
            timeout: timeouts.answer,
            patience: &patience,
            failure: &failure,
        };
        let mut session = Session {
            platform,
            packets: PacketClient::new(link, packet),
            state: ClientStateNoQueue::default(),
            patience: &patience,
            timeout: timeouts.answer,
            sent_at: 0,
            answer_by: None,
            keep_alive: settings.keep_alive,
        };
        session.run(settings, topics, device, packet_len).map_err(|error| {
            // The MQTT client says only that its connection has failed.
            failure.take().map_or(Failure::Mqtt(error), Failure::WebSocket)
        })
    } else {
        Err(Failure::Subprotocol)
    };
    // Whatever fails now, the connection is over.
    let mut websocket = stream.into_inner();
    websocket.set_deadline(Some(timeouts.close));
    let _ = websocket.sender().close(Some(CloseCode::GOING_AWAY), "");
    websocket.finish(timeouts.close);
    result
}

/// The broker as the MQTT client sees it.
struct Link<'s, 'b, T: Transport, R: KeySource> {
    stream: &'s mut ByteStream<'b, T, R>,
    /// For what is sent, and for the rest of a packet that has begun.
    timeout: Duration,
    /// How long to wait for a packet to begin.
    patience: &'s Cell<Duration>,
    /// What ended the connection.
    failure: &'s Cell<Option<Error<T::Error>>>,
}

/// Nothing here is ever pending: each call waits by itself, until a deadline.
impl<T: Transport, R: KeySource> Connection for Link<'_, '_, T, R> {
    async fn send(&mut self, packet: &[u8]) -> Result<(), PacketWriteError> {
        self.stream.set_deadline(Some(self.timeout));
        self.stream.write_all(packet).map_err(|error| {
            self.failure.set(Some(error));
            PacketWriteError::ConnectionSend
        })
    }

    async fn receive(&mut self, bytes: &mut [u8]) -> Result<(), PacketReadError> {
        self.stream.set_deadline(Some(self.timeout));
        self.stream.read_exact(bytes).map_err(|error| {
            self.failure.set(Some(match error {
                ReadExactError::UnexpectedEof => Error::Closed,
                ReadExactError::Other(error) => error,
            }));
            PacketReadError::ConnectionReceive
        })
    }

    async fn receive_if_ready(&mut self, bytes: &mut [u8]) -> Result<bool, PacketReadError> {
        self.stream.set_deadline(Some(self.patience.get()));
        let error = match self.stream.wait_readable() {
            Ok(true) => return self.receive(bytes).await.map(|()| true),
            Err(Error::TimedOut) => return Ok(false),
            Ok(false) => Error::Closed,
            Err(error) => error,
        };
        self.failure.set(Some(error));
        Err(PacketReadError::ConnectionReceive)
    }
}

/// What a future gives that is never pending.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// MQTT over one connection: at most one packet of ours waits for its answer.
struct Session<'s, P, C> {
    platform: &'s P,
    packets: PacketClient<'s, C>,
    state: ClientStateNoQueue,
    /// That of the [`Link`].
    patience: &'s Cell<Duration>,
    timeout: Duration,
    /// An uptime, as `answer_by`.
    sent_at: u64,
    answer_by: Option<u64>,
    /// In seconds.
    keep_alive: u16,
}

impl<P: Platform, C: Connection> Session<'_, P, C> {
    fn run(
        &mut self,
        settings: &Settings<'_>,
        topics: &Topics,
        device: &mut Device,
        packet_len: u32,
    ) -> Result<Infallible, ClientError> {
        let qos = QualityOfService::Qos1;
        let will = Will::<0>::new(qos, true, &topics.status, b"offline", Default::default());
        let mut connect: Connect<'_, 2, 0> = Connect::new(
            settings.keep_alive,
            settings.user_name,
            settings.password.map(str::as_bytes),
            settings.client_id,
            true,
            Some(will),
            Default::default(),
        );
        // A longer packet is dropped by the broker, and an alias would have to be remembered.
        for property in [
            ConnectProperty::MaximumPacketSize(packet_len.into()),
            ConnectProperty::TopicAliasMaximum(0.into()),
        ] {
            let _ = connect.properties.push(property);
        }
        self.state.connect(&connect)?;
        self.request(connect)?;
        self.await_answer(device)?;
        info!("connected to the broker as {}", settings.client_id);

        let subscribe = self.state.subscribe(&topics.command, qos)?;
        self.request(subscribe)?;
        self.await_answer(device)?;
        info!("obeying {}", topics.command);

        let online = self.state.publish(&topics.status, b"online", qos, true)?;
        self.request(online)?;
        loop {
            self.await_answer(device)?;
            let now = self.platform.uptime_ms();
            let ping_at = match self.keep_alive {
                0 => u64::MAX,
                seconds => self.sent_at + u64::from(seconds) * 500,
            };
            if now >= device.report_at {
                let report = device.report(now);
                let publish =
                    self.state.publish(&topics.telemetry, report.as_bytes(), qos, false)?;
                self.request(publish)?;
                info!("{report}");
                device.report_at = now + u64::from(device.interval);
            } else if now >= ping_at {
                let ping = self.state.send_ping()?;
                self.request(ping)?;
            } else {
                self.receive(device, device.report_at.min(ping_at))?;
            }
        }
    }

    /// Sends a packet that the broker has to answer.
    fn request(&mut self, packet: impl Packet + write::Write) -> Result<(), ClientError> {
        ready(self.packets.send(packet))?;
        self.sent_at = self.platform.uptime_ms();
        self.answer_by = Some(self.sent_at + self.timeout.as_millis() as u64);
        Ok(())
    }

    fn await_answer(&mut self, device: &mut Device) -> Result<(), ClientError> {
        while let Some(answer_by) = self.answer_by {
            if self.platform.uptime_ms() >= answer_by {
                return Err(ClientError::TimeoutOnResponsePacket);
            }
            self.receive(device, answer_by)?;
        }
        Ok(())
    }

    /// Takes what arrives next, or nothing at the uptime `until`.
    fn receive(&mut self, device: &mut Device, until: u64) -> Result<(), ClientError> {
        let now = self.platform.uptime_ms();
        self.patience.set(Duration::from_millis(until.saturating_sub(now)));
        let Some(packet) = ready(self.packets.receive_if_ready::<MAX_PROPERTIES, 0, 0>())? else {
            return Ok(());
        };
        if let PacketGeneric::Connack(connack) = &packet {
            for property in connack.properties() {
                // The broker's word counts (MQTT 5.0 section 3.2.2.3.14).
                if let ConnackProperty::ServerKeepAlive(seconds) = property {
                    self.keep_alive = seconds.value();
                }
            }
        }
        let puback = match self.state.receive(packet)? {
            ClientStateReceiveEvent::Publish { publish } => {
                device.obey(publish.payload(), self.platform.uptime_ms());
                return Ok(());
            }
            ClientStateReceiveEvent::PublishAndPuback { publish, puback } => {
                device.obey(publish.payload(), self.platform.uptime_ms());
                puback
            }
            ClientStateReceiveEvent::Disconnect { disconnect } => {
                return Err(ClientError::Disconnected(*disconnect.reason_code()));
            }
            ClientStateReceiveEvent::Ack
            | ClientStateReceiveEvent::SubscriptionGrantedBelowMaximumQos { .. }
            | ClientStateReceiveEvent::PublishedMessageHadNoMatchingSubscribers
            | ClientStateReceiveEvent::NoSubscriptionExisted => {
                self.answer_by = None;
                return Ok(());
            }
        };
        Ok(ready(self.packets.send(puback))?)
    }
}
