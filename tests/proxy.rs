// SPDX-License-Identifier: Apache-2.0
//! Both roles on a bad network over TCP, against each other and against `tungstenite`: what only
//! comes slowly is echoed all the same, a connection that is cut off ends with an error on both
//! sides, and whatever else comes, both end and the server serves the next.

#![cfg(target_os = "linux")]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/random.rs"]
mod random;
#[path = "support/server.rs"]
mod server;
mod support;
#[path = "support/talk.rs"]
mod talk;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proxy::Kind;
use random::with_seeds_at_once;
use server::{HubServer, WATCHDOG};
use talk::{Client, Outcome, TheirServer, is_fair, talk};
use zephyr_websocket::hub::{Settings, Timeouts};

/// For the bad networks in which something does not come.
const SOON: Duration = Duration::from_millis(100);

fn settings(limit: Duration) -> Settings {
    let timeouts = Timeouts {
        opening_handshake: limit,
        ping: Some(limit),
        pong: limit,
        idle: None,
        send: limit,
        closing_handshake: limit,
    };
    Settings { timeouts, ..Settings::default() }
}

/// Conversations with our server, by either client.
fn with_our_server(variable: &str, kind: Kind, count: u64, limit: Duration) {
    for (buffer, client) in [(400, Client::Ours), (4096, Client::Theirs)] {
        let server = HubServer::start(32, buffer, settings(limit));
        let done = AtomicU64::new(0);
        with_seeds_at_once(variable, count, |random| {
            let outcome = talk(client, server.address, kind, random.next(), limit).unwrap();
            assert!(is_fair(kind, &outcome), "{client:?}: {outcome:?}");
            done.fetch_add(u64::from(outcome == Outcome::Done), Ordering::Relaxed);
        });
        println!("{kind:?} {client:?}: {} of {count} conversations to the end", done.into_inner());
        // On a busy machine a timeout as short as these may pass once.
        let serves = |seed| talk(client, server.address, Kind::Slow, seed, WATCHDOG).unwrap();
        assert!((0..20).any(|seed| serves(seed) == Outcome::Done), "the server serves no more");
    }
}

/// Conversations of our client with `tungstenite`'s server.
fn with_their_server(variable: &str, kind: Kind, count: u64, limit: Duration) {
    with_seeds_at_once(variable, count, |random| {
        let server = TheirServer::start(limit).unwrap();
        let outcome = talk(Client::Ours, server.address, kind, random.next(), limit).unwrap();
        assert!(is_fair(kind, &outcome), "{outcome:?}");
        let ended = server.end();
        assert!(kind != Kind::Slow || ended.is_ok(), "{ended:?}");
    });
}

#[test]
fn a_slow_network_loses_nothing_for_our_server() {
    with_our_server("PROXY_SLOW_SEED", Kind::Slow, 600, WATCHDOG);
}

#[test]
fn a_slow_network_loses_nothing_for_our_client() {
    with_their_server("PROXY_SLOW_CLIENT_SEED", Kind::Slow, 600, WATCHDOG);
}

#[test]
fn a_network_that_cuts_connections_off_changes_nothing_for_our_server() {
    with_our_server("PROXY_CUT_SEED", Kind::Cut, 600, SOON);
}

#[test]
fn a_network_that_cuts_connections_off_changes_nothing_for_our_client() {
    with_their_server("PROXY_CUT_CLIENT_SEED", Kind::Cut, 600, SOON);
}

#[test]
fn a_network_that_changes_bytes_ends_connections_of_our_server_at_most() {
    with_our_server("PROXY_CORRUPT_SEED", Kind::Corrupt, 600, SOON);
}

#[test]
fn a_network_that_changes_bytes_ends_connections_of_our_client_at_most() {
    with_their_server("PROXY_CORRUPT_CLIENT_SEED", Kind::Corrupt, 600, SOON);
}
