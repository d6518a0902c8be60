// SPDX-License-Identifier: Apache-2.0
//! Where connections come from, and how all of them are waited for at once.

use core::time::Duration;

use embedded_io::ErrorType;

use crate::transport::Transport;

/// What is waited for on a stream, or has come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes have arrived, or the stream has ended or failed.
    pub readable: bool,
    /// The stream takes bytes, or has failed.
    pub writable: bool,
}

impl Readiness {
    /// Nothing.
    pub const NONE: Self = Self { readable: false, writable: false };

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }
}

/// A stream that is waited for, together with others.
pub trait Waiting<S> {
    /// The stream, and what it waits for; `None` if there is nothing to wait for.
    fn interest(&self) -> Option<(&S, Readiness)>;

    /// Takes what has come about on the stream.
    fn set_ready(&self, ready: Readiness);
}

/// A listening socket, a clock, and the means to wait for several streams at once.
///
/// [`host::TcpNetwork`](crate::host::TcpNetwork) is one for the PC, `zephyr::TcpNetwork` one for
/// Zephyr.
pub trait Network {
    /// What [`accept`](Self::accept) brings.
    type Stream: Transport;

    /// Whether connections come upgraded: a web server beside the hub has read their opening
    /// handshake, and answered it with 101 already.
    ///
    /// The hub looks at the request all the same, and asks the
    /// [`Application`](super::Application); what it would refuse with an HTTP status, it refuses
    /// with a Close frame: 1008 where the application does, 1011 or 1013 if it says so with a
    /// status from 500 on, 1002 for what is no valid opening handshake, 1009 for a request that
    /// does not fit, 1013 if there is no slot. Subprotocols and fields of an acceptance are not
    /// sent any more.
    const UPGRADED: bool = false;

    /// The time of a clock that never goes back, in milliseconds.
    fn now_ms(&mut self) -> u64;

    /// Takes a connection that waits, or fails at once with
    /// [`embedded_io::ErrorKind::TimedOut`] if there is none.
    ///
    /// Any other error, such as too many open sockets, is taken for one that passes: the hub goes
    /// on with the connections that it has, and tries again later.
    fn accept(&mut self) -> Result<Self::Stream, <Self::Stream as ErrorType>::Error>;

    /// As [`accept`](Self::accept), for a connection of which bytes were read before: copies them
    /// to the front of `buffer`, and returns how many they are. Of a connection that comes
    /// [upgraded](Self::UPGRADED) they are the head of its request, and what came behind it.
    ///
    /// If they do not fit, it MUST return 0: nothing of them may be lost unnoticed. `buffer` is
    /// empty if the hub has no slot for the connection.
    fn accept_into(
        &mut self,
        buffer: &mut [u8],
    ) -> Result<(Self::Stream, usize), <Self::Stream as ErrorType>::Error> {
        let _ = buffer;
        Ok((self.accept()?, 0))
    }

    /// Waits until one of `streams` is ready for what it waits for, or a connection can be
    /// accepted, if `accepting`, or `timeout` has passed; for ever without one. It MAY return for
    /// no reason.
    ///
    /// # Errors
    /// Nothing can be waited for at all.
    fn wait<'w, W: Waiting<Self::Stream> + 'w>(
        &mut self,
        streams: impl Iterator<Item = &'w W> + Clone,
        accepting: bool,
        timeout: Option<Duration>,
    ) -> Result<(), <Self::Stream as ErrorType>::Error>;
}
