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

    /// Writes as much of `bytes` as the stream takes at once, and fails with
    /// [`embedded_io::ErrorKind::TimedOut`] if that is nothing: the deadline does not matter here.
    ///
    /// Without an implementation it waits like [`write`](Write::write), and so does receiving
    /// while a Pong cannot leave: a peer that reads only once its own sending is done then keeps
    /// the connection from going on.
    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.write(bytes)
    }

    /// Reads like [`read`](Read::read), but waits no longer than until the stream takes bytes
    /// again, and then returns `None`. Goes with [`write_now`](Self::write_now).
    fn read_or_writable(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        self.read(buffer).map(Some)
    }

    /// Lets every read and write fail with [`embedded_io::ErrorKind::TimedOut`] once `after` has
    /// passed, counted from this call. `None` waits for ever; [`Duration::ZERO`] never waits.
    fn set_deadline(&mut self, after: Option<Duration>);

    /// Ends the sending side; what the peer still sends can be read.
    ///
    /// A stream that can only be closed as a whole fails with
    /// [`embedded_io::ErrorKind::Unsupported`].
    fn shutdown(&mut self) -> Result<(), Self::Error>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn write_gather(&mut self, head: &[u8], payload: &[u8]) -> Result<usize, Self::Error> {
        T::write_gather(self, head, payload)
    }

    fn write_now(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        T::write_now(self, bytes)
    }

    fn read_or_writable(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        T::read_or_writable(self, buffer)
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
