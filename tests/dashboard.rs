// SPDX-License-Identifier: Apache-2.0
//! The sample dashboard on a network in memory: whom it lets in, what it tells, and whom it obeys.
//! Its page is tested by scripts/browser.sh.

#[path = "../samples/dashboard/src/dashboard.rs"]
mod dashboard;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "support/network.rs"]
mod network;
#[path = "support/random.rs"]
mod random;
mod support;

use std::cell::RefCell;
use std::rc::Rc;

use dashboard::{Dashboard, Device, INTERVALS_MS, PATH, may_connect};
use network::{Fault, Peer, Sim, Upgraded};
use support::*;
use zephyr_websocket::handshake::Status;
use zephyr_websocket::hub::{
    Answer, Body, Delivery, Hub, Network, Overflow, Settings, Slot, Timeouts,
};

/// CONFIG_RUST_WEBSOCKET_RX_BUFFER_SIZE and prj.conf's _TX_BUFFER_SIZE.
const RX_BUFFER: usize = 1024;
const TX_BUFFER: usize = 1024;

const DEVICE: &str = r#"{"type":"device","name":"a board","intervals_ms":[50,10000]}"#;

const PAGE: Answer<'static> = Answer {
    status: Status::OK,
    fields: &[("Content-Type", "text/html")],
    body: Body::Static(b"the page"),
};

fn state(led: bool, interval_ms: u32) -> String {
    format!(r#"{{"type":"state","led":{led},"interval_ms":{interval_ms}}}"#)
}

fn error(message: &str) -> String {
    format!(r#"{{"type":"error","message":"{message}"}}"#)
}

struct Board {
    sim: Sim,
    /// How often the LED was set, and to what at last.
    led: Rc<RefCell<Vec<bool>>>,
    in_use: Vec<(&'static str, u32, u32)>,
}

impl Device for Board {
    fn name(&self) -> &str {
        "a board"
    }

    fn uptime_ms(&mut self) -> u64 {
        self.sim.now()
    }

    fn set_led(&mut self, on: bool) {
        self.led.borrow_mut().push(on);
    }

    fn in_use(&mut self) -> impl IntoIterator<Item = (&'static str, u32, u32)> {
        self.in_use.clone()
    }
}

struct Rig<'h, 'o, N: Network> {
    hub: Hub<'h, N>,
    dashboard: Dashboard<'o, Board>,
    sim: Sim,
    led: Rc<RefCell<Vec<bool>>>,
}

struct Setup {
    origin: Option<&'static str>,
    now: u64,
    in_use: Vec<(&'static str, u32, u32)>,
}

const SETUP: Setup = Setup { origin: None, now: 0, in_use: Vec::new() };

impl Setup {
    fn on<N: Network>(
        self,
        network: impl FnOnce(Sim) -> N,
        test: impl FnOnce(&mut Rig<'_, '_, N>),
    ) {
        let sim = Sim::new(self.now);
        let timeouts = Timeouts { ping: None, ..Timeouts::default() };
        let delivery = Delivery::Messages;
        let settings =
            Settings { timeouts, delivery, overflow: Overflow::Refuse, ..Settings::default() };
        let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(4).collect();
        let (mut rx, mut tx) = (vec![0; 4 * RX_BUFFER], vec![0; 4 * TX_BUFFER]);
        let hub = Hub::new(network(sim.clone()), &mut slots, &mut rx, &mut tx, &settings).unwrap();
        let led = Rc::default();
        let board = Board { sim: sim.clone(), led: Rc::clone(&led), in_use: self.in_use };
        let dashboard = Dashboard::new(board, 4, 250, self.origin, Some(PAGE));
        test(&mut Rig { hub, dashboard, sim, led });
    }

    fn run(self, test: impl FnOnce(&mut Rig<'_, '_, Sim>)) {
        self.on(|sim| sim, test);
    }
}

impl<N: Network> Rig<'_, '_, N>
where
    N::Stream: embedded_io::ErrorType<Error = Fault>,
{
    /// Lets all be done that there is to do up to `ms` from now.
    fn wait(&mut self, ms: u64) {
        self.sim.allow(ms);
        assert_eq!(dashboard::run(&mut self.hub, &mut self.dashboard), Err(Fault::Settled));
    }

    fn send(&mut self, bytes: &[u8]) -> Peer {
        let peer = self.sim.connect();
        peer.send(bytes);
        self.wait(0);
        peer
    }

    /// The answer's head and body.
    fn answer(&mut self, bytes: &[u8]) -> String {
        let peer = self.send(bytes);
        let answer = String::from_utf8(peer.received()).unwrap();
        peer.end();
        self.wait(10);
        assert!(peer.closed_at().is_some());
        answer
    }

    /// A page that has connected, and has not read what it was told first.
    fn page(&mut self) -> Page {
        let peer = self.send(&open_request(&[]));
        let mut page = Page { peer, stream: Vec::new() };
        page.take();
        let end = page.stream.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        assert!(page.stream.starts_with(b"HTTP/1.1 101 "));
        page.stream.drain(..end + 4);
        page
    }

    /// One that has read that.
    fn welcomed(&mut self) -> Page {
        let mut page = self.page();
        assert_eq!(page.heard().len(), 3);
        page
    }
}

fn open_request(fields: &[&str]) -> Vec<u8> {
    head(&format!("GET {PATH} HTTP/1.1"), &[&REQUEST_FIELDS[..], fields].concat())
}

struct Page {
    peer: Peer,
    stream: Vec<u8>,
}

impl Page {
    fn say(&self, text: &str) {
        self.peer.send(&masked(FIN | TEXT, text.as_bytes()));
    }

    fn take(&mut self) {
        self.stream.extend(self.peer.received());
        self.peer.forget();
    }

    /// The messages since this was last called, all of them text.
    fn heard(&mut self) -> Vec<String> {
        self.take();
        let mut messages = Vec::new();
        while let Some((frame, len)) = first_frame(&self.stream) {
            assert_eq!(frame.first, FIN | TEXT);
            messages.push(String::from_utf8(frame.payload).unwrap());
            self.stream.drain(..len);
        }
        messages
    }

    /// The same without samples.
    fn told(&mut self) -> Vec<String> {
        self.heard().into_iter().filter(|message| uptime(message).is_none()).collect()
    }

    /// When the samples were taken.
    fn sampled(&mut self) -> Vec<u64> {
        self.heard().iter().filter_map(|message| uptime(message)).collect()
    }
}

fn uptime(message: &str) -> Option<u64> {
    let rest = message.strip_prefix(r#"{"type":"sample","uptime_ms":"#)?;
    Some(rest.split(',').next()?.parse().unwrap())
}

#[test]
fn a_page_is_told_about_the_device_and_samples_at_each_interval() {
    SETUP.run(|rig| {
        assert_eq!(*rig.led.borrow(), [false], "the LED begins as the page shows it");
        rig.wait(100_000);
        let mut page = rig.page();
        let heard = page.heard();
        assert_eq!(heard[..2], [DEVICE.to_owned(), state(false, 250)]);
        assert_eq!(uptime(&heard[2]), Some(100_000), "the first sample comes at once");
        assert!(heard[2].ends_with(r#","connections":[1,4],"in_use":{}}"#), "{}", heard[2]);
        rig.wait(1000);
        assert_eq!(page.sampled(), [100_250, 100_500, 100_750, 101_000]);
        assert_eq!(heard.len(), 3);
    });
}

#[test]
fn nothing_is_sampled_while_nobody_looks() {
    SETUP.run(|rig| {
        let page = rig.welcomed();
        rig.wait(10_000);
        page.peer.reset();
        rig.wait(1000);
        let waits = rig.sim.waits();
        rig.wait(1_000_000);
        assert!(rig.sim.waits() < waits + 3);
        rig.welcomed();
    });
}

#[test]
fn what_is_counted_is_told_and_its_longest_message_fits() {
    let most = u32::MAX;
    let in_use = [
        ("heap", most, most),
        ("sockets", most, most),
        ("nothing", 0, 0),
        ("rx_buffers", most, most),
        ("tx_buffers", 0, most),
    ];
    Setup { now: u64::MAX / 2, in_use: in_use.into(), ..SETUP }.run(|rig| {
        let heard = rig.page().heard();
        let expected = format!(
            r#""in_use":{{"heap":[{most},{most}],"sockets":[{most},{most}],"rx_buffers":[{most},{most}],"tx_buffers":[0,{most}]}}}}"#
        );
        assert!(heard[2].ends_with(&expected), "{}", heard[2]);
    });
}

#[test]
fn the_led_is_switched_both_ways_for_all_pages() {
    SETUP.run(|rig| {
        let (mut one, mut other) = (rig.welcomed(), rig.welcomed());
        one.told();
        for (command, on) in [("led on", true), ("led off", false), ("led on", true)] {
            one.say(command);
            rig.wait(0);
            assert_eq!(rig.led.borrow().last(), Some(&on));
            assert_eq!(one.told(), [state(on, 250)]);
            assert_eq!(other.told(), [state(on, 250)]);
        }
        assert_eq!(rig.led.borrow().len(), 4);
        assert_eq!(rig.page().told(), [DEVICE.to_owned(), state(true, 250)]);
    });
}

#[test]
fn the_led_warms_the_sensor() {
    SETUP.run(|rig| {
        let value = |heard: Vec<String>| -> f64 {
            let last = heard.last().unwrap();
            let (_, rest) = last.split_once(r#""value":"#).unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        let mut page = rig.page();
        let cold = value(page.heard());
        page.say("led on");
        rig.wait(10_000);
        let warm = value(page.heard());
        assert!(warm > cold + 1.0, "{cold} to {warm}");
        page.say("led off");
        rig.wait(10_000);
        assert!(value(page.heard()) < warm - 1.0);
    });
}

#[test]
fn the_interval_is_set_within_its_range() {
    SETUP.run(|rig| {
        let (mut one, mut other) = (rig.welcomed(), rig.welcomed());
        let (min, max) = (*INTERVALS_MS.start(), *INTERVALS_MS.end());
        for ms in [min, max, 250] {
            one.say(&format!("interval {ms}"));
            // Up to a sample, after which the new interval counts.
            rig.wait(u64::from(max));
            one.heard();
            other.heard();
            rig.wait(2 * u64::from(max));
            let at = other.sampled();
            assert!(at.len() > 1);
            assert!(at.windows(2).all(|pair| pair[1] - pair[0] == u64::from(ms)), "{ms}: {at:?}");
        }
        assert_eq!(rig.page().told()[1], state(false, 250));
        one.say("interval 10000");
        rig.wait(250);
        other.heard();
        one.say("interval 50");
        rig.wait(100);
        assert_eq!(other.sampled().len(), 2, "it counts at once");
    });
}

/// It sends to all what one asks for, so that one must not be able to ask for more.
#[test]
fn commands_in_plenty_bring_no_samples_before_their_time() {
    SETUP.run(|rig| {
        let (one, mut other) = (rig.welcomed(), rig.welcomed());
        one.say("interval 1000");
        rig.wait(2000);
        other.heard();
        for turn in 0..5000 {
            one.say(if turn % 2 == 0 { "interval 1000" } else { "led on" });
            one.peer.forget();
            rig.wait(1);
        }
        let at = other.sampled();
        assert!((4..=6).contains(&at.len()), "{} in 5 s", at.len());
    });
}

#[test]
fn what_is_no_command_is_answered_and_changes_nothing() {
    const COMMANDS: &str = "commands are: led on, led off, interval MS";
    const RANGE: &str = "interval takes 50 to 10000, in milliseconds";
    SETUP.run(|rig| {
        let (mut one, mut other) = (rig.welcomed(), rig.welcomed());
        for (command, answer) in [
            ("", COMMANDS),
            ("led", COMMANDS),
            ("interval", COMMANDS),
            ("reboot now", COMMANDS),
            ("\"\\\n\0", COMMANDS),
            ("led ON", "led takes on or off"),
            ("led on ", "led takes on or off"),
            ("interval 49", RANGE),
            ("interval 10001", RANGE),
            ("interval -50", RANGE),
            ("interval 50.0", RANGE),
            ("interval 4294967346", RANGE),
            ("interval  50", RANGE),
            ("interval ", RANGE),
        ] {
            one.told();
            one.say(command);
            rig.wait(0);
            assert_eq!(one.told(), [error(answer)], "{command:?}");
        }
        one.peer.send(&masked(FIN | BINARY, b"led on"));
        rig.wait(0);
        assert_eq!(one.told(), [error("a command is text")]);
        assert_eq!(other.told(), [] as [&str; 0]);
        assert_eq!(*rig.led.borrow(), [false]);
        one.say("led on");
        rig.wait(0);
        assert_eq!(other.told(), [state(true, 250)]);
    });
}

#[test]
fn a_page_that_does_not_keep_up_misses_samples_and_no_state() {
    SETUP.run(|rig| {
        let (mut slow, mut quick) = (rig.welcomed(), rig.welcomed());
        slow.heard();
        slow.peer.set_window(0);
        rig.wait(4000);
        assert_eq!(quick.sampled().len(), 16);
        // More changes than there is room for.
        for turn in 0..30 {
            let on = turn % 2 == 1;
            quick.say(if on { "led on" } else { "led off" });
            rig.wait(0);
            assert_eq!(quick.told(), [state(on, 250)]);
        }
        quick.say("interval 251");
        rig.wait(0);
        slow.peer.set_window(usize::MAX);
        rig.wait(1000);
        let heard = slow.heard();
        assert!(heard.contains(&state(true, 251)), "{heard:?}");
        let count = heard.iter().filter(|message| uptime(message).is_some()).count();
        assert!(count < 16, "{count} waited");
    });
}

#[test]
fn a_page_of_its_own_origin_may_connect() {
    let own = |page: &'static str, host: &'static str| {
        may_connect(Some(page.as_bytes()), Some(host.as_bytes()), None)
    };
    assert!(own("http://192.0.2.1:8080", "192.0.2.1:8080"));
    assert!(own("https://Device.example", "device.example"));
    assert!(own("http://[2001:db8::1]", "[2001:db8::1]"));
    assert!(!own("http://192.0.2.1", "192.0.2.1:8080"));
    assert!(!own("http://192.0.2.1:8080", "192.0.2.1"));
    assert!(!own("http://evil.example", "192.0.2.1"));
    assert!(!own("http://192.0.2.1.evil.example", "192.0.2.1"));
    assert!(!own("http://evil.example/192.0.2.1", "192.0.2.1"));
    assert!(!own("192.0.2.1", "192.0.2.1"));
    assert!(!own("ftp://192.0.2.1", "192.0.2.1"));
    assert!(!own("null", "192.0.2.1"));
    assert!(!own("", ""));
    assert!(!may_connect(Some(b"http://192.0.2.1"), None, None));
    let only = |page: &'static str| {
        may_connect(Some(page.as_bytes()), Some(b"evil.example"), Some("http://own.example"))
    };
    assert!(only("http://own.example"));
    // As where a name of the attacker's leads to the device.
    assert!(!only("http://evil.example"));
    assert!(!only("http://own.example:81"));
    // No browser.
    assert!(may_connect(None, Some(b"192.0.2.1"), None));
    assert!(may_connect(None, None, Some("http://own.example")));
}

const OWN: &str = "Origin: http://server.example.com";
const FOREIGN: &str = "Origin: http://evil.example";

#[test]
fn a_page_of_another_origin_hears_nothing() {
    SETUP.run(|rig| {
        assert!(rig.answer(&open_request(&[FOREIGN])).starts_with("HTTP/1.1 403 "));
        assert!(rig.send(&open_request(&[OWN])).received().starts_with(b"HTTP/1.1 101 "));
    });
    // Behind a server that has answered with 101 already.
    SETUP.on(Upgraded, |rig| {
        let foreign = rig.send(&open_request(&[FOREIGN]));
        assert_eq!(contents(&foreign.received()), [(CLOSE, close_payload(1008, "Forbidden"))]);
        let own = contents(&rig.send(&open_request(&[OWN])).received());
        assert_eq!(own[0], (FIN | TEXT, DEVICE.as_bytes().to_vec()));
    });
    Setup { origin: Some("http://evil.example"), ..SETUP }.run(|rig| {
        assert!(rig.answer(&open_request(&[OWN])).starts_with("HTTP/1.1 403 "));
        assert!(rig.send(&open_request(&[FOREIGN])).received().starts_with(b"HTTP/1.1 101 "));
    });
}

#[test]
fn the_page_is_beside_the_websocket() {
    SETUP.run(|rig| {
        let fields = ["Host: a.example", "Content-Length: 0"];
        for (line, status, has_page) in [
            ("GET / HTTP/1.1", "200", true),
            ("HEAD / HTTP/1.1", "200", false),
            ("GET /nothing HTTP/1.1", "404", false),
            ("GET /ws HTTP/1.1", "426", false),
            ("POST / HTTP/1.1", "405", false),
        ] {
            let answer = rig.answer(&head(line, &fields));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
            assert_eq!(answer.ends_with("the page"), has_page, "{line}: {answer}");
        }
        let elsewhere = head("GET /other HTTP/1.1", &REQUEST_FIELDS);
        assert!(rig.answer(&elsewhere).starts_with("HTTP/1.1 404 "));
    });
}
