// SPDX-License-Identifier: Apache-2.0

use core::time::Duration;

use super::config::MAX_CONNECTIONS;
use super::error::Error;
use super::mutex::Mutex;
use super::network::wait_for;
use super::tcp::TcpStream;
use super::uptime_ms;
use crate::hub::{Network, Waiting};
use crate::split::Lock;

/// How often a hub looks for streams that were handed over. A poll of offloaded sockets cannot be
/// woken.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Connections that other threads accept for a hub: a TLS handshake, for which Zephyr lets the
/// accepting thread wait, then holds up neither the hub nor its connections.
///
/// ```ignore
/// static HAND_OVER: HandOver = HandOver::new();
///
/// // In a thread of its own:
/// while let Some(stream) = listener.accept(None).ok() {
///     HAND_OVER.give(stream);
/// }
/// // In the hub's thread:
/// Hub::new(HAND_OVER.network(), slots, rx, tx, &settings)?.run(&mut application)
/// ```
#[derive(Debug)]
pub struct HandOver(Mutex<[Option<TcpStream>; MAX_CONNECTIONS]>);

impl Default for HandOver {
    fn default() -> Self {
        Self::new()
    }
}

impl HandOver {
    /// Without a stream yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new([const { None }; MAX_CONNECTIONS]))
    }

    /// Hands `stream` over, which the hub takes within 20 ms, or closes it if
    /// `CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS` streams wait already.
    pub fn give(&self, stream: TcpStream) {
        // Closing may take its time, and is done without the lock.
        let _rest = self.0.with(|places| match places.iter_mut().find(|place| place.is_none()) {
            Some(place) => place.replace(stream),
            None => Some(stream),
        });
    }

    /// The network of the hub that takes what is given.
    #[must_use]
    pub const fn network(&self) -> HandedOver<'_> {
        HandedOver(self)
    }
}

/// The [`Network`] of a hub whose connections are accepted elsewhere: see [`HandOver::network`].
#[derive(Debug)]
pub struct HandedOver<'h>(&'h HandOver);

impl Network for HandedOver<'_> {
    type Stream = TcpStream;

    fn now_ms(&mut self) -> u64 {
        uptime_ms()
    }

    fn accept(&mut self) -> Result<TcpStream, Error> {
        let given = self.0.0.with(|places| places.iter_mut().find_map(Option::take));
        given.ok_or(Error::TimedOut)
    }

    fn wait<'w, W: Waiting<TcpStream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        wait_for(&[], streams, bounded(accepting, timeout))
    }
}

/// As much of `timeout` as a hub may wait that nothing wakes for a new connection.
pub(super) fn bounded(accepting: bool, timeout: Option<Duration>) -> Option<Duration> {
    match timeout {
        Some(timeout) if !accepting || timeout < LOOK_INTERVAL => Some(timeout),
        None if !accepting => None,
        _ => Some(LOOK_INTERVAL),
    }
}
