// SPDX-License-Identifier: Apache-2.0
//! The MQTT client's example over a WebSocket (MQTT 5.0 section 6), against Eclipse Mosquitto.

#![cfg(all(feature = "std", unix))]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use zephyr_websocket::handshake::server::Acceptance;
use zephyr_websocket::host::TcpTransport;
use zephyr_websocket::{ByteStream, Incoming, Server};

/// Nothing here takes as long, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(30);

const TOOLS: [&str; 4] = ["mosquitto", "mosquitto_passwd", "mosquitto_sub", "mosquitto_pub"];

const USER_NAME: &str = "somebody";
const PASSWORD: &str = "sesame";

/// A process that ends with the test, and the lines of its standard output.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Waits for a line that has all of `parts`, and returns it with those before it.
    #[track_caller]
    fn wait_for(&self, parts: &[&str]) -> Vec<String> {
        let end = Instant::now() + WATCHDOG;
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| parts.iter().all(|part| line.contains(part)))
        {
            let line = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()));
            seen.push(line.unwrap_or_else(|_| panic!("no {parts:?} in {seen:?}")));
        }
        seen
    }
}

impl Process {
    /// Waits until it has ended by itself.
    #[track_caller]
    fn end(&mut self) -> process::ExitStatus {
        let end = Instant::now() + WATCHDOG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it goes on");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody asks any more once the test is over.
            let _ = sender.send(line);
        }
    });
    lines
}

/// A tool of Mosquitto. Debian has the broker where only root's PATH leads.
fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|tool| tool.is_file())
}

/// Where a broker listens, for MQTT and for MQTT over WebSocket, and its configuration.
struct Place {
    folder: PathBuf,
    plain: u16,
    websocket: u16,
    has_password: bool,
}

impl Place {
    fn new(name: &str) -> Self {
        // Both at once, so that they differ.
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [plain, websocket] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let folder = env::temp_dir().join(format!("{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let place = Self { folder, plain, websocket, has_password: false };
        place.configure("allow_anonymous true");
        place
    }

    fn with_password(name: &str) -> Self {
        let mut place = Self::new(name);
        let file = place.folder.join("passwords");
        let mut command = Command::new(tool("mosquitto_passwd").unwrap());
        assert!(
            command
                .args(["-b", "-c"])
                .arg(&file)
                .args([USER_NAME, PASSWORD])
                .status()
                .unwrap()
                .success()
        );
        place.configure(&format!("allow_anonymous false\npassword_file {}", file.display()));
        place.has_password = true;
        place
    }

    fn configure(&self, access: &str) {
        let Self { plain, websocket, .. } = self;
        // Without a plain listener this broker exits, and as another user, which it would become
        // if it is root, it may not read our files. Its WebSocket is on all interfaces if IPv6 is
        // not excluded.
        let config = format!(
            "{access}\nuser root\nlistener {plain} 127.0.0.1\n\
             listener {websocket} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n"
        );
        fs::write(self.folder.join("mosquitto.conf"), config).unwrap();
    }

    fn broker(&self) -> Process {
        let mut command = Command::new(tool("mosquitto").unwrap());
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stderr(Stdio::null());
        let broker = Process::start(&mut command);
        let end = Instant::now() + WATCHDOG;
        for port in [self.plain, self.websocket] {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                assert!(Instant::now() < end, "the broker does not listen");
                thread::sleep(Duration::from_millis(20));
            }
        }
        broker
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(tool(name).unwrap());
        command.args(["-V", "5", "-h", "127.0.0.1", "-p", &self.plain.to_string()]);
        if self.has_password {
            command.args(["-u", USER_NAME, "-P", PASSWORD]);
        }
        command
    }

    /// Prints `TOPIC PAYLOAD` of all that the device publishes.
    fn watch(&self) -> Process {
        Process::start(self.tool("mosquitto_sub").args(["-v", "-q", "1", "-t", "device/#"]))
    }

    fn command(&self, text: &str) {
        let mut publish = self.tool("mosquitto_pub");
        let status = publish.args(["-q", "1", "-t", "device/command", "-m", text]).status();
        assert!(status.unwrap().success());
    }

    /// The example, which `cargo test` has built unless it was told to build this test only.
    fn device(&self, options: &[&str]) -> Process {
        let mut path = env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.extend(["examples", "mqtt_client"]);
        assert_exists(&path);
        Process::start(
            Command::new(path)
                .args(["--topic", "device", "--client-id", "one", "--interval", "200"])
                .args(["--first-delay", "50", "--max-delay", "200", "--keep-alive", "2"])
                .args(options)
                .arg(format!("ws://127.0.0.1:{}/mqtt", self.websocket)),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn assert_exists(example: &Path) {
    assert!(example.is_file(), "{}: cargo build --examples", example.display());
}

/// Says what is missing on this machine.
fn is_missing() -> bool {
    let missing = TOOLS.into_iter().find(|name| tool(name).is_none());
    if let Some(name) = missing {
        // Not by eprintln!(), whose text is shown of a test that fails only.
        let _ = writeln!(io::stderr(), "cannot run: {name} is not installed");
    }
    missing.is_some()
}

#[test]
fn a_device_reports_obeys_and_outlives_its_broker() {
    if is_missing() {
        return;
    }
    let place = Place::new("outlives");
    // Nobody is there at first.
    let device = place.device(&[]);
    device.wait_for(&["refused", "connecting again"]);
    let broker = place.broker();
    let watcher = place.watch();
    watcher.wait_for(&["device/status online"]);
    watcher.wait_for(&["device/telemetry {\"uptime_ms\":", "\"led\":false"]);
    place.command("led on");
    watcher.wait_for(&["device/telemetry", "\"led\":true"]);
    for command in ["led", "interval 99", "interval 1000 2", "dance"] {
        place.command(command);
        device.wait_for(&[&format!("a command of {} bytes is not", command.len())]);
    }
    // Longer than the keep alive and half as much again, after which the broker would give up who
    // has sent nothing: only Pings are left to send.
    place.command("interval 3600000");
    device.wait_for(&["a report every 3600000 ms"]);
    thread::sleep(Duration::from_secs(4));
    place.command("led off");
    let seen = watcher.wait_for(&["device/telemetry", "\"led\":false"]);
    assert!(!seen.iter().any(|line| line.contains("status")), "{seen:?}");
    drop(watcher);

    drop(broker);
    device.wait_for(&["connecting again"]);
    device.wait_for(&["refused", "connecting again"]);
    let _broker = place.broker();
    let watcher = place.watch();
    watcher.wait_for(&["device/status online"]);
    place.command("interval 100");
    watcher.wait_for(&["device/telemetry", "\"led\":false"]);
    watcher.wait_for(&["device/telemetry", "\"led\":false"]);
    drop(device);
    watcher.wait_for(&["device/status offline"]);
}

#[test]
fn a_packet_that_is_too_long_does_not_reach_the_device() {
    if is_missing() {
        return;
    }
    let place = Place::new("too-long");
    let _broker = place.broker();
    let watcher = place.watch();
    let device = place.device(&[]);
    watcher.wait_for(&["device/status online"]);
    place.command(&"x".repeat(2000));
    place.command("led on");
    watcher.wait_for(&["device/telemetry", "\"led\":true"]);
    drop(device);
    watcher.wait_for(&["device/status offline"]);
    let seen: Vec<_> = watcher.lines.try_iter().collect();
    assert!(seen.is_empty(), "it came back: {seen:?}");
}

#[test]
fn a_device_without_the_password_is_refused_and_says_so() {
    if is_missing() {
        return;
    }
    let place = Place::with_password("password");
    let _broker = place.broker();
    let watcher = place.watch();
    for options in [&[][..], &["--user-name", USER_NAME, "--password", "guessed"]] {
        let device = place.device(options);
        device.wait_for(&["the broker refuses the device: NotAuthorized; connecting again"]);
        device.wait_for(&["the broker refuses the device: NotAuthorized; connecting again"]);
    }
    let device = place.device(&["--user-name", USER_NAME, "--password", PASSWORD]);
    device.wait_for(&["obeying device/command"]);
    let seen = watcher.wait_for(&["device/status"]);
    assert_eq!(seen, ["device/status online"]);
}

#[test]
fn a_device_whose_settings_fit_no_packet_says_so_and_ends() {
    if is_missing() {
        return;
    }
    let place = Place::new("no-packet");
    let _broker = place.broker();
    let mut device = place.device(&["--user-name", &"x".repeat(500)]);
    device.wait_for(&["WebSocket open"]);
    assert!(!device.end().success());
    let seen: Vec<_> = device.lines.iter().collect();
    assert!(seen.is_empty(), "it went on: {seen:?}");
}

/// A device that reports once and is then silent, and what it connects to.
fn with_listener(options: &[&str], test: impl FnOnce(&TcpListener, &mut Process)) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let place = Place { folder: PathBuf::new(), plain: 0, websocket: port, has_password: false };
    let mut device = place.device(&[&["--interval", "3600000"], options].concat());
    test(&listener, &mut device);
}

// Packets of MQTT 5.0, section 2.1.2, with the flags that they have here.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const QOS_1: u8 = 0x02;
const RETAIN: u8 = 0x01;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (low, high) = (body.len() as u8 & 0x7f, body.len() >> 7);
    let len = if high > 0 { vec![low | 0x80, high as u8] } else { vec![low] };
    [&[first][..], &len, body].concat()
}

/// A PUBLISH of QoS 1 to the device's command topic.
fn command(id: u16, text: &[u8]) -> Vec<u8> {
    let topic = b"device/command";
    let head = [&[0, topic.len() as u8][..], topic, &id.to_be_bytes(), &[0]].concat();
    packet(PUBLISH | QOS_1, &[&head, text].concat())
}

/// A broker that does what a test says.
struct Broker<'b>(ByteStream<'b, TcpTransport, Server>);

impl<'b> Broker<'b> {
    fn accept(listener: &TcpListener, rx: &'b mut [u8], tx: &'b mut [u8]) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let incoming = Incoming::read(TcpTransport::new(stream).unwrap(), rx, tx).unwrap();
        let acceptance = Acceptance { subprotocol: Some("mqtt"), ..Acceptance::default() };
        let mut stream = ByteStream::new(incoming.accept(&acceptance).unwrap());
        stream.set_deadline(Some(WATCHDOG));
        Self(stream)
    }

    /// The first byte of the next packet, and what is behind its length.
    fn next(&mut self) -> (u8, Vec<u8>) {
        use embedded_io::Read as _;
        let mut byte = || {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            byte[0]
        };
        let (first, low) = (byte(), byte());
        let len = usize::from(low & 0x7f) + if low > 127 { usize::from(byte()) << 7 } else { 0 };
        let body = (0..len).map(|_| byte()).collect();
        (first, body)
    }

    #[track_caller]
    fn expect(&mut self, first: u8) -> Vec<u8> {
        let (next, body) = self.next();
        assert_eq!(next, first, "{body:?}");
        body
    }

    fn send(&mut self, bytes: &[u8]) {
        use embedded_io::Write as _;
        self.0.write_all(bytes).unwrap();
    }

    /// Takes a PUBLISH of QoS 1, answers it, and returns its topic and payload.
    #[track_caller]
    fn take_publish(&mut self, flags: u8) -> (String, String) {
        let body = self.expect(PUBLISH | QOS_1 | flags);
        let (topic, rest) = body[2..].split_at(usize::from(body[1]));
        assert_eq!(rest[2], 0, "no properties");
        self.send(&packet(PUBACK, &rest[..2]));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(topic), text(&rest[3..]))
    }

    /// Welcomes the device up to its first report; returns its CONNECT.
    fn welcome(&mut self, properties: &[u8]) -> Vec<u8> {
        let connect = self.expect(CONNECT);
        let connack = [&[0, 0, properties.len() as u8][..], properties].concat();
        self.send(&packet(CONNACK, &connack));
        let subscribe = self.expect(SUBSCRIBE);
        assert!(subscribe.ends_with(b"\0\x0edevice/command\x01"), "{subscribe:?}");
        self.send(&packet(SUBACK, &[subscribe[0], subscribe[1], 0, 1]));
        assert_eq!(self.take_publish(RETAIN), ("device/status".into(), "online".into()));
        assert_eq!(self.take_publish(0).0, "device/telemetry");
        connect
    }
}

/// MQTT 5.0 section 3.1.2.10, and 3.2.2.3.14 where the broker asks for another time.
#[test]
fn a_device_that_has_nothing_to_say_pings_within_the_keep_alive() {
    for (option, asked, properties) in [("1", 1, &[][..]), ("60000", 60000, &[0x13, 0, 1])] {
        with_listener(&["--keep-alive", option], |listener, _device| {
            let (mut rx, mut tx) = ([0; 1024], [0; 256]);
            let mut broker = Broker::accept(listener, &mut rx, &mut tx);
            let connect = broker.welcome(properties);
            assert!(connect.starts_with(b"\0\x04MQTT\x05"));
            assert_eq!(u16::from_be_bytes([connect[8], connect[9]]), asked);
            // A clean start, and a will of QoS 1 that is retained.
            assert_eq!(connect[7], 0b0010_1110);
            for _ in 0..2 {
                broker.expect(PINGREQ);
                broker.send(&packet(PINGRESP, &[]));
            }
        });
    }
}

/// Packets begin and end anywhere in messages (MQTT 5.0 section 6).
#[test]
fn commands_are_obeyed_and_acknowledged_in_whatever_messages_they_come() {
    with_listener(&["--keep-alive", "0"], |listener, device| {
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        let mut broker = Broker::accept(listener, &mut rx, &mut tx);
        broker.welcome(&[]);
        for byte in command(0x1234, b"led on") {
            broker.send(&[byte]);
        }
        assert_eq!(broker.expect(PUBACK)[..2], [0x12, 0x34]);
        assert!(broker.take_publish(0).1.contains("\"led\":true"));
        let bad: [&[u8]; 5] = [b"", b"\xff\xfe", b"led on now", b"interval 99", b"interval -100"];
        let ids = 1..=bad.len() as u16;
        let all: Vec<u8> = ids.clone().zip(bad).flat_map(|(id, text)| command(id, text)).collect();
        broker.send(&all);
        for (id, text) in ids.zip(bad) {
            device.wait_for(&[&format!("a command of {} bytes is not understood", text.len())]);
            assert_eq!(broker.expect(PUBACK)[..2], id.to_be_bytes());
        }
        broker.send(&command(6, b"led off"));
        broker.expect(PUBACK);
        assert!(broker.take_publish(0).1.contains("\"led\":false"));
    });
}

#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    with_listener(&["--keep-alive", "0"], |listener, device| {
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        let mut broker = Broker::accept(listener, &mut rx, &mut tx);
        broker.welcome(&[]);
        broker.send(&command(1, b"led on"));
        broker.expect(PUBACK);
        broker.expect(PUBLISH | QOS_1);
        device.wait_for(&["the broker did not answer in time; connecting again"]);
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        Broker::accept(listener, &mut rx, &mut tx).expect(CONNECT);
    });
}

#[test]
fn a_broker_that_breaks_the_rules_is_left_and_tried_again() {
    let long = command(1, &[b'x'; 2000]);
    let shutting_down = packet(DISCONNECT, &[0x8b, 0]);
    for (bytes, says) in [
        (&shutting_down[..], "Disconnected(ServerShuttingDown)"),
        // Longer than the device has said that it takes.
        (&long, "MQTT: "),
        // A packet of a type that only a device may send, and one without a type.
        (&packet(PINGREQ, &[]), "MQTT: "),
        (&[0, 0], "MQTT: "),
        // A length that does not end (MQTT 5.0 section 1.5.5).
        (&[PUBLISH, 0xff, 0xff, 0xff, 0xff, 0xff], "MQTT: "),
        // QoS 3.
        (&packet(PUBLISH | 0x06, &[0, 1, b'a', 0, 1, 0]), "MQTT: "),
    ] {
        with_listener(&["--keep-alive", "0"], |listener, device| {
            let (mut rx, mut tx) = ([0; 1024], [0; 4096]);
            let mut broker = Broker::accept(listener, &mut rx, &mut tx);
            broker.welcome(&[]);
            broker.send(bytes);
            device.wait_for(&[says, "connecting again"]);
            let (mut rx, mut tx) = ([0; 1024], [0; 256]);
            Broker::accept(listener, &mut rx, &mut tx).expect(CONNECT);
        });
    }
}

#[test]
fn a_broker_that_sends_text_is_left_with_1003() {
    with_listener(&["--keep-alive", "0"], |listener, device| {
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        let mut broker = Broker::accept(listener, &mut rx, &mut tx);
        broker.welcome(&[]);
        let mut websocket = broker.0.into_inner();
        websocket.sender().send_text("led on").unwrap();
        loop {
            if let (zephyr_websocket::Event::Close(close), _) = websocket.receive().unwrap() {
                assert_eq!(close.code.map(|code| code.value()), Some(1003));
                break;
            }
        }
        device.wait_for(&["connecting again"]);
    });
}

/// RFC 9110 section 10.2.3.
#[test]
fn a_device_that_is_told_when_to_come_back_waits_as_long() {
    with_listener(&[], |listener, device| {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        assert!(head.take_while(|line| !line.is_empty()).count() > 1);
        stream
            .write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n",
            )
            .unwrap();
        let lines = device.wait_for(&["503", "connecting again in "]);
        let (_, delay) = lines.last().unwrap().rsplit_once(" in ").unwrap();
        let delay: u32 = delay.trim_end_matches(" ms").parse().unwrap();
        // Beside it, its own delay of up to 0.2 s.
        assert!((77_000..=78_000).contains(&delay), "{delay}");
    });
}

#[test]
fn a_topic_at_which_nothing_can_be_published_ends_the_device() {
    for topic in ["#", "a/+/b", &"x".repeat(101)] {
        with_listener(&["--topic", topic], |listener, device| {
            assert!(!device.end().success());
            listener.set_nonblocking(true).unwrap();
            assert!(listener.accept().is_err(), "it connected");
        });
    }
    with_listener(&["--topic", &"x".repeat(100)], |listener, _device| {
        let (mut rx, mut tx) = ([0; 1024], [0; 256]);
        let mut broker = Broker::accept(listener, &mut rx, &mut tx);
        broker.expect(CONNECT);
    });
}

#[test]
fn a_server_without_the_subprotocol_is_left() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let place = Place { folder: PathBuf::new(), plain: 0, websocket: port, has_password: false };
    let device = place.device(&[]);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    let (mut rx, mut tx) = ([0; 1024], [0; 256]);
    let transport = zephyr_websocket::host::TcpTransport::new(stream.try_clone().unwrap()).unwrap();
    let incoming = zephyr_websocket::Incoming::read(transport, &mut rx, &mut tx).unwrap();
    assert_eq!(incoming.request().head().field("Sec-WebSocket-Protocol"), Some(&b"mqtt"[..]));
    let _websocket = incoming.accept(&Default::default()).unwrap();
    device.wait_for(&["WebSocket open"]);
    device.wait_for(&["does not speak the subprotocol mqtt", "connecting again"]);
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [0x88], "a Close frame, and nothing before it");
}
