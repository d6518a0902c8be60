// SPDX-License-Identifier: Apache-2.0
//! A hub behind a web server that has answered the opening handshakes with 101: what it refuses
//! then, it refuses with a Close frame.
#![allow(dead_code, reason = "most of the support is for tests/hub.rs")]

#[path = "support/network.rs"]
mod network;
#[path = "support/random.rs"]
mod random;
#[path = "support/rig.rs"]
mod rig;
mod support;

use std::time::Duration;

use network::{Peer, Upgraded};
use rig::{Ended, Rig, Setup, Told};
use support::*;
use zephyr_websocket::hub::{Delivery, PeerId, Settings, Timeouts};
use zephyr_websocket::{CloseCode, MIN_RX_BUFFER, State};

fn run(setup: &Setup, test: impl FnOnce(&mut Rig<'_, Upgraded>)) {
    setup.run_on(Upgraded, test);
}

fn closing_after(ms: u64) -> Setup {
    let mut setup = Setup::default();
    setup.settings.timeouts.closing_handshake = Duration::from_millis(ms);
    setup
}

/// What a peer has received: nothing but whole frames.
fn received(peer: &Peer) -> Vec<(u8, Vec<u8>)> {
    contents(&peer.received())
}

fn close(code: u16, reason: &str) -> (u8, Vec<u8>) {
    (CLOSE, close_payload(code, reason))
}

fn get(target: &str) -> Vec<u8> {
    head(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS)
}

fn opened(rig: &Rig<'_, Upgraded>) -> Vec<PeerId> {
    let opened = rig.app.told.iter().filter_map(|told| match told {
        Told::Opened(id) => Some(*id),
        _ => None,
    });
    opened.collect()
}

/// A request that is refused so, of which the application hears nothing but that.
#[track_caller]
fn assert_closes(rig: &mut Rig<'_, Upgraded>, request: &[u8], code: u16, reason: &str) {
    let told = rig.app.told.len();
    let peer = rig.send(request);
    assert_eq!(received(&peer), [close(code, reason)]);
    assert!(peer.is_shut_down());
    // The peer answers, and ends its side (RFC 6455 section 7.1.1).
    peer.send(&masked(CLOSE, &close_payload(code, "")));
    rig.settle();
    assert_eq!(peer.closed_at(), None);
    peer.end();
    rig.settle();
    assert!(peer.closed_at().is_some());
    assert_eq!(rig.app.told.len(), told, "{:?}", rig.app.told);
}

#[track_caller]
fn assert_serves(rig: &mut Rig<'_, Upgraded>) {
    rig.app.echoes = true;
    let peer = rig.send(&request());
    peer.send(&masked(FIN | TEXT, b"still there?"));
    peer.send(&masked(CLOSE, &close_payload(1000, "")));
    rig.settle();
    assert_eq!(received(&peer), [(FIN | TEXT, b"still there?".to_vec()), close(1000, "")]);
    peer.end();
    rig.settle();
    assert!(peer.closed_at().is_some());
    let id = *opened(rig).last().unwrap();
    assert_eq!(rig.app.end_of(id), Some(Ended::Closed(Some(1000))));
}

/// RFC 6455 section 4.2.2: the answer has gone already.
#[test]
fn a_peer_opens_without_another_answer() {
    run(&Setup::default(), |rig| {
        let peer = rig.send(&request());
        let [id] = opened(rig)[..] else { panic!("{:?}", rig.app.told) };
        assert_eq!(rig.hub.peers().state(id), State::Open);
        assert_eq!(peer.received(), b"");
        assert_serves(rig);
        assert_eq!(peer.closed_at(), None);
    });
}

#[test]
fn what_came_behind_the_request_is_not_lost() {
    let settings = Settings { delivery: Delivery::Messages, ..Setup::default().settings };
    run(&Setup { settings, ..Setup::default() }, |rig| {
        rig.app.echoes = true;
        let bytes =
            [request(), masked(FIN | TEXT, b"early"), masked(FIN | TEXT, b"later")].concat();
        // The web server has read a part of the second frame.
        let (early, late) = bytes.split_at(bytes.len() - 3);
        let peer = rig.send(early);
        assert_eq!(received(&peer), [(FIN | TEXT, b"early".to_vec())]);
        peer.send(late);
        rig.settle();
        let echoes = [(FIN | TEXT, b"early".to_vec()), (FIN | TEXT, b"later".to_vec())];
        assert_eq!(received(&peer), echoes);
    });
}

/// Nothing can be read into a buffer that is full.
#[test]
fn a_request_may_fill_the_receive_buffer() {
    let request = request();
    run(&Setup { rx: request.len(), ..Setup::default() }, |rig| {
        assert!(request.len() >= MIN_RX_BUFFER);
        rig.send(&request);
        assert_eq!(opened(rig).len(), 1);
        assert_serves(rig);
    });
}

#[test]
fn a_request_that_does_not_fit_is_closed_with_1009() {
    let request = request();
    run(&Setup { rx: request.len() - 1, ..Setup::default() }, |rig| {
        assert_closes(rig, &request, 1009, "");
    });
}

/// As where the web server had to drop a field: such a head has no end.
#[test]
fn a_request_that_is_not_whole_is_closed_with_1009() {
    run(&Setup::default(), |rig| {
        let request = request();
        assert_closes(rig, &request[..request.len() - 2], 1009, "");
        assert_closes(rig, b"", 1009, "");
        assert_serves(rig);
    });
}

/// RFC 6455 section 4.2.1: the web server may have checked none of it.
#[test]
fn what_is_no_valid_opening_handshake_is_closed_with_1002() {
    run(&Setup::default(), |rig| {
        let lines = |name, lines: &[&'static str]| {
            head("GET / HTTP/1.1", &replacing(&REQUEST_FIELDS, name, lines))
        };
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        for request in [
            lines("Sec-WebSocket-Key", &[]),
            lines("Sec-WebSocket-Key", &["Sec-WebSocket-Key: short"]),
            lines("Sec-WebSocket-Key", &[key, key]),
            lines("Sec-WebSocket-Version", &[]),
            lines("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]),
            lines("Host", &[]),
            lines("Upgrade", &[]),
            lines("Connection", &[]),
            head("GET / HTTP/1.0", &REQUEST_FIELDS),
            head("POST / HTTP/1.1", &REQUEST_FIELDS),
            head("GET /#fragment HTTP/1.1", &REQUEST_FIELDS),
            // No WebSocket at all, which otherwise would be a page.
            head("GET /page HTTP/1.1", &["Host: a.example"]),
        ] {
            assert_closes(rig, &request, 1002, "");
        }
        assert_serves(rig);
    });
}

/// RFC 6455 section 10.2, and others.
#[test]
fn the_application_refuses_with_a_close_frame() {
    run(&Setup::default(), |rig| {
        let foreign = [&REQUEST_FIELDS[..], &["Origin: http://foreign.example"]].concat();
        assert_closes(rig, &request_with(&foreign), 1008, "Forbidden");
        assert_closes(rig, &get("/nothing"), 1008, "Not Found");
        assert_closes(rig, &get("/busy"), 1013, "Service Unavailable");
        assert_closes(rig, &get("/often"), 1013, "Too Many Requests");
        assert_closes(rig, &get("/broken"), 1011, "Internal Server Error");
        // No Close frame has room for it.
        assert_closes(rig, &get("/long-reason"), 1008, "");
        let own = [&REQUEST_FIELDS[..], &["Origin: http://own.example"]].concat();
        rig.send(&request_with(&own));
        assert_eq!(opened(rig).len(), 1);
    });
}

/// It is too late for them.
#[test]
fn subprotocol_and_fields_of_an_acceptance_are_left_out() {
    run(&Setup::default(), |rig| {
        let offers = [&REQUEST_FIELDS[..], &["Sec-WebSocket-Protocol: chat.v2"]].concat();
        for request in [request_with(&offers), get("/too-large"), get("/not-offered")] {
            let peer = rig.send(&request);
            assert_eq!(peer.received(), b"");
            peer.reset();
            rig.settle();
        }
        assert_eq!(opened(rig).len(), 3);
        assert_serves(rig);
    });
}

#[test]
fn those_without_a_slot_are_closed_with_1013() {
    run(&Setup { slots: 2, ..Setup::default() }, |rig| {
        let first = rig.send(&request());
        rig.send(&request());
        let [third, fourth] = [rig.send(&request()), rig.send(&request())];
        assert_eq!(received(&third), [close(1013, "")]);
        // One at a time is told.
        assert_eq!((received(&fourth), fourth.closed_at()), (vec![], None));
        third.end();
        rig.settle();
        assert!(third.closed_at().is_some());
        assert_eq!(received(&fourth), [close(1013, "")]);
        fourth.end();
        first.reset();
        rig.settle();
        assert_eq!(opened(rig).len(), 2);
        assert_serves(rig);
    });
}

#[test]
fn a_peer_that_is_refused_and_silent_is_given_up_in_time() {
    run(&closing_after(2000), |rig| {
        for request in [get("/nothing"), head("GET / HTTP/1.0", &REQUEST_FIELDS)] {
            let peer = rig.send(&request);
            assert_eq!(received(&peer).len(), 1);
            let start = rig.sim.now();
            rig.run(1999);
            assert_eq!(peer.closed_at(), None);
            rig.run(1);
            assert_eq!(peer.closed_at(), Some(start + 2000));
        }
        assert_eq!(rig.app.told, []);
    });
}

/// A peer that takes nothing keeps its slot no longer than any other.
#[test]
fn a_refusal_that_does_not_leave_is_given_up_in_time() {
    run(&closing_after(2000), |rig| {
        let peer = rig.sim.connect();
        peer.set_window(0);
        peer.send(&get("/nothing"));
        rig.settle();
        let start = rig.sim.now();
        rig.run(1999);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(start + 2000));
        assert_serves(rig);
    });
}

#[test]
fn peers_that_vanish_leave_their_slots() {
    run(&Setup { slots: 1, ..Setup::default() }, |rig| {
        for number in 0..10 {
            let peer = rig.sim.connect();
            peer.send(&if number % 2 == 0 { request() } else { get("/nothing") });
            if number % 3 == 0 {
                peer.end()
            } else {
                rig.sim.after(0, move || peer.reset())
            }
            rig.settle();
        }
        let opened = opened(rig);
        assert_eq!(opened.len(), 5);
        for id in opened {
            let end = rig.app.end_of(id);
            assert!(matches!(end, Some(Ended::Disconnected | Ended::Transport)), "{end:?}");
        }
        assert_serves(rig);
    });
}

#[test]
fn a_stopped_hub_closes_with_its_code_and_takes_no_more() {
    run(&Setup::default(), |rig| {
        let peer = rig.send(&request());
        rig.hub.stop(CloseCode::GOING_AWAY, Duration::from_secs(5));
        let late = rig.send(&request());
        assert_eq!(received(&peer), [close(1001, "")]);
        assert_eq!(received(&late), []);
        peer.send(&masked(CLOSE, &close_payload(1001, "")));
        peer.end();
        rig.settle();
        assert!(rig.hub.is_stopped());
        assert_eq!(opened(rig).len(), 1);
    });
}

/// Timeouts begin when the hub has the connection, as for any other.
#[test]
fn an_upgraded_peer_is_asked_for_a_sign_of_life() {
    let timeouts = Timeouts {
        ping: Some(Duration::from_secs(3)),
        pong: Duration::from_secs(2),
        ..Setup::default().settings.timeouts
    };
    let settings = Settings { timeouts, ..Settings::default() };
    run(&Setup { settings, ..Setup::default() }, |rig| {
        let peer = rig.send(&request());
        rig.run(2999);
        assert_eq!(received(&peer), []);
        rig.run(1);
        assert_eq!(received(&peer), [(PING, vec![])]);
        rig.run(1999);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert!(peer.closed_at().is_some());
    });
}
