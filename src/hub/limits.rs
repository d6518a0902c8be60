// SPDX-License-Identifier: Apache-2.0
//! What an application chooses for a hub.

use core::time::Duration;

use super::REPLY_HEADER;
use super::backlog::{CONTROL_ROOM, usable};
use super::clock::Span;
use crate::frame::MAX_HEADER_LEN;

/// How a [`Hub`](super::Hub) works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether messages are handed out whole.
    pub delivery: Delivery,
    /// What happens to a peer that does not take what is sent to it.
    pub overflow: Overflow,
    /// How much room for replies must be free, in bytes, before the next message or piece of one
    /// is taken from a peer: until then it waits where it is, and TCP slows the peer down. With
    /// 0 a peer is always heard, and a reply to it can be refused. A transmit buffer has at most
    /// 131 bytes less than its length, which is also the most that counts here; with
    /// [`Delivery::Pieces`] a piece and its frame's header are never longer than this.
    pub reply_room: usize,
    /// How long to wait, and for what.
    pub timeouts: Timeouts,
    /// The whole response, sent to a peer for which there is no slot.
    pub busy: &'static [u8],
}

/// In what portions messages are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As their bytes arrive, of any length.
    Pieces,
    /// As a whole. The longest has 131 bytes less than the receive buffer, so that a control frame
    /// fits behind it; a longer one fails the connection with 1009.
    Messages,
}

/// What happens when there is no room for what is sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The call fails with [`UsageError::BacklogFull`](crate::UsageError::BacklogFull), and
    /// nothing of the frame is sent.
    Refuse,
    /// So it does, and the peer is given up with 1013.
    Close,
}

/// The timeouts of each connection of a hub, at most 24 days, kept to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the whole request of the opening handshake, however slowly its bytes drip in.
    pub opening_handshake: Duration,
    /// Without a sign of life before a Ping is sent; `None` sends none. Whatever arrives is one,
    /// and also that a peer takes more of what had to wait for it.
    pub ping: Option<Duration>,
    /// For a sign of life after the Ping.
    pub pong: Duration,
    /// Without a message in either direction before the connection is closed with 1001; Pings and
    /// Pongs do not count. `None` never closes it.
    pub idle: Option<Duration>,
    /// For the peer to take what waits for it; of a long page, as much as the transmit buffer
    /// would hold, and again for the next as much.
    pub send: Duration,
    /// For the peer's Close frame, and again for its end of the stream.
    pub closing_handshake: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delivery: Delivery::Pieces,
            overflow: Overflow::Refuse,
            reply_room: usize::MAX,
            timeouts: Timeouts::default(),
            busy: b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\
                Connection: close\r\n\r\n",
        }
    }
}

impl Default for Timeouts {
    /// What Kconfig says, see [`config`](crate::config); elsewhere its defaults.
    fn default() -> Self {
        use crate::config;
        Self {
            opening_handshake: config::HANDSHAKE_TIMEOUT,
            ping: config::PING_INTERVAL,
            pong: config::PONG_TIMEOUT,
            idle: config::IDLE_TIMEOUT,
            send: config::SEND_TIMEOUT,
            closing_handshake: config::CLOSE_TIMEOUT,
        }
    }
}

/// Settings as they are worked with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) delivery: Delivery,
    pub(super) overflow: Overflow,
    pub(super) reply_room: usize,
    pub(super) opening_handshake: Span,
    pub(super) ping: Option<Span>,
    pub(super) pong: Span,
    pub(super) idle: Option<Span>,
    pub(super) send: Span,
    pub(super) closing_handshake: Span,
    pub(super) busy: &'static [u8],
}

impl Limits {
    pub(super) fn new(settings: &Settings, tx_len: usize) -> Self {
        let timeouts = &settings.timeouts;
        let room = usable(tx_len).saturating_sub(CONTROL_ROOM);
        Self {
            delivery: settings.delivery,
            overflow: settings.overflow,
            reply_room: match settings.reply_room {
                0 => 0,
                // A header has to fit.
                wanted => wanted.max(MAX_HEADER_LEN.saturating_add(REPLY_HEADER)).min(room),
            },
            opening_handshake: Span::new(timeouts.opening_handshake),
            ping: timeouts.ping.map(Span::new),
            pong: Span::new(timeouts.pong),
            idle: timeouts.idle.map(Span::new),
            send: Span::new(timeouts.send),
            closing_handshake: Span::new(timeouts.closing_handshake),
            busy: settings.busy,
        }
    }
}
