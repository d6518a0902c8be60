// SPDX-License-Identifier: Apache-2.0
//! The byte stream that a WebSocket runs on.

use core::time::Duration;

use embedded_io::{Read, Write};

/// A connected byte stream, such as a TCP socket: [`embedded_io::Read`] and
/// [`embedded_io::Write`], with what a WebSocket needs beyond them.
///
/// # Contract
/// - `read` MUST return 0 only when the peer has ended its side of the stream, or for an empty
///   buffer.
/// - `write` and `write_gather` MUST return at least 1 unless they were given no bytes; fewer
///   bytes than were given is no error.
/// - An operation that cannot make progress before the deadline, or at once in a non-blocking
///   stream, MUST fail with [`embedded_io::ErrorKind::TimedOut`], and MUST NOT have taken or
///   delivered a byte. It can be repeated.
/// - An interrupted operation SHOULD be repeated by the transport; one that fails with
///   [`embedded_io::ErrorKind::Interrupted`] is repeated by the caller.
/// - Nothing may be held back: what was written leaves without waiting for more
///   (`TCP_NODELAY`).
pub trait Transport: Read + Write {
    /// Writes bytes of `head`, then of `payload`, in one call of the socket where the stream can,
    /// and returns how many bytes of the two together it took.
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Self::Error> {
        if head.is_empty() { self.write(payload) } else { self.write(head) }
    }

    /// Lets every read and write fail with [`embedded_io::ErrorKind::TimedOut`] once `after` has
    /// passed, counted from this call. `None` waits for ever; [`Duration::ZERO`] never waits.
    fn set_deadline(&mut self, after: Option<Duration>);

    /// Ends the sending side; what the peer still sends can be read.
    fn shutdown(&mut self) -> Result<(), Self::Error>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Self::Error> {
        T::write_gather(self, head, payload)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        T::set_deadline(self, after);
    }

    fn shutdown(&mut self) -> Result<(), Self::Error> {
        T::shutdown(self)
    }
}

/// A cryptographically secure source of random bytes, from which a client draws its masking keys
/// and its nonce (RFC 6455 sections 4.1, 5.3 and 10.3).
pub trait Entropy {
    /// Fills `bytes`, or fails and leaves their content unspecified.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// The source of entropy gave no bytes. A client must not continue with predictable ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntropyUnavailable;
