// SPDX-License-Identifier: Apache-2.0
//! A server for many connections, on a network in memory: what it promises, and every timeout to
//! the millisecond. In each test a hub fails that spins.

#[path = "support/network.rs"]
mod network;
#[path = "support/random.rs"]
mod random;
#[path = "support/rig.rs"]
mod rig;
mod support;

use std::time::Duration;

use network::{Fault, Peer, Sim};
use random::{Random, with_seeds};
use rig::{Act, Ended, PAGE, Rig, Setup, Told};
use support::*;
use zephyr_websocket::hub::{
    Delivery, Hub, MIN_HUB_TX_BUFFER, Overflow, PeerId, Settings, Slot, Timeout, Timeouts,
};
use zephyr_websocket::{CloseCode, MIN_RX_BUFFER, MessageKind, ProtocolError, State, UsageError};

/// What a peer has received, which must be whole frames.
fn received(peer: &Peer) -> Vec<(u8, Vec<u8>)> {
    contents(&peer.received())
}

/// The messages in `frames`.
fn whole(frames: &[(u8, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut message = Vec::new();
    for (first, payload) in frames.iter().filter(|(first, _)| first & 0x08 == 0) {
        assert_eq!(first & 0x0F == CONTINUATION, !message.is_empty(), "not the next fragment");
        message.extend(payload);
        if first & FIN != 0 {
            messages.push(std::mem::take(&mut message));
        }
    }
    messages
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A pattern in which a byte out of place is seen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + index / 251) as u8).collect()
}

fn get(target: &str, fields: &[&str]) -> Vec<u8> {
    head(&format!("GET {target} HTTP/1.1"), &[&["Host: a.example"], fields].concat())
}

// Opening handshakes and pages.

/// RFC 6455 section 4.2.2.
#[test]
fn a_peer_opens_and_is_told_of() {
    Setup::default().run(|rig| {
        let (peer, id) = rig.open();
        assert_eq!(rig.app.told, [Told::Opened(id)]);
        assert_eq!(rig.hub.peers().ids().collect::<Vec<_>>(), [id]);
        assert_eq!(rig.hub.peers().state(id), State::Open);
        assert_eq!(peer.closed_at(), None);
        rig.assert_serves();
    });
}

#[test]
fn an_acceptance_bears_subprotocol_and_fields() {
    Setup::default().run(|rig| {
        let fields = [&REQUEST_FIELDS[..], &["Sec-WebSocket-Protocol: chat, chat.v2"]].concat();
        let peer = rig.send(&request_with(&fields));
        let answer = String::from_utf8(peer.received()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Protocol: chat.v2\r\n"), "{answer}");
        assert!(answer.contains("\r\nX-Sort: test\r\n"), "{answer}");
    });
}

/// RFC 6455 section 10.2, and an unknown resource.
#[test]
fn the_application_refuses_with_a_status() {
    Setup::default().run(|rig| {
        let foreign = [&REQUEST_FIELDS[..], &["Origin: http://foreign.example"]].concat();
        assert!(rig.answer_to(&request_with(&foreign)).starts_with("HTTP/1.1 403 "));
        let nothing = head("GET /nothing HTTP/1.1", &REQUEST_FIELDS);
        assert!(rig.answer_to(&nothing).starts_with("HTTP/1.1 404 "));
        assert_eq!(rig.app.told, []);
        let own = [&REQUEST_FIELDS[..], &["Origin: http://own.example"]].concat();
        rig.open_with(&request_with(&own));
    });
}

/// What the application did wrong is no acceptance.
#[test]
fn an_acceptance_that_does_not_fit_is_answered_with_500() {
    Setup::default().run(|rig| {
        for target in ["/too-large", "/not-offered"] {
            let request = head(&format!("GET {target} HTTP/1.1"), &REQUEST_FIELDS);
            assert!(rig.answer_to(&request).starts_with("HTTP/1.1 500 "));
        }
        assert_eq!(rig.app.told, []);
        rig.assert_serves();
    });
}

/// Behind the longest acceptance there is still room for a Close frame.
#[test]
fn an_acceptance_leaves_room_to_close() {
    Setup { tx: MIN_HUB_TX_BUFFER, ..Setup::default() }.run(|rig| {
        rig.app.closes_at_once = true;
        let request = head("GET /just-fits HTTP/1.1", &REQUEST_FIELDS);
        let peer = rig.send(&request);
        let answer = peer.received();
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        assert_eq!(rig.app.results, [Ok(())]);
        let close = unmasked(CLOSE, &close_payload(1000, ""));
        assert!(answer.ends_with(&[b"\r\n\r\n", &close[..]].concat()), "{}", answer.escape_ascii());
        let request = head("GET /one-more HTTP/1.1", &REQUEST_FIELDS);
        assert!(rig.answer_to(&request).starts_with("HTTP/1.1 500 "));
    });
}

#[test]
fn requests_for_no_websocket_are_answered_by_the_application() {
    Setup::default().run(|rig| {
        let page = rig.sim.connect();
        page.send(&get("/page", &[]));
        rig.settle();
        let answer = page.received();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(answer.ends_with(&[b"\r\n\r\n", &PAGE[..]].concat()));
        let head_only = rig.answer_to(&head("HEAD /page HTTP/1.1", &["Host: a.example"]));
        assert!(head_only.starts_with("HTTP/1.1 200 OK\r\n"), "{head_only}");
        assert!(head_only.contains("Content-Length: 5000\r\n"), "{head_only}");
        assert!(head_only.ends_with("\r\n\r\n"), "{head_only}");
        let copied = rig.answer_to(&get("/copied", &[]));
        assert!(copied.ends_with("\r\n\r\ncopied"), "{copied}");
        assert!(rig.answer_to(&get("/other", &[])).starts_with("HTTP/1.1 404 "));
        assert!(rig.answer_to(&get("/upgrade", &[])).starts_with("HTTP/1.1 426 "));
        let post = head("POST /page HTTP/1.1", &["Host: a.example", "Content-Length: 0"]);
        assert!(rig.answer_to(&post).starts_with("HTTP/1.1 405 "));
        assert_eq!(rig.app.told, []);
        page.end();
        rig.settle();
        assert!(page.closed_at().is_some());
    });
}

/// RFC 9112 section 9.6: the connection ends with the answer, whatever is sent behind the request.
#[test]
fn what_follows_a_request_on_its_connection_is_not_looked_at() {
    let setup = with_timeouts(|timeouts| timeouts.closing_handshake = ms(500));
    setup.run(|rig| {
        let pipelined = [get("/copied", &[]), get("/copied", &[]), request()].concat();
        let answer = rig.answer_to(&pipelined);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        // Nor is a body waited for, however slowly it drips in.
        let body = ["Host: a.example", "Content-Length: 100000"];
        let peer = rig.send(&head("POST /page HTTP/1.1", &body));
        for index in 0..100 {
            let peer = peer.clone();
            rig.sim.after(index * 10, move || peer.send(b"x"));
        }
        assert!(peer.received().starts_with(b"HTTP/1.1 405 "));
        rig.run(499);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(500));
        assert_eq!(rig.app.told, []);
    });
}

/// RFC 9110 section 9.3.2, with whatever status.
#[test]
fn no_answer_to_head_has_a_body() {
    Setup::default().run(|rig| {
        for (target, status) in [("/page", 200), ("/copied", 200), ("/no", 404), ("/upgrade", 426)]
        {
            let answer = rig.answer_to(&head(&format!("HEAD {target} HTTP/1.1"), &["Host: h"]));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
            assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
        }
    });
}

/// A body that cannot be copied, and a field that HTTP does not allow.
#[test]
fn an_answer_that_cannot_be_sent_becomes_500() {
    Setup::default().run(|rig| {
        for target in ["/too-large", "/split"] {
            let answer = rig.answer_to(&get(target, &[]));
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            assert!(!answer.contains("X-Other"));
        }
        rig.assert_serves();
    });
}

/// RFC 9110 and RFC 6455 sections 4.2.1 and 4.4.
#[test]
fn requests_that_are_not_valid_are_refused_with_their_status() {
    Setup::default().run(|rig| {
        let no_version = replacing(&REQUEST_FIELDS, "Sec-WebSocket-Version", &[]);
        let no_key = replacing(&REQUEST_FIELDS, "Sec-WebSocket-Key", &[]);
        let filler = format!("X-Filler: {}", "f".repeat(600));
        let cases = [
            (request_with(&no_version), 426),
            (request_with(&no_key), 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n".to_vec(), 400),
            (head("GET /chat HTTP/2.0", &REQUEST_FIELDS), 505),
            (request_with(&[&REQUEST_FIELDS[..], &[&filler]].concat()), 431),
            (head("POST /chat HTTP/1.1", &REQUEST_FIELDS), 405),
        ];
        for (request, status) in cases {
            let answer = rig.answer_to(&request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        }
        assert_eq!(rig.app.told, []);
        rig.assert_serves();
    });
}

/// RFC 9112 section 9.6: the answer is not lost to a reset, though the peer still sends.
#[test]
fn a_refused_peer_that_still_sends_reads_its_answer() {
    Setup::default().run(|rig| {
        let peer = rig.send(b"NOT HTTP\r\n\r\n");
        peer.send(&[0; 10_000]);
        rig.settle();
        assert!(peer.received().starts_with(b"HTTP/1.1 400 "));
        assert_eq!(peer.unread(), 0);
        assert_eq!(peer.closed_at(), None);
        peer.end();
        rig.settle();
        assert!(peer.closed_at().is_some());
    });
}

/// No peer delays another by sending for ever what nobody wants.
#[test]
fn what_is_dropped_of_one_peer_leaves_each_other_its_turn() {
    Setup::default().run(|rig| {
        rig.app.echoes = true;
        let (other, _) = rig.open();
        let peer = rig.send(b"NOT HTTP\r\n\r\n");
        peer.send(&vec![0; 1_000_000]);
        for round in 1..=20 {
            other.send(&masked(FIN | TEXT, b"quick"));
            rig.sim.allow(0);
            rig.hub.turn(&mut rig.app, Some(Duration::ZERO)).unwrap();
            assert_eq!(other.received().len(), round * 7);
        }
        assert!(peer.unread() > 900_000);
        rig.settle();
        assert_eq!((peer.unread(), peer.closed_at()), (0, None));
    });
}

/// A long page passes through the peer's window while others are served.
#[test]
fn a_page_longer_than_the_buffers_leaves_while_websockets_go_on() {
    Setup::default().run(|rig| {
        rig.app.echoes = true;
        let (other, _) = rig.open();
        let peer = rig.sim.connect();
        peer.set_window(300);
        peer.send(&get("/page", &[]));
        let mut expected = Vec::new();
        for round in 0..50 {
            rig.settle();
            peer.take(137);
            let message = format!("message {round}");
            other.send(&masked(FIN | TEXT, message.as_bytes()));
            expected.extend(unmasked(FIN | TEXT, message.as_bytes()));
            rig.settle();
            assert_eq!(other.received(), expected);
        }
        assert_eq!(peer.closed_at(), None);
        peer.set_window(usize::MAX);
        rig.settle();
        assert!(peer.received().ends_with(&PAGE));
        assert!(peer.is_shut_down());
    });
}

/// How long a page takes is a matter of its length: only a peer that stops reading is given up.
#[test]
fn a_page_may_take_longer_than_a_timeout_if_the_peer_goes_on_reading() {
    let setup = with_timeouts(|timeouts| {
        timeouts.send = ms(100);
        timeouts.closing_handshake = ms(30);
    });
    setup.run(|rig| {
        let peer = rig.sim.connect();
        peer.set_window(300);
        peer.send(&get("/page", &[]));
        for _ in 0..30 {
            rig.run(20);
            peer.take(150);
        }
        assert_eq!(peer.closed_at(), None);
        peer.set_window(usize::MAX);
        rig.settle();
        assert!(peer.received().ends_with(&PAGE));
        assert!(peer.is_shut_down());
        // The same, with a peer that stops.
        let peer = rig.sim.connect();
        peer.set_window(300);
        peer.send(&get("/page", &[]));
        rig.run(99);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        // And with one that reads so little that it would hold the slot for ever.
        let peer = rig.sim.connect();
        peer.set_window(300);
        peer.send(&get("/page", &[]));
        for _ in 0..100 {
            rig.run(50);
            peer.take(1);
        }
        assert!(peer.closed_at().is_some());
    });
}

// Accepting.

#[test]
fn a_full_hub_answers_503_closes_and_uses_a_slot_again_that_is_free() {
    Setup { slots: 2, ..Setup::default() }.run(|rig| {
        let (first, id) = rig.open();
        let (_second, _) = rig.open();
        for _ in 0..3 {
            let answer = rig.answer_to(&request());
            assert_eq!(answer.as_bytes(), Settings::default().busy);
        }
        first.send(&masked(CLOSE, &[]));
        rig.settle();
        // Its slot is in use until its side ends too.
        assert_eq!(rig.answer_to(&request()).as_bytes(), Settings::default().busy);
        first.end();
        rig.settle();
        let (_third, again) = rig.open();
        assert_eq!(again.index(), id.index());
        assert_ne!(again, id);
    });
}

/// One peer is told at a time; the next ones wait to be accepted.
#[test]
fn peers_beyond_a_full_hub_are_told_so_one_after_the_other() {
    Setup { slots: 1, ..Setup::default() }.run(|rig| {
        rig.open();
        let peers: Vec<_> = (0..3).map(|_| rig.sim.connect()).collect();
        for (index, peer) in peers.iter().enumerate() {
            rig.settle();
            assert_eq!(peer.received(), Settings::default().busy);
            assert!(peers[index + 1..].iter().all(|peer| peer.received().is_empty()));
            peer.end();
        }
    });
}

/// Without reading on: see RFC 9112 section 9.6.
#[test]
fn a_refused_peer_that_never_goes_is_given_up() {
    let setup = with_timeouts(|timeouts| timeouts.closing_handshake = ms(500));
    Setup { slots: 1, ..setup }.run(|rig| {
        rig.open();
        let peer = rig.send(&request());
        rig.run(499);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(500));
    });
}

/// A refused peer that takes nothing, and one that is gone.
#[test]
fn a_refused_peer_that_does_not_read_is_given_up() {
    let setup = with_timeouts(|timeouts| timeouts.closing_handshake = ms(500));
    Setup { slots: 1, ..setup }.run(|rig| {
        rig.open();
        let peer = rig.sim.connect();
        peer.set_window(10);
        rig.run(500);
        assert_eq!(peer.closed_at(), Some(500));
        let peer = rig.sim.connect();
        peer.fail_writes([Fault::OutOfMemory; 3]);
        rig.run(30);
        assert_eq!(peer.received(), Settings::default().busy);
        peer.reset();
        rig.settle();
        assert!(peer.closed_at().is_some());
        assert_eq!(rig.answer_to(&request()).as_bytes(), Settings::default().busy);
    });
}

/// A listener that fails is left alone for a while, and those who are connected go on.
#[test]
fn a_listener_that_fails_is_tried_again_every_100_ms() {
    Setup::default().run(|rig| {
        rig.app.echoes = true;
        let (other, _) = rig.open();
        rig.sim.fail_accept([Fault::OutOfDescriptors, Fault::OutOfMemory, Fault::Interrupted]);
        let peer = rig.send(&request());
        let waits = rig.sim.waits();
        rig.run(199);
        assert!(rig.sim.waits() - waits <= 4, "{}", rig.sim.waits() - waits);
        assert_eq!(peer.received(), b"");
        other.send(&masked(FIN | TEXT, b"meanwhile"));
        rig.settle();
        assert_eq!(other.received(), unmasked(FIN | TEXT, b"meanwhile"));
        rig.run(1);
        assert!(peer.received().starts_with(b"HTTP/1.1 101 "));
    });
}

/// The one error that ends a hub's turn.
#[test]
fn a_network_that_cannot_wait_is_an_error() {
    Setup::default().run(|rig| {
        rig.sim.fail_wait();
        assert_eq!(rig.hub.turn(&mut rig.app, None), Err(Fault::Unsupported));
        rig.assert_serves();
    });
}

#[test]
fn buffers_that_are_too_short_are_refused() {
    let new = |slots: usize, rx: usize, tx: usize| {
        let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(slots).collect();
        let (mut rx, mut tx) = (vec![0; rx], vec![0; tx]);
        Hub::new(Sim::new(0), &mut slots, &mut rx, &mut tx, &Settings::default()).map(drop)
    };
    let (rx, tx) = (MIN_RX_BUFFER, MIN_HUB_TX_BUFFER);
    assert_eq!(new(3, 3 * rx, 3 * tx), Ok(()));
    for (slots, rx, tx) in [(3, 3 * rx - 1, 3 * tx), (3, 3 * rx, 3 * tx - 1), (0, rx, tx)] {
        assert_eq!(new(slots, rx, tx), Err(UsageError::BufferTooSmall));
    }
}

// Messages.

/// RFC 6455 section 5.4; Straddling.
#[test]
fn messages_arrive_whole_and_in_order_however_they_are_split() {
    for delivery in [Delivery::Pieces, Delivery::Messages] {
        for size in [1, 2, 3, 61, usize::MAX] {
            let mut setup = Setup::default();
            setup.settings.delivery = delivery;
            setup.run(|rig| {
                let (peer, id) = rig.open();
                peer.set_pieces(size, size);
                let long = pattern(300);
                let pieces = [
                    masked(FIN | TEXT, "Grüße".as_bytes()),
                    masked(FIN | BINARY, b""),
                    // A character of four bytes, in fragments within it.
                    masked(TEXT, b"\xF0\x9F"),
                    masked(PING, b"within"),
                    masked(CONTINUATION, b""),
                    masked(CONTINUATION, b"\x98"),
                    masked(FIN | CONTINUATION, b"\x80"),
                    masked(FIN | BINARY, &long),
                    masked(TEXT, b""),
                    masked(FIN | CONTINUATION, b""),
                ];
                peer.send(&pieces.concat());
                rig.settle();
                let expected = [
                    (MessageKind::Text, "Grüße".as_bytes().to_vec()),
                    (MessageKind::Binary, vec![]),
                    (MessageKind::Text, "😀".as_bytes().to_vec()),
                    (MessageKind::Binary, long),
                    (MessageKind::Text, vec![]),
                ];
                assert_eq!(rig.app.messages(id), expected);
                if delivery == Delivery::Messages {
                    assert!(rig.app.pieces.iter().all(|(.., fin)| *fin));
                }
                let no_news = |(_, _, piece, fin): &&rig::Piece| piece.is_empty() && !fin;
                assert_eq!(rig.app.pieces.iter().find(no_news), None);
                assert_eq!(received(&peer), [(PONG, b"within".to_vec())]);
            });
        }
    }
}

/// RFC 6455 section 4.1: a client may not send before the answer, but what it sends is not lost.
#[test]
fn frames_behind_the_request_are_not_lost() {
    for delivery in [Delivery::Pieces, Delivery::Messages] {
        let mut setup = Setup::default();
        setup.settings.delivery = delivery;
        setup.run(|rig| {
            rig.app.echoes = true;
            let frames = [masked(TEXT, b"one"), masked(FIN | CONTINUATION, b"two")].concat();
            let peer = rig.send(&[request(), frames].concat());
            let received = peer.received();
            let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            let echo: Vec<u8> =
                contents(&received[end..]).into_iter().flat_map(|frame| frame.1).collect();
            assert_eq!(echo, b"onetwo");
        });
    }
}

/// What is sent in `opened` follows the acceptance.
#[test]
fn a_greeting_follows_the_acceptance() {
    Setup::default().run(|rig| {
        rig.app.greeting = Some(b"welcome".to_vec());
        let peer = rig.send(&request());
        let received = peer.received();
        assert!(received.starts_with(b"HTTP/1.1 101 "));
        assert!(received.ends_with(&unmasked(FIN | BINARY, b"welcome")));
    });
}

/// Limits: rejected at limit + 1, not truncated (python websockets 1715); the sum of fragments
/// (CVE-2026-9675).
#[test]
fn a_whole_message_may_have_131_bytes_less_than_the_buffer_however_it_comes() {
    const LIMIT: usize = 512 - 131;
    let fragments = |len: usize, size: usize| {
        let message = pattern(len);
        let mut bytes = Vec::new();
        for (index, fragment) in message.chunks(size).enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let fin = if (index + 1) * size >= len { FIN } else { 0 };
            bytes.extend(masked(fin | opcode, fragment));
            bytes.extend(masked(PING, &[7; 125]));
        }
        bytes
    };
    let mut setup = Setup::default();
    setup.settings.delivery = Delivery::Messages;
    for size in [1, 2, 3, 60, 126, 200, LIMIT - 1, LIMIT, LIMIT + 1] {
        for piece in [1, 7, usize::MAX] {
            setup.run(|rig| {
                let (peer, id) = rig.open();
                peer.set_pieces(piece, usize::MAX);
                peer.send(&fragments(LIMIT, size));
                peer.send(&fragments(LIMIT, size));
                rig.settle();
                let message = (MessageKind::Binary, pattern(LIMIT));
                assert_eq!(rig.app.messages(id), [message.clone(), message.clone()]);
                peer.forget();
                peer.send(&fragments(LIMIT + 1, size));
                rig.settle();
                assert_eq!(rig.app.messages(id).len(), 2);
                assert_eq!(received(&peer).pop(), Some((CLOSE, close_payload(1009, ""))));
                assert_eq!(rig.app.end_of(id), Some(Ended::TooBig));
                rig.assert_serves();
            });
        }
    }
}

/// Of a buffer at most 65,535 bytes are used.
#[test]
fn the_limit_of_a_message_counts_what_is_used_of_a_longer_buffer() {
    const LIMIT: usize = 65_535 - 131;
    let mut setup = Setup { rx: 100_000, tx: 100_000, slots: 1, ..Setup::default() };
    setup.settings.delivery = Delivery::Messages;
    for size in [1000, LIMIT + 1] {
        let fragments = |len: usize| {
            let message = pattern(len);
            let count = len.div_ceil(size);
            let fragments = message.chunks(size).enumerate().map(|(index, fragment)| {
                let opcode = if index == 0 { BINARY } else { CONTINUATION };
                masked(if index + 1 == count { FIN | opcode } else { opcode }, fragment)
            });
            fragments.collect::<Vec<_>>().concat()
        };
        setup.run(|rig| {
            let (peer, id) = rig.open();
            peer.send(&fragments(LIMIT));
            rig.settle();
            assert!(rig.app.messages(id) == [(MessageKind::Binary, pattern(LIMIT))]);
            peer.send(&fragments(LIMIT + 1));
            rig.settle();
            assert_eq!(rig.app.end_of(id), Some(Ended::TooBig));
            assert_eq!(received(&peer).pop(), Some((CLOSE, close_payload(1009, ""))));
        });
    }
}

/// A message of any length passes through the buffers, and its echo too.
#[test]
fn a_message_longer_than_any_buffer_is_echoed() {
    let message = pattern(300_000);
    for (setup, window) in [(Setup::short(), 100), (Setup::default(), 5000)] {
        setup.run(|rig| {
            rig.app.echoes = true;
            let (peer, _) = rig.open();
            peer.set_window(window);
            peer.send(&masked(FIN | BINARY, &message));
            rig.settle();
            while peer.in_flight() > 0 {
                peer.take(usize::MAX);
                rig.settle();
            }
            let echo = received(&peer);
            assert_eq!(echo.first().unwrap().0, BINARY);
            assert_eq!(echo.last().unwrap().0, FIN | CONTINUATION);
            assert!(echo.into_iter().flat_map(|frame| frame.1).eq(message.iter().copied()));
            assert!(rig.app.results.iter().all(Result::is_ok));
        });
    }
}

/// Life cycle: a poll that sleeps with a decrypted record buffered (Zephyr 115247).
#[test]
fn what_a_tls_stream_has_decrypted_is_not_waited_for() {
    for delivery in [Delivery::Pieces, Delivery::Messages] {
        for window in [50, usize::MAX] {
            let mut setup = Setup { tx: 600, ..Setup::default() };
            setup.settings.delivery = delivery;
            setup.run(|rig| {
                rig.app.echoes = true;
                let peer = rig.sim.connect();
                peer.set_record(16_384);
                peer.set_window(usize::MAX);
                let message = pattern(300);
                let frames = [masked(FIN | BINARY, &message), masked(PING, b"within")].concat();
                // All in one record, the request too.
                peer.send(&[request(), frames.repeat(20)].concat());
                rig.settle();
                peer.set_window(window);
                let Told::Opened(id) = rig.app.told[0] else { panic!("{:?}", rig.app.told) };
                peer.send(&[frames.repeat(20), masked(CLOSE, &close_payload(1000, ""))].concat());
                rig.settle();
                while peer.in_flight() > 0 {
                    peer.take(usize::MAX);
                    rig.settle();
                }
                assert_eq!(peer.unread(), 0);
                assert!(rig.app.messages(id) == vec![(MessageKind::Binary, message); 40]);
                assert_eq!(rig.app.end_of(id), Some(Ended::Closed(Some(1000))));
                assert!(peer.received().ends_with(&unmasked(CLOSE, &close_payload(1000, ""))));
            });
        }
    }
}

/// The same, behind the TLS handshake, before the hub has the connection.
#[test]
fn a_request_that_a_tls_stream_has_decrypted_already_is_read() {
    Setup::default().run(|rig| {
        let peer = rig.sim.connect();
        peer.send_unseen(&request());
        rig.settle();
        assert!(peer.received().starts_with(b"HTTP/1.1 101 "));
    });
}

/// RFC 6455 section 7.1.7, and UTF-8 that fails as its bytes arrive.
#[test]
fn a_peer_that_breaks_the_protocol_is_told_why() {
    let cases = [
        (unmasked(FIN | TEXT, b"x"), ProtocolError::NotMasked, 1002),
        (masked(0x40 | FIN | TEXT, b"x"), ProtocolError::ReservedBits, 1002),
        (masked(FIN | CONTINUATION, b"x"), ProtocolError::NothingToContinue, 1002),
        (masked(TEXT, b"x\xFF"), ProtocolError::InvalidUtf8, 1007),
        (masked(CLOSE, b"x"), ProtocolError::ClosePayloadLength, 1002),
    ];
    Setup::default().run(|rig| {
        for (frame, error, code) in cases {
            let (peer, id) = rig.open();
            peer.send(&masked(PING, b"before"));
            peer.send(&frame);
            peer.send(&masked(PING, b"behind"));
            rig.settle();
            let expected = [(PONG, b"before".to_vec()), (CLOSE, close_payload(code, ""))];
            assert_eq!(received(&peer), expected);
            assert_eq!(rig.app.end_of(id), Some(Ended::Protocol(error)));
            assert!(peer.is_shut_down());
            peer.end();
            rig.settle();
            assert!(peer.closed_at().is_some());
        }
    });
}

/// RFC 6455 sections 5.5.1 and 7.1: either side begins.
#[test]
fn closing_handshakes_end_cleanly_in_both_directions() {
    Setup::default().run(|rig| {
        let (peer, id) = rig.open();
        peer.send(&masked(CLOSE, &close_payload(4000, "reason")));
        peer.send(&masked(FIN | TEXT, b"behind"));
        rig.settle();
        assert_eq!(received(&peer), [(CLOSE, close_payload(4000, ""))]);
        assert_eq!(rig.app.end_of(id), Some(Ended::Closed(Some(4000))));
        assert_eq!(rig.app.pieces, []);

        let (peer, id) = rig.open();
        let goodbye = Some(CloseCode::GOING_AWAY);
        assert_eq!(rig.hub.peers().close(id, goodbye, "bye"), Ok(()));
        assert_eq!(rig.hub.peers().close(id, goodbye, "bye"), Err(UsageError::NotOpen));
        assert_eq!(rig.hub.peers().send_text(id, "more"), Err(UsageError::NotOpen));
        assert_eq!(rig.hub.peers().state(id), State::Closing);
        rig.settle();
        assert_eq!(received(&peer), [(CLOSE, close_payload(1001, "bye"))]);
        assert_eq!(rig.app.end_of(id), None);
        // What was on its way still counts.
        peer.send(&masked(FIN | TEXT, b"late"));
        peer.send(&masked(CLOSE, &close_payload(1001, "")));
        rig.settle();
        assert_eq!(rig.app.messages(id).len(), 1);
        assert_eq!(rig.app.end_of(id), Some(Ended::Closed(Some(1001))));
        assert_eq!(received(&peer).len(), 1);
        assert!(peer.is_shut_down());
        peer.end();
        rig.settle();
        assert!(peer.closed_at().is_some());
    });
}

#[test]
fn arguments_that_cannot_work_are_refused() {
    Setup::default().run(|rig| {
        let (peer, id) = rig.open();
        let mut peers = rig.hub.peers();
        let code = Some(CloseCode::NORMAL_CLOSURE);
        let too_long = Err(UsageError::ControlPayloadTooLong);
        assert_eq!(peers.ping(id, &[0; 126]), too_long);
        assert_eq!(peers.close(id, code, &"r".repeat(124)), too_long);
        assert_eq!(peers.close(id, None, "r"), Err(UsageError::ReasonWithoutCode));
        assert_eq!(peers.send_binary(id, &[0; 512]), Err(UsageError::BufferTooSmall));
        assert_eq!(peers.send_fragment(id, MessageKind::Text, b"a", false), Ok(()));
        assert_eq!(peers.send_binary(id, b"b"), Err(UsageError::OtherMessageInProgress));
        assert_eq!(peers.send_text(id, "c"), Ok(()));
        rig.settle();
        let expected = [(TEXT, b"a".to_vec()), (FIN | CONTINUATION, b"c".to_vec())];
        assert_eq!(received(&peer), expected);
    });
}

/// The promise of [`zephyr_websocket::hub::Peers::room`], for every length of a buffer.
#[test]
fn the_room_is_what_a_fragment_can_have_and_no_byte_less() {
    for tx in MIN_HUB_TX_BUFFER..MIN_HUB_TX_BUFFER + 100 {
        Setup { tx, slots: 1, ..Setup::default() }.run(|rig| {
            let (_peer, id) = rig.open();
            let mut peers = rig.hub.peers();
            let room = peers.room(id);
            let longer = vec![0; room + 1];
            assert_eq!(peers.send_binary(id, &longer), Err(UsageError::BufferTooSmall), "{tx}");
            assert_eq!(peers.send_binary(id, &longer[1..]), Ok(()), "{tx}");
        });
    }
}

/// RFC 6455 section 5.5.3; Control frames.
#[test]
fn pings_of_both_sides_are_answered() {
    Setup::default().run(|rig| {
        let (peer, id) = rig.open();
        assert_eq!(rig.hub.peers().ping(id, b"are you there?"), Ok(()));
        rig.settle();
        assert_eq!(received(&peer), [(PING, b"are you there?".to_vec())]);
        peer.send(&masked(PONG, b"are you there?"));
        peer.send(&masked(PING, &[9; 125]));
        rig.settle();
        assert_eq!(rig.app.told.last(), Some(&Told::Pong(id, b"are you there?".to_vec())));
        assert_eq!(received(&peer)[1], (PONG, vec![9; 125]));
    });
}

/// A stale handle reaches nobody.
#[test]
fn a_peer_that_has_gone_is_not_taken_for_the_next_one_of_its_slot() {
    Setup { slots: 1, ..Setup::default() }.run(|rig| {
        let (first, gone) = rig.open();
        first.reset();
        rig.settle();
        assert_eq!(rig.app.end_of(gone), Some(Ended::Transport));
        let (second, id) = rig.open();
        assert_eq!((id.index(), gone.index()), (0, 0));
        let mut peers = rig.hub.peers();
        let not_open = Err(UsageError::NotOpen);
        assert_eq!(peers.send_text(gone, "x"), not_open);
        assert_eq!(peers.ping(gone, b""), not_open);
        assert_eq!(peers.close(gone, None, ""), not_open);
        assert_eq!(peers.state(gone), State::Closed);
        assert_eq!(peers.room(gone), 0);
        assert!(peers.stream(gone).is_none());
        assert!(peers.stream(id).is_some());
        assert_eq!(peers.send_text(id, "y"), Ok(()));
        rig.settle();
        assert_eq!(second.received(), unmasked(FIN | TEXT, b"y"));
    });
}

// Peers that do not read.

/// No peer delays another, and none loses anything.
#[test]
fn a_peer_that_does_not_read_is_not_read_from_and_delays_nobody() {
    for setup in [Setup::short(), Setup::default()] {
        setup.run(|rig| {
            rig.app.echoes = true;
            let (slow, id) = rig.open();
            let (fast, _) = rig.open();
            slow.set_window(50);
            let messages: Vec<Vec<u8>> =
                (0..200).map(|number| pattern(60)[number % 60..].to_vec()).collect();
            for message in &messages {
                slow.send(&masked(FIN | BINARY, message));
            }
            rig.settle();
            assert!(slow.unread() > 5000, "{} bytes were read", 12_000 - slow.unread());
            let calls = slow.calls();
            for round in 1..=100 {
                fast.send(&masked(FIN | TEXT, b"quick"));
                rig.settle();
                assert_eq!(fast.received().len(), round * 7);
            }
            let (reads, writes) = slow.calls();
            assert!(reads - calls.0 <= 1 && writes - calls.1 <= 1, "it is tried in vain");
            assert_eq!(rig.app.end_of(id), None);
            while slow.in_flight() > 0 {
                slow.take(usize::MAX);
                rig.settle();
            }
            assert!(whole(&received(&slow)) == messages);
            assert!(rig.app.results.iter().all(Result::is_ok));
        });
    }
}

/// A frame that waits for room is handed out as soon as there is some, whoever made it.
#[test]
fn a_message_that_waited_for_room_is_handed_out_though_another_peer_made_the_room() {
    let mut setup = Setup::short();
    setup.slots = 2;
    setup.run(|rig| {
        rig.app.echoes = true;
        let (slow, id) = rig.open();
        let (_fast, _) = rig.open();
        slow.set_window(40);
        let message = pattern(50);
        for _ in 0..4 {
            slow.send(&masked(FIN | BINARY, &message));
        }
        rig.settle();
        // Reads until there is nothing left to read, with messages in the buffer.
        for _ in 0..2 {
            slow.take(40);
            rig.settle();
        }
        assert_eq!(slow.unread(), 0);
        let handed_out = rig.app.messages(id).len();
        assert!(handed_out < 4);
        // The room is made, and found by sending, not by waiting.
        slow.set_window(usize::MAX);
        assert_eq!(rig.hub.peers().send_binary(id, &message), Ok(()));
        rig.settle();
        assert_eq!(rig.app.messages(id).len(), 4);
    });
}

/// What was received is handed out, even where the peer has ended its side behind it.
#[test]
fn messages_that_waited_for_room_are_handed_out_though_the_stream_has_ended() {
    let message = pattern(50);
    Setup::short().run(|rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.set_window(10);
        for _ in 0..20 {
            peer.send(&masked(FIN | BINARY, &message));
        }
        peer.end();
        for _ in 0..200 {
            rig.settle();
            peer.take(10);
        }
        assert_eq!(rig.app.messages(id).len(), 20);
        assert!(whole(&received(&peer)) == vec![message; 20]);
        assert_eq!(rig.app.end_of(id), Some(Ended::Disconnected));
        assert!(peer.closed_at().is_some());
    });
}

/// Without room for replies a peer is heard all the same, and the reply is refused.
#[test]
fn without_reply_room_a_reply_is_refused_as_a_whole_and_writable_is_told_once() {
    let mut setup = Setup::default();
    setup.settings.reply_room = 0;
    setup.settings.delivery = Delivery::Messages;
    setup.run(|rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.set_window(100);
        for number in 0..20 {
            peer.send(&masked(FIN | BINARY, &[number; 50]));
        }
        rig.settle();
        assert_eq!(rig.app.messages(id).len(), 20);
        let refused = rig.app.results.iter().filter(|result| result.is_err()).count();
        assert!(rig.app.results[20 - refused..].iter().all(|r| *r == Err(UsageError::BacklogFull)));
        // 100 bytes are on their way, and 381 of 512 hold data.
        assert_eq!(refused, 20 - (100 + 381) / 52);
        assert_eq!(rig.app.writables(id), 0);
        for _ in 0..4 {
            peer.take(100);
            rig.settle();
            assert_eq!(rig.app.writables(id), usize::from(peer.in_flight() < 100));
        }
        for _ in 0..10 {
            peer.take(100);
            rig.settle();
        }
        assert_eq!(rig.app.writables(id), 1);
        let echo = received(&peer);
        assert!(echo.iter().enumerate().all(|(number, (_, echo))| *echo == [number as u8; 50]));
        assert_eq!(echo.len(), 20 - refused);
        assert_eq!(rig.app.end_of(id), None);
    });
}

/// A Ping that is refused for lack of room is as good a reason to be told.
#[test]
fn writable_is_told_after_a_ping_was_refused() {
    Setup::short().run(|rig| {
        let (peer, id) = rig.open();
        peer.set_window(1);
        let mut count = 0;
        while rig.hub.peers().ping(id, &[1; 125]).is_ok() {
            count += 1;
            rig.settle();
        }
        assert_eq!(rig.hub.peers().ping(id, &[1; 125]), Err(UsageError::BacklogFull));
        assert_eq!(rig.app.writables(id), 0);
        peer.set_window(usize::MAX);
        rig.settle();
        assert_eq!(rig.app.writables(id), 1);
        assert_eq!(received(&peer), vec![(PING, vec![1; 125]); count]);
    });
}

/// A frame that no empty buffer holds is not the peer's fault.
#[test]
fn a_frame_that_never_fits_is_too_large_whatever_waits() {
    for overflow in [Overflow::Refuse, Overflow::Close] {
        let mut setup = Setup::default();
        setup.settings.overflow = overflow;
        setup.run(|rig| {
            let (peer, id) = rig.open();
            peer.set_window(0);
            assert_eq!(rig.hub.peers().send_binary(id, &[1; 100]), Ok(()));
            rig.settle();
            let sent = rig.hub.peers().send_binary(id, &[2; 400]);
            assert_eq!(sent, Err(UsageError::BufferTooSmall));
            peer.set_window(usize::MAX);
            rig.settle();
            assert_eq!(received(&peer), [(FIN | BINARY, vec![1; 100])]);
            assert_eq!((rig.app.writables(id), rig.app.end_of(id)), (0, None));
        });
    }
}

/// A peer that is to be given up is told so with 1013, at once.
#[test]
fn a_peer_that_does_not_read_is_given_up_with_1013_where_that_was_chosen() {
    let mut setup = Setup { slots: 3, ..Setup::default() };
    setup.settings.overflow = Overflow::Close;
    setup.settings.timeouts.closing_handshake = ms(100);
    setup.run(|rig| {
        let (peer, id) = rig.open();
        let (other, _) = rig.open();
        peer.set_window(10);
        // Another peer's message makes too much of it.
        for _ in 0..5 {
            rig.app.acts.push_back(Act::Send(id, vec![5; 100]));
            other.send(&masked(FIN | TEXT, b"go"));
        }
        rig.settle();
        assert_eq!(rig.app.results.iter().filter(|result| result.is_ok()).count(), 3);
        assert_eq!(rig.app.results[3], Err(UsageError::BacklogFull));
        assert_eq!(rig.app.results[4], Err(UsageError::NotOpen));
        assert_eq!(rig.app.end_of(id), Some(Ended::Overflowed));
        let now = rig.sim.now();
        peer.set_window(usize::MAX);
        rig.settle();
        let data = (FIN | BINARY, vec![5; 100]);
        let close = (CLOSE, close_payload(1013, ""));
        assert_eq!(received(&peer), [data.clone(), data.clone(), data, close]);
        rig.run(100);
        assert_eq!(peer.closed_at(), Some(now + 100));
        rig.assert_serves();
    });
}

/// What waited for room is dropped with the WebSocket, and not looked for any more.
#[test]
fn a_peer_that_is_given_up_while_it_is_not_read_from_does_not_make_the_hub_spin() {
    let mut setup = Setup::short();
    setup.settings.overflow = Overflow::Close;
    setup.run(|rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.set_window(10);
        for _ in 0..20 {
            peer.send(&masked(FIN | BINARY, &pattern(50)));
        }
        rig.settle();
        assert!(peer.unread() > 0);
        let sent = rig.hub.peers().send_binary(id, &[5; 55]);
        assert_eq!(sent, Err(UsageError::BacklogFull));
        rig.settle();
        assert_eq!(rig.app.end_of(id), Some(Ended::Overflowed));
        peer.set_window(usize::MAX);
        let waits = rig.sim.waits();
        rig.run(100);
        assert_eq!(received(&peer).pop(), Some((CLOSE, close_payload(1013, ""))));
        assert!(rig.sim.waits() - waits <= 5, "{}", rig.sim.waits() - waits);
        assert_eq!((peer.unread(), peer.closed_at()), (0, None));
    });
}

/// The same, by its own doing: its end is found before it is given up.
#[test]
fn a_peer_that_ends_its_side_while_it_overflows_does_not_make_the_hub_spin() {
    let mut setup = Setup::default();
    setup.settings.overflow = Overflow::Close;
    setup.run(|rig| {
        let (peer, id) = rig.open();
        peer.set_window(10);
        rig.hub.peers().send_binary(id, &[5; 300]).unwrap();
        rig.settle();
        peer.end();
        let sent = rig.hub.peers().send_binary(id, &[5; 300]);
        assert_eq!(sent, Err(UsageError::BacklogFull));
        let waits = rig.sim.waits();
        rig.run(100);
        assert_eq!(rig.app.end_of(id), Some(Ended::Disconnected));
        assert!(rig.sim.waits() - waits <= 5, "{}", rig.sim.waits() - waits);
        peer.set_window(usize::MAX);
        rig.settle();
        assert_eq!(received(&peer), [(FIN | BINARY, vec![5; 300])]);
        assert!(peer.closed_at().is_some());
    });
}

/// Sent from outside of a turn, too.
#[test]
fn a_peer_that_overflows_between_turns_is_given_up_in_the_next() {
    let mut setup = Setup::default();
    setup.settings.overflow = Overflow::Close;
    setup.run(|rig| {
        let (peer, id) = rig.open();
        peer.set_window(0);
        rig.hub.peers().send_binary(id, &[5; 300]).unwrap();
        rig.settle();
        let sent = rig.hub.peers().send_binary(id, &[5; 300]);
        assert_eq!(sent, Err(UsageError::BacklogFull));
        assert_eq!(rig.hub.peers().count(), 0);
        assert_eq!(rig.hub.peers().broadcast(MessageKind::Text, b"fits"), 0);
        rig.settle();
        assert_eq!(rig.app.end_of(id), Some(Ended::Overflowed));
        peer.set_window(usize::MAX);
        rig.settle();
        let expected = [(FIN | BINARY, vec![5; 300]), (CLOSE, close_payload(1013, ""))];
        assert_eq!(received(&peer), expected);
    });
}

#[test]
fn a_broadcast_reaches_all_that_can_take_it() {
    Setup { slots: 6, ..Setup::default() }.run(|rig| {
        let (first, _) = rig.open();
        let (closing, closing_id) = rig.open();
        let (busy, busy_id) = rig.open();
        let (full, full_id) = rig.open();
        let (last, _) = rig.open();
        let opening = rig.send(b"GET / HT");
        rig.hub.peers().close(closing_id, None, "").unwrap();
        rig.hub.peers().send_fragment(busy_id, MessageKind::Text, b"begun", false).unwrap();
        full.set_window(0);
        rig.hub.peers().send_binary(full_id, &[0; 300]).unwrap();
        rig.settle();
        let payload = pattern(200);
        assert_eq!(rig.hub.peers().broadcast(MessageKind::Binary, &payload), 2);
        assert_eq!(rig.hub.peers().broadcast(MessageKind::Text, b"all"), 3);
        assert_eq!(rig.hub.peers().broadcast(MessageKind::Binary, &[0; 70_000]), 0);
        rig.hub.peers().send_fragment(busy_id, MessageKind::Text, b"done", true).unwrap();
        assert_eq!(rig.hub.peers().broadcast(MessageKind::Text, b"all"), 4);
        rig.settle();
        let all = (FIN | TEXT, b"all".to_vec());
        for peer in [&first, &last] {
            assert_eq!(received(peer), [(FIN | BINARY, payload.clone()), all.clone(), all.clone()]);
        }
        let expected =
            [(TEXT, b"begun".to_vec()), (FIN | CONTINUATION, b"done".to_vec()), all.clone()];
        assert_eq!(received(&busy), expected);
        full.set_window(usize::MAX);
        rig.settle();
        assert_eq!(received(&full), [(FIN | BINARY, vec![0; 300]), all.clone(), all]);
        assert_eq!(rig.app.writables(full_id), 1);
        assert_eq!(received(&closing), [(CLOSE, vec![])]);
        assert_eq!(opening.received(), b"");
    });
}

/// From within a message, to peers before and behind.
#[test]
fn a_broadcast_of_a_message_reaches_peers_on_both_sides() {
    Setup::default().run(|rig| {
        let peers = [rig.open().0, rig.open().0, rig.open().0];
        rig.app.acts.push_back(Act::Broadcast(b"to all".to_vec()));
        peers[1].send(&masked(FIN | TEXT, b"go"));
        rig.settle();
        assert_eq!(rig.app.broadcast_counts, [3]);
        for peer in &peers {
            assert_eq!(peer.received(), unmasked(FIN | BINARY, b"to all"));
        }
    });
}

/// A message may close its own peer and another one.
#[test]
fn peers_can_be_closed_from_within_a_message() {
    Setup::default().run(|rig| {
        let (first, first_id) = rig.open();
        let (second, second_id) = rig.open();
        rig.app.acts.push_back(Act::Close(first_id, 4001));
        rig.app.acts.push_back(Act::Close(second_id, 4002));
        second.send(&masked(FIN | TEXT, b"one"));
        second.send(&masked(FIN | TEXT, b"two"));
        rig.settle();
        assert_eq!(received(&first), [(CLOSE, close_payload(4001, ""))]);
        assert_eq!(received(&second), [(CLOSE, close_payload(4002, ""))]);
        first.send(&masked(CLOSE, b""));
        second.send(&masked(CLOSE, b""));
        rig.settle();
        assert_eq!(rig.app.end_of(first_id), Some(Ended::Closed(None)));
        assert_eq!(rig.app.end_of(second_id), Some(Ended::Closed(None)));
    });
}

/// A flood of Pings is answered as far as the peer reads.
#[test]
fn a_peer_that_pings_and_does_not_read_is_not_read_from() {
    for reply_room in [0, usize::MAX] {
        let mut setup = Setup::default();
        setup.settings.reply_room = reply_room;
        setup.run(|rig| {
            let (peer, id) = rig.open();
            peer.set_window(100);
            for number in 0..100 {
                peer.send(&masked(PING, &[number; 125]));
            }
            rig.settle();
            assert!(peer.unread() > 5000);
            while peer.in_flight() > 0 {
                peer.take(100);
                rig.settle();
            }
            let pongs = received(&peer);
            let expected = (0..100).map(|number| (PONG, vec![number; 125]));
            assert!(pongs.into_iter().eq(expected));
            assert_eq!(rig.app.end_of(id), None);
        });
    }
}

// Faults of the transport.

#[test]
fn interrupted_calls_are_repeated_and_those_that_time_out_come_again() {
    Setup::default().run(|rig| {
        rig.app.echoes = true;
        let (peer, _) = rig.open();
        peer.set_pieces(3, 3);
        peer.fail_reads([Fault::Interrupted, Fault::TimedOut, Fault::Interrupted]);
        peer.fail_writes([Fault::Interrupted, Fault::Interrupted, Fault::TimedOut]);
        peer.send(&masked(FIN | BINARY, &pattern(100)));
        rig.settle();
        let echo = received(&peer).into_iter().flat_map(|frame| frame.1);
        assert!(echo.eq(pattern(100)));
    });
}

/// No poll tells when the network stack has memory again.
#[test]
fn a_write_without_memory_is_tried_again_every_10_ms() {
    let setup = with_timeouts(|timeouts| timeouts.send = ms(500));
    setup.run(|rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.fail_writes([Fault::OutOfMemory; 10]);
        peer.send(&masked(FIN | BINARY, b"patience"));
        let (waits, (_, writes)) = (rig.sim.waits(), peer.calls());
        rig.run(100);
        assert_eq!(peer.received(), unmasked(FIN | BINARY, b"patience"));
        assert_eq!(peer.calls().1 - writes, 11);
        assert!(rig.sim.waits() - waits <= 14, "{}", rig.sim.waits() - waits);
        // For as long as a peer has to take what it is sent.
        peer.fail_writes([Fault::OutOfMemory; 100]);
        peer.send(&masked(FIN | BINARY, b"patience"));
        rig.settle();
        rig.run(499);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Send)));
        assert!(peer.closed_at().is_some());
    });
}

/// Zephyr's stack without buffers: its poll knows the window, and would be asked for ever.
#[test]
fn a_write_that_is_refused_although_the_poll_promised_it_does_not_spin() {
    let setup = with_timeouts(|timeouts| timeouts.send = ms(500));
    setup.run(|rig| {
        rig.app.echoes = true;
        let (peer, _) = rig.open();
        peer.fail_writes([Fault::TimedOut; 20]);
        peer.send(&masked(FIN | BINARY, b"patience"));
        // Twice in 10 ms: when the poll says so, and after a rest.
        rig.run(75);
        assert_eq!(peer.received(), b"");
        rig.run(50);
        assert_eq!(peer.received(), unmasked(FIN | BINARY, b"patience"));
    });
}

/// Memory that comes back is not the peer's doing.
#[test]
fn memory_that_comes_back_is_no_sign_of_life() {
    let setup = with_timeouts(|timeouts| {
        timeouts.ping = Some(ms(1000));
        timeouts.pong = ms(200);
    });
    setup.run(|rig| {
        let (peer, id) = rig.open();
        peer.fail_writes([Fault::OutOfMemory]);
        rig.run(1199);
        assert_eq!(received(&peer), [(PING, vec![])]);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Pong)));
    });
}

/// A reset at each point of a connection's life ends that one only.
#[test]
fn a_reset_ends_one_connection_at_whatever_point() {
    type Step = fn(&mut Rig<'_>, &Peer);
    let steps: [(Step, bool); 6] = [
        (|_, _| {}, false),
        (|_, peer| peer.send(b"GET / HT"), false),
        (|_, peer| peer.send(&get("/nothing", &[])), false),
        (|_, peer| peer.send(&request()), true),
        (
            |_, peer| peer.send(&[request(), masked(FIN | TEXT, b"half")[..7].to_vec()].concat()),
            true,
        ),
        (
            |_, peer| {
                peer.set_window(200);
                peer.send(&[request(), masked(FIN | BINARY, &[1; 400])].concat());
            },
            true,
        ),
    ];
    Setup::default().run(|rig| {
        rig.app.echoes = true;
        let (other, _) = rig.open();
        for (step, opens) in steps {
            for by_fault in [false, true] {
                let opened = rig.app.told.len();
                let peer = rig.sim.connect();
                rig.settle();
                step(rig, &peer);
                rig.settle();
                if by_fault {
                    peer.fail_reads([Fault::Reset]);
                    peer.fail_writes([Fault::Reset]);
                    peer.set_window(usize::MAX);
                    peer.send(b"x");
                } else {
                    peer.reset();
                }
                rig.settle();
                assert!(peer.closed_at().is_some());
                if opens {
                    let [Told::Opened(id), Told::Closed(gone, Ended::Transport)] =
                        rig.app.told[opened..]
                    else {
                        panic!("{:?}", &rig.app.told[opened..]);
                    };
                    assert_eq!(id, gone);
                } else {
                    assert_eq!(rig.app.told.len(), opened);
                }
            }
        }
        other.send(&masked(FIN | TEXT, b"untouched"));
        rig.settle();
        assert_eq!(other.received(), unmasked(FIN | TEXT, b"untouched"));
    });
}

/// Zephyr's own sockets cannot end their sending side alone.
#[test]
fn where_a_stream_cannot_end_its_side_it_is_closed_100_ms_after_the_last_byte() {
    Setup::default().run(|rig| {
        let (peer, id) = rig.open();
        peer.forbid_shut_down();
        peer.send(&masked(CLOSE, &close_payload(1000, "")));
        rig.run(99);
        assert_eq!(rig.app.end_of(id), Some(Ended::Closed(Some(1000))));
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(100));
        assert_eq!(received(&peer), [(CLOSE, close_payload(1000, ""))]);
    });
}

// Timeouts, to the millisecond, and where the count of milliseconds wraps.

fn with_timeouts(change: impl FnOnce(&mut Timeouts)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.settings.timeouts);
    setup
}

/// Runs `test` at moments around which the clock's 32 bits wrap, or its half of them.
fn at_any_time(setup: &Setup, test: impl Fn(&mut Rig<'_>)) {
    for start in [0, 1 << 31, 1 << 32, 1 << 40] {
        for before in [0, 1, 50, 700] {
            Setup { start: u64::saturating_sub(start, before), ..setup.clone() }.run(&test);
        }
    }
}

/// Handshake: a slow drip (tungstenite CVE-2023-43669); RFC 9110 section 15.5.9.
#[test]
fn an_opening_handshake_has_its_time_however_slowly_it_drips_in() {
    let setup = with_timeouts(|timeouts| {
        timeouts.opening_handshake = ms(1000);
        timeouts.closing_handshake = ms(300);
    });
    at_any_time(&setup, |rig| {
        let peer = rig.sim.connect();
        for (index, byte) in request().into_iter().take(90).enumerate() {
            let peer = peer.clone();
            rig.sim.after(index as u64 * 11, move || peer.send(&[byte]));
        }
        rig.run(999);
        assert_eq!(peer.received(), b"");
        rig.run(1);
        assert!(peer.received().starts_with(b"HTTP/1.1 408 "));
        rig.run(299);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        assert_eq!(rig.app.told, []);
        // In time.
        let peer = rig.sim.connect();
        let request = request();
        for (index, byte) in request.clone().into_iter().enumerate() {
            let peer = peer.clone();
            rig.sim.after(index as u64 * 1000 / request.len() as u64, move || peer.send(&[byte]));
        }
        rig.run(1000);
        assert!(peer.received().starts_with(b"HTTP/1.1 101 "));
    });
}

/// Life cycle: dead peers noticed.
#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let setup = with_timeouts(|timeouts| {
        timeouts.ping = Some(ms(1000));
        timeouts.pong = ms(400);
    });
    at_any_time(&setup, |rig| {
        let (peer, id) = rig.open();
        let waits = rig.sim.waits();
        rig.run(999);
        assert_eq!(peer.received(), b"");
        rig.run(1);
        assert_eq!(received(&peer), [(PING, vec![])]);
        rig.run(399);
        // Whatever arrives is a sign of life.
        peer.send(&masked(PONG, b"")[..1]);
        rig.run(999);
        assert_eq!(received(&peer).len(), 1);
        peer.send(&masked(PONG, b"")[1..]);
        rig.run(1000);
        assert_eq!(received(&peer).len(), 2);
        rig.run(399);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Pong)));
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        assert!(rig.sim.waits() - waits <= 20, "{}", rig.sim.waits() - waits);
    });
}

/// Control frames: pings that kill a healthy link during a large transfer (civetweb 1406).
#[test]
fn a_peer_that_takes_what_it_is_sent_is_alive() {
    let setup = with_timeouts(|timeouts| {
        timeouts.ping = Some(ms(100));
        timeouts.pong = ms(100);
    });
    at_any_time(&setup, |rig| {
        let (peer, id) = rig.open();
        peer.set_window(10);
        rig.hub.peers().send_binary(id, &[3; 300]).unwrap();
        // 302 bytes, of which 10 are gone at once.
        for _ in 0..29 {
            rig.run(99);
            peer.take(10);
        }
        rig.settle();
        assert_eq!(rig.app.end_of(id), None);
        peer.set_window(usize::MAX);
        rig.run(99);
        assert_eq!(received(&peer), [(FIN | BINARY, vec![3; 300])]);
        rig.run(100);
        assert_eq!(received(&peer)[1..], [(PING, vec![])]);
        rig.run(100);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Pong)));
    });
}

/// A Ping behind bytes that the peer does not take says nothing about the peer: that is for the
/// timeout for sending.
#[test]
fn a_ping_that_has_not_left_does_not_count_against_the_peer() {
    let setup = with_timeouts(|timeouts| {
        timeouts.ping = Some(ms(100));
        timeouts.pong = ms(100);
        timeouts.send = ms(1000);
    });
    at_any_time(&setup, |rig| {
        let (peer, id) = rig.open();
        peer.set_window(0);
        rig.run(1099);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Send)));
    });
}

#[test]
fn a_peer_without_messages_is_closed_with_1001() {
    let setup = with_timeouts(|timeouts| {
        timeouts.ping = Some(ms(300));
        timeouts.pong = ms(1950);
        timeouts.idle = Some(ms(1000));
        timeouts.closing_handshake = ms(700);
    });
    at_any_time(&setup, |rig| {
        let (peer, id) = rig.open();
        rig.run(900);
        // Pings and Pongs do not count.
        peer.send(&masked(PING, b""));
        rig.run(50);
        peer.send(&masked(FIN | TEXT, b"counts"));
        rig.run(999);
        rig.hub.peers().send_text(id, "counts too").unwrap();
        rig.run(999);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Idle)));
        assert_eq!(received(&peer).pop(), Some((CLOSE, close_payload(1001, ""))));
        // The Ping that was not answered is no matter any more.
        rig.run(699);
        assert_eq!(peer.closed_at(), None);
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
    });
}

/// Life cycle: a peer that sends for ever and never reads.
#[test]
fn a_peer_that_does_not_take_what_it_is_sent_is_given_up() {
    let setup = with_timeouts(|timeouts| timeouts.send = ms(1000));
    at_any_time(&setup, |rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.set_window(10);
        let waits = rig.sim.waits();
        peer.send(&masked(FIN | BINARY, &[3; 3000]));
        rig.run(999);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Send)));
        assert!(rig.sim.waits() - waits <= 10, "{}", rig.sim.waits() - waits);
    });
}

/// A byte now and then is progress, but not for ever: what waited has to leave in time.
#[test]
fn a_peer_that_takes_a_byte_now_and_then_is_given_up() {
    let setup = with_timeouts(|timeouts| timeouts.send = ms(1000));
    at_any_time(&setup, |rig| {
        rig.app.echoes = true;
        let (peer, id) = rig.open();
        peer.set_window(10);
        peer.send(&masked(FIN | BINARY, &[3; 3000]));
        for _ in 0..10 {
            rig.run(99);
            peer.take(1);
        }
        rig.run(9);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Send)));
        // One that takes all of it within each second is not.
        let (peer, id) = rig.open();
        peer.set_window(100);
        peer.send(&masked(FIN | BINARY, &[3; 3000]));
        for _ in 0..100 {
            rig.run(200);
            peer.take(100);
        }
        rig.settle();
        assert_eq!(rig.app.end_of(id), None);
        assert!(received(&peer).into_iter().flat_map(|frame| frame.1).eq([3; 3000]));
    });
}

/// Life cycle: a stop that blocks for 90 s (esp-protocols PR 729).
#[test]
fn a_closing_handshake_has_its_time_for_the_frame_and_again_for_the_end() {
    let setup = with_timeouts(|timeouts| {
        timeouts.closing_handshake = ms(500);
        timeouts.ping = Some(ms(100));
        timeouts.pong = ms(100);
    });
    at_any_time(&setup, |rig| {
        // No Close frame.
        let (peer, id) = rig.open();
        rig.hub.peers().close(id, None, "").unwrap();
        rig.run(499);
        assert_eq!(rig.app.end_of(id), None);
        rig.run(1);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::ClosingHandshake)));
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        // A Close frame, and no end.
        let (peer, id) = rig.open();
        rig.hub.peers().close(id, None, "").unwrap();
        rig.run(499);
        peer.send(&masked(CLOSE, b""));
        rig.settle();
        assert_eq!(rig.app.end_of(id), Some(Ended::Closed(None)));
        rig.run(499);
        assert_eq!(peer.closed_at(), None);
        // Nor by sending for ever.
        peer.send(&[0; 1000]);
        rig.settle();
        rig.run(1);
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        // Our Close frame does not leave.
        let (peer, id) = rig.open();
        peer.set_window(0);
        rig.hub.peers().close(id, None, "").unwrap();
        rig.run(500);
        assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::ClosingHandshake)));
        assert_eq!(peer.closed_at(), Some(rig.sim.now()));
    });
}

/// A hub without anything to do sleeps.
#[test]
fn nothing_to_do_is_nothing_done() {
    Setup::default().run(|rig| {
        rig.open();
        rig.open();
        let waits = rig.sim.waits();
        rig.run(24 * 3_600_000);
        assert_eq!(rig.sim.waits() - waits, 1);
    });
}

// The end of the hub.

/// A peer in each state: what it reads, and how it ends.
#[test]
fn a_hub_that_is_stopped_tells_every_peer_and_ends_in_time() {
    let setup = with_timeouts(|timeouts| timeouts.closing_handshake = ms(10_000));
    at_any_time(&Setup { slots: 5, ..setup }, |rig| {
        let (clean, clean_id) = rig.open();
        let (silent, silent_id) = rig.open();
        let (full, full_id) = rig.open();
        full.set_window(0);
        rig.hub.peers().send_binary(full_id, &[1; 300]).unwrap();
        let opening = rig.send(b"GET / HT");
        let (ended, ended_id) = rig.open();
        ended.send(&masked(CLOSE, b""));
        rig.settle();
        let refused = rig.send(&request());
        assert_eq!(refused.received(), Settings::default().busy);
        let late = rig.sim.connect();
        rig.hub.stop(CloseCode::GOING_AWAY, ms(500));
        let waits = rig.sim.waits();
        rig.settle();
        assert!(!rig.hub.is_stopped());
        let goodbye = (CLOSE, close_payload(1001, ""));
        for peer in [&clean, &silent] {
            assert_eq!(received(peer), std::slice::from_ref(&goodbye));
        }
        assert_eq!(opening.received(), Settings::default().busy);
        clean.send(&masked(CLOSE, &close_payload(1001, "")));
        clean.end();
        rig.settle();
        assert_eq!(rig.app.end_of(clean_id), Some(Ended::Closed(Some(1001))));
        assert!(clean.closed_at().is_some());
        rig.run(499);
        assert!(!rig.hub.is_stopped());
        rig.run(1);
        assert!(rig.hub.is_stopped());
        for (peer, id) in [(&silent, silent_id), (&full, full_id)] {
            assert_eq!(rig.app.end_of(id), Some(Ended::TimedOut(Timeout::Shutdown)));
            assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        }
        assert_eq!(rig.app.end_of(ended_id), Some(Ended::Closed(None)));
        for peer in [&opening, &ended, &refused] {
            assert_eq!(peer.closed_at(), Some(rig.sim.now()));
        }
        assert_eq!(late.received(), b"");
        assert!(rig.sim.waits() - waits <= 20, "{}", rig.sim.waits() - waits);
        assert_eq!(rig.hub.run(&mut rig.app), Ok(()));
    });
}

/// Nobody is there to wait for.
#[test]
fn an_empty_hub_stops_at_once() {
    Setup::default().run(|rig| {
        rig.hub.stop(CloseCode::GOING_AWAY, ms(500));
        assert!(rig.hub.is_stopped());
        assert_eq!(rig.hub.run(&mut rig.app), Ok(()));
    });
}

/// A peer that is refused is no reason to stay.
#[test]
fn a_refused_peer_does_not_outlast_the_stop() {
    let setup = with_timeouts(|timeouts| timeouts.closing_handshake = ms(10_000));
    Setup { slots: 1, ..setup }.run(|rig| {
        let (peer, _) = rig.open();
        let refused = rig.send(&request());
        rig.hub.stop(CloseCode::GOING_AWAY, ms(500));
        peer.reset();
        rig.run(500);
        assert!(rig.hub.is_stopped());
        assert_eq!(refused.closed_at(), Some(500));
    });
}

/// Bounded also from outside of it: `turn` returns after `at_most`.
#[test]
fn a_turn_takes_no_longer_than_it_may() {
    Setup::default().run(|rig| {
        rig.open();
        rig.sim.allow(1000);
        let before = rig.sim.now();
        rig.hub.turn(&mut rig.app, Some(ms(70))).unwrap();
        assert_eq!(rig.sim.now(), before + 70);
        rig.hub.turn(&mut rig.app, Some(Duration::ZERO)).unwrap();
        assert_eq!(rig.sim.now(), before + 70);
    });
}

// Any peers.

/// A peer that does something else each time, and what is known of it.
struct Wild {
    peer: Peer,
    id: PeerId,
    /// The messages that it has sent, and the one that is under way.
    sent: Vec<(MessageKind, Vec<u8>)>,
    begun: Option<(MessageKind, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
}

impl Wild {
    fn new(rig: &mut Rig<'_>) -> Self {
        let (peer, id) = rig.open();
        Self { peer, id, sent: vec![], begun: None, pings: vec![] }
    }

    fn act(&mut self, random: &mut Random, longest: usize) {
        let fault = [Fault::Interrupted, Fault::TimedOut, Fault::OutOfMemory];
        let some = random.pick(&[1, 2, 7, 61, 130, 1000]);
        match random.below(12) {
            0..4 => self.send_fragment(random, longest),
            4 => {
                let payload = random.between(0, 125);
                let payload = random.bytes(payload);
                self.peer.send(&masked(PING, &payload));
                self.pings.push(payload);
            }
            5 => self.peer.set_window(random.pick(&[0, 1, 10, 100, 1000, usize::MAX])),
            6 if random.one_in(2) => self.peer.set_record(random.pick(&[0, 1, 300, 16_384])),
            6 => self.peer.set_pieces(some, random.pick(&[1, 3, 61, 500, usize::MAX])),
            7 => self.peer.fail_reads([random.pick(&fault[..2])]),
            8 => self.peer.fail_writes([random.pick(&fault)]),
            _ => self.peer.take(some),
        }
    }

    fn send_fragment(&mut self, random: &mut Random, longest: usize) {
        let (is_new, kind, mut message) = match self.begun.take() {
            Some((kind, message)) => (false, kind, message),
            None => (true, random.pick(&[MessageKind::Text, MessageKind::Binary]), vec![]),
        };
        let most = (longest - message.len()).min(random.pick(&[0, 1, 125, 126, 5000]));
        let len = random.between(0, most);
        let fragment = match kind {
            // Characters of two bytes, some of which are split.
            MessageKind::Text => {
                (message.len()..message.len() + len).map(|at| b"\xC3\xBC"[at % 2]).collect()
            }
            MessageKind::Binary => random.bytes(len),
        };
        message.extend(&fragment);
        let is_whole = kind == MessageKind::Binary || message.len() % 2 == 0;
        let fin = is_whole && random.one_in(2) || message.len() == longest;
        let opcode = match kind {
            _ if !is_new => CONTINUATION,
            MessageKind::Text => TEXT,
            MessageKind::Binary => BINARY,
        };
        let first = if fin { FIN | opcode } else { opcode };
        self.peer.send(&masked_with(
            random.next().to_be_bytes()[..4].try_into().unwrap(),
            first,
            &fragment,
        ));
        match fin {
            true => self.sent.push((kind, message)),
            false => self.begun = Some((kind, message)),
        }
    }

    /// Reads what there is, and finds in it echoes and Pongs, in order and unchanged; of each all
    /// that are due, if `all`.
    fn check(&self, rig: &Rig<'_>, all: bool) {
        let messages = rig.app.messages(self.id);
        assert!(self.sent.starts_with(&messages), "something else was handed out");
        let bytes = self.peer.received();
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while let Some((frame, len)) = first_frame(rest) {
            frames.push((frame.first, frame.payload));
            rest = &rest[len..];
        }
        let echoes = whole(&frames);
        assert!(messages.iter().map(|message| &message.1).take(echoes.len()).eq(&echoes));
        let pongs = frames.iter().filter(|(first, _)| *first == PONG).map(|frame| &frame.1);
        assert!(pongs.clone().eq(self.pings.iter().take(pongs.clone().count())));
        if all {
            assert_eq!(rest, b"", "a frame was sent in part");
            assert!(messages == self.sent, "not all was handed out");
            assert_eq!(echoes.len(), messages.len(), "not all was echoed");
            assert_eq!(pongs.count(), self.pings.len(), "not all Pings were answered");
        }
    }
}

/// Buffers of any length, each reply of which fits the transmit buffer.
fn any_setup(random: &mut Random) -> Setup {
    let mut setup = Setup { slots: random.between(1, 4), ..Setup::default() };
    setup.rx = random.between(MIN_RX_BUFFER + 180, 700);
    setup.tx = random.between(MIN_HUB_TX_BUFFER, 700);
    setup.start = u64::from(u32::MAX) - random.below(2000) as u64;
    let settings = &mut setup.settings;
    settings.delivery = random.pick(&[Delivery::Pieces, Delivery::Messages]);
    settings.reply_room = random.pick(&[0, 20, 100, usize::MAX]);
    if settings.delivery == Delivery::Messages || settings.reply_room == 0 {
        setup.tx = setup.tx.max(setup.rx + 200);
    }
    setup
}

/// Every message in both directions arrives whole and in order, whatever the streams do.
#[test]
fn nothing_is_lost_between_peers_that_do_anything() {
    with_seeds("HUB_SEED", 500, |random| {
        any_setup(random).run(|rig| {
            rig.app.echoes = true;
            rig.app.retries = true;
            let longest = match rig.delivery {
                // An even number, at which no character is split.
                Delivery::Messages => (rig.rx - 131) & !1,
                Delivery::Pieces => 3000,
            };
            let mut peers: Vec<_> = (0..rig.slots).map(|_| Wild::new(rig)).collect();
            rig.sim.wake_at_random(random.clone());
            for _ in 0..random.between(10, 150) {
                let index = random.below(peers.len());
                let peer = &mut peers[index];
                peer.act(random, longest);
                if random.one_in(3) {
                    rig.run(random.pick(&[0, 0, 1, 10, 100]));
                }
                if random.one_in(20) {
                    peers[index].check(rig, false);
                }
                if random.one_in(100) {
                    peers[index].peer.heal();
                    peers[index].peer.reset();
                    // At the latest when memory is looked for again.
                    rig.run(10);
                    assert_eq!(rig.app.end_of(peers[index].id), Some(Ended::Transport));
                    peers[index] = Wild::new(rig);
                }
            }
            for wild in &mut peers {
                wild.peer.heal();
                while wild.begun.is_some() {
                    wild.send_fragment(random, longest);
                }
            }
            rig.run(20);
            for wild in &peers {
                wild.check(rig, true);
                wild.peer.send(&masked(CLOSE, &close_payload(1000, "")));
            }
            rig.run(20);
            for wild in &peers {
                assert_eq!(rig.app.end_of(wild.id), Some(Ended::Closed(Some(1000))));
                let close = unmasked(CLOSE, &close_payload(1000, ""));
                assert!(wild.peer.received().ends_with(&close));
                wild.peer.end();
            }
            rig.settle();
            assert!(peers.iter().all(|wild| wild.peer.closed_at().is_some()));
        });
    });
}

/// What a peer sends that is no WebSocket, or not for long.
fn rubbish(random: &mut Random) -> Vec<u8> {
    let len = random.between(1, 300);
    match random.below(8) {
        0 => random.bytes(len),
        1 => b"GET / HTTP/1.1\r\n".to_vec(),
        2 => get(random.pick(&["/page", "/copied", "/split", "/"]), &[]),
        3 => masked(FIN | TEXT, &random.bytes(len)),
        4 => masked(FIN | BINARY, &vec![1; len * 10]),
        5 => masked(CLOSE, &close_payload(random.pick(&[1000, 1005, 4000]), "")),
        6 => masked(PING, &random.bytes(len.min(125))),
        _ => {
            let mut bytes = [request(), masked(FIN | TEXT, b"behind")].concat();
            if random.one_in(4) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            bytes
        }
    }
}

/// Whatever peers do and streams do: each that opened is told to have closed once, a new peer is
/// served, and the hub stops in time. In none of it does it spin.
#[test]
fn a_hub_outlives_whatever_happens_and_stops_in_time() {
    with_seeds("HUB_RUBBISH_SEED", 1000, |random| {
        let mut setup = any_setup(random);
        let mut any = || ms(random.pick(&[0, 1, 10, 100, 1000]));
        let timeouts = &mut setup.settings.timeouts;
        timeouts.opening_handshake = any() + ms(1);
        timeouts.ping = Some(any() + ms(1));
        timeouts.pong = any();
        timeouts.idle = Some(any() + ms(5));
        timeouts.send = any();
        timeouts.closing_handshake = any();
        setup.settings.overflow = random.pick(&[Overflow::Refuse, Overflow::Close]);
        setup.run(|rig| {
            rig.app.echoes = true;
            rig.app.retries = random.one_in(2);
            rig.app.meddles = random.one_in(2).then(|| random.clone());
            rig.sim.wake_at_random(random.clone());
            let faults = [
                Fault::Interrupted,
                Fault::TimedOut,
                Fault::OutOfMemory,
                Fault::Reset,
                Fault::Unsupported,
            ];
            let mut peers = vec![rig.sim.connect()];
            for _ in 0..random.between(10, 100) {
                let peer = &peers[random.below(peers.len())];
                let some = random.pick(&[0, 1, 7, 61, 500, usize::MAX]);
                match random.below(20) {
                    0..3 => peers.push(rig.sim.connect()),
                    3..6 => peer.send(&request()),
                    6..10 => peer.send(&rubbish(random)),
                    10 => peer.set_window(some),
                    11 if random.one_in(2) => peer.set_record(some),
                    11 => peer.set_pieces(some.max(1), some.max(1)),
                    12 => peer.fail_reads([random.pick(&faults)]),
                    13 => peer.fail_writes([random.pick(&faults)]),
                    14 => rig.sim.fail_accept([random.pick(&faults)]),
                    15 => peer.end(),
                    16 if random.one_in(3) => peer.reset(),
                    17 if random.one_in(3) => peer.forbid_shut_down(),
                    18 => {
                        let payload = random.bytes(some.min(600));
                        rig.hub.peers().broadcast(MessageKind::Binary, &payload);
                        let id = rig.hub.peers().ids().next();
                        if let Some(id) = id {
                            // May be refused.
                            let _ = match random.below(3) {
                                0 => rig.hub.peers().ping(id, b"?"),
                                1 => rig.hub.peers().close(id, None, ""),
                                _ => rig.hub.peers().send_binary(id, &payload),
                            };
                        }
                    }
                    _ => peer.take(some),
                }
                if random.one_in(2) {
                    rig.run(random.pick(&[0, 0, 0, 1, 9, 10, 150]));
                }
            }
            let within = random.pick(&[0, 1, 50, 5000]);
            let now = rig.sim.now();
            rig.hub.stop(CloseCode::GOING_AWAY, ms(within));
            rig.run(within);
            assert!(rig.hub.is_stopped());
            assert!(rig.sim.now() <= now + within);
            let opened: Vec<PeerId> = (rig.app.told.iter())
                .filter_map(|told| if let Told::Opened(id) = told { Some(*id) } else { None })
                .collect();
            for id in opened {
                assert!(rig.app.end_of(id).is_some(), "{id:?} never closed");
            }
        });
    });
}
