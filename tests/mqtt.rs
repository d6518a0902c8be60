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
    assert!(!device.child.wait().unwrap().success());
    let seen: Vec<_> = device.lines.iter().collect();
    assert!(seen.is_empty(), "it went on: {seen:?}");
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
