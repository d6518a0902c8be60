// SPDX-License-Identifier: Apache-2.0
//! When to ask a silent peer for a sign of life, and when to give it up.

use core::time::Duration;

use crate::error::{Error, KeepaliveTimeout, UsageError};
use crate::event::{Event, MessageKind};
use crate::role::KeySource;
use crate::sender::Sender;
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// Finds out whether the peer is still there, by Pings (RFC 6455 section 5.5.2), and whether the
/// connection is still used.
///
/// It never sleeps and reads no clock: `now` is the time of a monotonic clock in milliseconds, such
/// as `zephyr::uptime_ms`, and may wrap around at 2^32 or later. It takes 32 bytes.
///
/// Whatever arrives is a sign of life, not only a Pong. So are bytes of a frame that the transport
/// takes after it had refused some, as then the peer has taken others; bytes that fit into the
/// buffers on the way are none. A `pong_timeout` must leave the peer time for all that these hold.
///
/// ```
/// use std::time::Duration;
/// use zephyr_websocket::{Due, Keepalive, KeepaliveTimeout};
///
/// let second = Duration::from_secs(1);
/// let mut keepalive = Keepalive::new(0).with_ping(20 * second, 5 * second);
/// assert_eq!(keepalive.due(1_000), Ok(Due::Wait(Some(19 * second))));
/// assert_eq!(keepalive.due(20_000), Ok(Due::Ping));
/// keepalive.pinged(20_000);
/// assert_eq!(keepalive.due(20_000), Ok(Due::Wait(Some(5 * second))));
/// assert_eq!(keepalive.due(25_000), Err(KeepaliveTimeout::Pong));
/// ```
#[derive(Clone, Debug)]
pub struct Keepalive {
    /// All in milliseconds; a timeout of 0 is none.
    ping_interval: u32,
    pong_timeout: u32,
    idle_timeout: u32,
    /// When the last sign of life came, and the last data.
    alive: u32,
    used: u32,
    /// When the Ping was sent that has seen no sign of life since.
    pinged: Option<u32>,
}

/// What a [`Keepalive`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A Ping: send it and call [`Keepalive::pinged`].
    Ping,
    /// Nothing, until so much time has passed without a sign of life; never if it is `None`.
    Wait(Option<Duration>),
}

impl Keepalive {
    /// For a connection that was opened at `now`. It watches nothing yet.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        // The higher bits do not matter for times that are less than 2^32 ms apart.
        let now = now as u32;
        Self {
            ping_interval: 0,
            pong_timeout: 0,
            idle_timeout: 0,
            alive: now,
            used: now,
            pinged: None,
        }
    }

    /// Sends a Ping after `interval` without a sign of life, and gives the peer up after another
    /// `pong_timeout`. Both are 1 ms to 24 days; what is out of this range becomes its end.
    #[must_use]
    pub const fn with_ping(mut self, interval: Duration, pong_timeout: Duration) -> Self {
        self.ping_interval = milliseconds(interval);
        self.pong_timeout = milliseconds(pong_timeout);
        self
    }

    /// Gives the connection up after `timeout` without data in either direction; control frames do
    /// not count. 1 ms to 24 days, as above.
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = milliseconds(timeout);
        self
    }

    /// There was a sign of life.
    pub const fn alive(&mut self, now: u64) {
        self.alive = now as u32;
        self.pinged = None;
    }

    /// Data was received or sent. It is no sign of life by itself: data that is sent may only fill
    /// buffers.
    pub const fn used(&mut self, now: u64) {
        self.used = now as u32;
    }

    /// `event` was received.
    pub const fn received(&mut self, event: &Event<'_>, now: u64) {
        self.alive(now);
        if matches!(event, Event::Data { .. }) {
            self.used(now);
        }
    }

    /// A Ping was sent, or could not be as the transport takes nothing.
    pub const fn pinged(&mut self, now: u64) {
        self.pinged = Some(now as u32);
    }

    /// What is to be done at `now`. Receive before, without waiting at least: what has arrived
    /// meanwhile counts. To be asked once in 24 days, or more often.
    ///
    /// # Errors
    /// The timeout that has passed.
    pub fn due(&self, now: u64) -> Result<Due, KeepaliveTimeout> {
        let now = now as u32;
        let mut wait = None;
        if let Some(left) = left(self.used, self.idle_timeout, now) {
            if left == 0 {
                return Err(KeepaliveTimeout::Idle);
            }
            wait = Some(left);
        }
        let (since, timeout) = match self.pinged {
            Some(pinged) => (pinged, self.pong_timeout),
            None => (self.alive, self.ping_interval),
        };
        if let Some(left) = left(since, timeout, now) {
            if left == 0 {
                return if self.pinged.is_some() {
                    Err(KeepaliveTimeout::Pong)
                } else {
                    Ok(Due::Ping)
                };
            }
            wait = Some(wait.map_or(left, |wait| left.min(wait)));
        }
        Ok(Due::Wait(wait.map(|wait| Duration::from_millis(wait.into()))))
    }

    /// Receives as [`WebSocket::receive`] does, and sends Pings meanwhile. It sets the deadline of
    /// `websocket`: call [`set_deadline`](Sender::set_deadline) before you send, or use
    /// [`send_fragment`](Self::send_fragment).
    ///
    /// # Errors
    /// - [`Error::Keepalive`]: a timeout has passed. Call [`WebSocket::finish`], after
    ///   [`Sender::close`] with [`Error::close_code`] if that is the one of an unused connection.
    /// - As [`WebSocket::receive`] otherwise, apart from [`Error::TimedOut`].
    #[expect(clippy::type_complexity, reason = "a name for the pair would say less")]
    pub fn receive<'w, 'b, T: Transport, R: KeySource>(
        &mut self,
        websocket: &'w mut WebSocket<'b, T, R>,
        now: impl Fn() -> u64,
    ) -> Result<(Event<'w>, &'w mut Sender<'b, T, R>), Error<T::Error>> {
        let parts = loop {
            // What is overdue still waits for what has arrived.
            let wait = match self.due(now()) {
                Ok(Due::Wait(wait)) => wait,
                Ok(Due::Ping) | Err(_) => Some(Duration::ZERO),
            };
            websocket.set_deadline(wait);
            let unread = websocket.unread_len();
            match websocket.next() {
                Ok(parts) => break parts,
                Err(Error::TimedOut) => {}
                Err(error) => return Err(error),
            }
            // A part of a frame, of which there is nothing to tell yet.
            if websocket.unread_len() != unread {
                self.alive(now());
            }
            if self.due(now())? == Due::Ping {
                self.ping(websocket.sender())?;
                self.pinged(now());
            }
        };
        let (event, sender) = websocket.event(parts);
        self.received(&event, now());
        Ok((event, sender))
    }

    /// A Ping that cannot leave at once would hold receiving up; the frame that it waits for has to
    /// show a sign of life in its place.
    fn ping<T: Transport, R: KeySource>(
        &self,
        sender: &mut Sender<'_, T, R>,
    ) -> Result<(), Error<T::Error>> {
        sender.set_deadline(Some(Duration::ZERO));
        match sender.ping(&[]) {
            Err(Error::TimedOut | Error::Usage(UsageError::FrameInProgress)) => Ok(()),
            // After our own Close frame only the deadlines are left.
            Err(Error::Usage(UsageError::NotOpen)) => Ok(()),
            result => result,
        }
    }

    /// Sends as [`Sender::send_fragment`] does, for as long as the peer keeps taking bytes: only
    /// when it has taken none for `pong_timeout` it is given up. Without
    /// [`with_ping`](Self::with_ping) this waits for ever.
    ///
    /// # Errors
    /// - [`Error::Keepalive`]: the peer takes nothing.
    /// - As [`Sender::send_fragment`] otherwise, apart from [`Error::TimedOut`].
    pub fn send_fragment<T: Transport, R: KeySource>(
        &mut self,
        sender: &mut Sender<'_, T, R>,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        now: impl Fn() -> u64,
    ) -> Result<(), Error<T::Error>> {
        let timeout = match self.pong_timeout {
            0 => None,
            timeout => Some(Duration::from_millis(timeout.into())),
        };
        let mut is_begun = false;
        let mut unsent = sender.unsent();
        loop {
            sender.set_deadline(timeout);
            let result = if is_begun {
                sender.resume(payload)
            } else {
                sender.send_fragment(kind, payload, fin)
            };
            match result {
                Err(Error::TimedOut) => {}
                result => {
                    if result.is_ok() {
                        if is_begun {
                            self.alive(now());
                        }
                        self.used(now());
                    }
                    return result;
                }
            }
            // What was taken when the frame began may lie in buffers.
            if sender.is_frame_begun() && !is_begun {
                is_begun = true;
            } else if sender.unsent() == unsent {
                return Err(Error::Keepalive(KeepaliveTimeout::Pong));
            } else {
                self.alive(now());
            }
            unsent = sender.unsent();
        }
    }
}

/// How many milliseconds of `timeout` are left, if there is one.
fn left(since: u32, timeout: u32, now: u32) -> Option<u32> {
    // What another thread noted behind `now` is up to 12 days ahead, and not 37 days ago.
    let elapsed = match now.wrapping_sub(since) {
        0xC000_0000.. => 0,
        elapsed => elapsed,
    };
    (timeout != 0).then(|| timeout.saturating_sub(elapsed))
}

/// At least 1, so that it is a timeout, and less than half of what a difference can be.
const fn milliseconds(duration: Duration) -> u32 {
    const MAX: u32 = i32::MAX as u32;
    let ms = duration.as_secs().saturating_mul(1000);
    let ms = ms.saturating_add(duration.subsec_nanos().div_ceil(1_000_000) as u64);
    if ms == 0 {
        1
    } else if ms > MAX as u64 {
        MAX
    } else {
        ms as u32
    }
}

const _: () = assert!(size_of::<Keepalive>() <= 32);
