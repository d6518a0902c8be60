// SPDX-License-Identifier: Apache-2.0
//! Compares echo servers over loopback, the first one with each of the others.
//!
//!     load NAME=COMMAND...
//!
//! A COMMAND starts a server on any port of 127.0.0.1, whose number is the last one in the first
//! line that it prints. `CORE`, if set, is the processor that all servers are pinned to.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(250);
/// A server that takes longer for one message has failed.
const PATIENCE: Duration = Duration::from_secs(10);
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Clone, Copy)]
struct Point {
    payload_len: usize,
    connections: usize,
    in_flight: usize,
}

struct Server {
    name: String,
    process: Child,
    port: u16,
}

impl Server {
    fn start(argument: &str) -> Result<Self> {
        let (name, command) = argument.split_once('=').ok_or("NAME=COMMAND is missing")?;
        let pin =
            std::env::var("CORE").map(|core| format!("taskset -c {core}")).unwrap_or_default();
        let mut process = Command::new("sh")
            .args(["-c", &format!("exec {pin} {command}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let mut server = Self { name: name.into(), process, port: 0 };
        let mut numbers = line.split(|c: char| !c.is_ascii_digit());
        let port = numbers.rfind(|number| !number.is_empty());
        server.port = port.ok_or_else(|| format!("{name} did not start"))?.parse()?;
        Ok(server)
    }

    /// Processor time so far, in seconds.
    fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name in parentheses may hold spaces; utime and stime are the fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<std::result::Result<f64, _>>()? / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Finds the ends of messages in what arrives.
#[derive(Default)]
struct Reader {
    header: [u8; 10],
    header_len: usize,
    payload_left: usize,
    message_len: usize,
    fin: bool,
}

impl Reader {
    /// Returns how many messages of `len` bytes end in `bytes`; `look` gets their payload.
    fn feed(&mut self, mut bytes: &[u8], len: usize, mut look: impl FnMut(&[u8])) -> Result<usize> {
        let mut messages = 0;
        loop {
            if self.payload_left > 0 {
                let (payload, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
                look(payload);
                self.payload_left -= payload.len();
                self.message_len += payload.len();
                bytes = rest;
            } else {
                let Some((&byte, rest)) = bytes.split_first() else { return Ok(messages) };
                bytes = rest;
                self.header[self.header_len] = byte;
                self.header_len += 1;
                let header = &self.header[..self.header_len];
                self.payload_left = match *header {
                    [_, len @ 0..126] => len.into(),
                    [_, 126, a, b] => u16::from_be_bytes([a, b]).into(),
                    [_, 127, .., _, _] if header.len() == 10 => {
                        u64::from_be_bytes(header[2..].try_into()?).try_into()?
                    }
                    [_, 128..=255, ..] => return Err("a masked frame".into()),
                    _ => continue,
                };
                if header[0] & 0x7F > 2 {
                    return Err("a frame that is no data".into());
                }
                self.fin = header[0] & 0x80 != 0;
                self.header_len = 0;
            }
            if self.payload_left == 0 && self.fin {
                if self.message_len != len {
                    return Err(format!("{} bytes instead of {len}", self.message_len).into());
                }
                (self.message_len, self.fin) = (0, false);
                messages += 1;
            } else if self.payload_left > 0 && bytes.is_empty() {
                return Ok(messages);
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    reader: Reader,
    /// Bytes that may be sent, and the position in the repeated frames.
    credit: usize,
    position: usize,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            response.extend(byte);
        }
        if !response.starts_with(b"HTTP/1.1 101 ") {
            return Err("the server refused".into());
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, reader: Reader::default(), credit: 0, position: 0 })
    }

    /// Sends what may be sent, until the socket takes no more.
    fn send(&mut self, frames: &[u8]) -> Result<()> {
        while self.credit > 0 {
            let end = frames.len().min(self.position + self.credit);
            match self.stream.write(&frames[self.position..end]) {
                Ok(count) => {
                    self.credit -= count;
                    self.position = (self.position + count) % frames.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

struct Load {
    point: Point,
    payload: Vec<u8>,
    frame_len: usize,
    /// Whole frames, enough of them that one write can send many.
    frames: Vec<u8>,
    buffer: Vec<u8>,
}

impl Load {
    fn new(point: Point) -> Self {
        let len = point.payload_len;
        let payload: Vec<u8> = (0..len).map(|i| (i * 37 + (i >> 8)) as u8).collect();
        let mut frame = vec![0x82];
        match len {
            0..126 => frame.push(0x80 | len as u8),
            126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend(KEY);
        frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        let frames = frame.repeat((64 << 10) / frame.len() + 1);
        Self { point, payload, frame_len: frame.len(), frames, buffer: vec![0; 256 << 10] }
    }

    /// Checks one echo, and then counts for a while.
    fn run(&mut self, server: &Server) -> Result<Run> {
        let opened = (0..self.point.connections).map(|_| Connection::open(server.port));
        let mut connections: Vec<_> = opened.collect::<Result<_>>()?;
        let mut echoed: Vec<u8> = Vec::new();
        self.drive(&mut connections[..1], 1, Duration::ZERO, |payload| echoed.extend(payload))?;
        if echoed != self.payload {
            return Err("the echo differs".into());
        }
        self.drive(&mut connections, self.point.in_flight, ROUND / 10, |_| {})?;
        let cpu = server.cpu()?;
        let start = Instant::now();
        let messages = self.drive(&mut connections, self.point.in_flight, ROUND, |_| {})?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Run { messages: messages as f64, seconds, cpu: server.cpu()? - cpu })
    }

    /// Keeps `in_flight` messages under way on each connection for `time`, then waits for the
    /// rest. Returns how many came back.
    fn drive(
        &mut self,
        connections: &mut [Connection],
        in_flight: usize,
        time: Duration,
        mut look: impl FnMut(&[u8]),
    ) -> Result<usize> {
        let start = Instant::now();
        let (mut done, mut expected) = (0, connections.len() * in_flight);
        for connection in &mut *connections {
            connection.credit = in_flight * self.frame_len;
            connection.send(&self.frames)?;
        }
        while done < expected {
            let ready = wait(connections)?;
            let go_on = start.elapsed() < time;
            for (connection, events) in connections.iter_mut().zip(ready) {
                if !(events & !PollFlags::OUT).is_empty() {
                    let count = connection.stream.read(&mut self.buffer)?;
                    if count == 0 {
                        return Err("the server ended the connection".into());
                    }
                    let bytes = &self.buffer[..count];
                    let len = self.point.payload_len;
                    let messages = connection.reader.feed(bytes, len, &mut look)?;
                    done += messages;
                    if go_on {
                        expected += messages;
                        connection.credit += messages * self.frame_len;
                    }
                }
                connection.send(&self.frames)?;
            }
        }
        Ok(done)
    }
}

/// Waits until a connection can go on, and returns what each is ready for.
fn wait(connections: &[Connection]) -> Result<Vec<PollFlags>> {
    let mut fds: Vec<_> = connections
        .iter()
        .map(|connection| {
            let out = if connection.credit > 0 { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(&connection.stream, PollFlags::IN | out)
        })
        .collect();
    match poll(&mut fds, Some(&PATIENCE.try_into()?))? {
        0 => Err("the server does not answer".into()),
        _ => Ok(fds.iter().map(PollFd::revents).collect()),
    }
}

#[derive(Clone, Copy)]
struct Run {
    messages: f64,
    seconds: f64,
    cpu: f64,
}

impl Run {
    fn rate(&self) -> f64 {
        self.messages / self.seconds
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Microseconds of the server's processor for one message.
fn cpu(runs: &[Run]) -> f64 {
    let sum = |part: fn(&Run) -> f64| runs.iter().map(part).sum::<f64>();
    1e6 * sum(|run| run.cpu) / sum(|run| run.messages)
}

fn compare(servers: &[Server]) -> Result<()> {
    println!(
        "{:>7} {:>5} {:>6}  {:16} {:>9} {:>9}  {:^20}  {:>8} {:>8}",
        "payload",
        "conns",
        "flight",
        "ours against",
        "ours/s",
        "peer/s",
        "ratio min median max",
        "ours CPU",
        "peer CPU"
    );
    let mut behind = Vec::new();
    for payload_len in [32, 1 << 10, 64 << 10, 1 << 20] {
        for (connections, in_flight) in [(1, 1), (1, 16), (8, 1), (8, 16)] {
            let mut load = Load::new(Point { payload_len, connections, in_flight });
            let mut runs = vec![Vec::new(); servers.len()];
            for round in 0..ROUNDS {
                // Each server is first and last equally often, as far as that goes.
                for i in 0..servers.len() {
                    let i = if round % 2 == 0 { i } else { servers.len() - 1 - i };
                    let server = &servers[i];
                    let run = load.run(server).map_err(|error| format!("{}: {error}", server.name));
                    runs[i].push(run?);
                }
            }
            for (server, peer) in servers.iter().zip(&runs).skip(1) {
                let ratios = sorted(runs[0].iter().zip(peer).map(|(a, b)| a.rate() / b.rate()));
                let median = |runs: &[Run]| sorted(runs.iter().map(Run::rate))[ROUNDS / 2];
                let row = format!(
                    "{payload_len:7} {connections:5} {in_flight:6}  {:16} {:9.0} {:9.0}  \
                     {:6.2} {:6.2} {:6.2}  {:8.2} {:8.2}",
                    server.name,
                    median(&runs[0]),
                    median(peer),
                    ratios[0],
                    ratios[ROUNDS / 2],
                    ratios[ROUNDS - 1],
                    cpu(&runs[0]),
                    cpu(peer),
                );
                println!("{row}");
                if ratios[ROUNDS / 2] < 1.0 {
                    behind.push(row);
                }
            }
        }
    }
    println!(
        "\nCPU: microseconds of the server for one message. Aim: a median ratio of at least 1."
    );
    println!("Points in which it is less: {}", behind.len());
    behind.iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn main() -> ExitCode {
    let servers = std::env::args().skip(1).map(|argument| Server::start(&argument));
    match servers.collect::<Result<Vec<_>>>().and_then(|servers| compare(&servers)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
