// SPDX-License-Identifier: Apache-2.0
//! What can go wrong, sorted by who is to blame, and the one place that maps it to a close code
//! or an HTTP status.

use core::fmt;

use embedded_io::ErrorKind;

use crate::close::CloseCode;
use crate::handshake::Status;
use crate::transport::EntropyUnavailable;

/// Who has to change something so that an error does not come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The peer broke a rule of RFC 6455 or of HTTP, or said no.
    Peer,
    /// The application called something with values or at a time that cannot work.
    Application,
    /// A buffer, a limit, the network or the entropy source did not suffice.
    Resource,
}

/// A rule of RFC 6455 that a frame of the peer broke. The connection has failed: nothing more is
/// received on it (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// From 1 on, so that a connection without an error is all zeros.
#[repr(u8)]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set without an extension that gives it a meaning (section 5.2).
    ReservedBits = 1,
    /// An opcode of 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpcode,
    /// A Close, Ping or Pong frame without FIN (section 5.5).
    FragmentedControlFrame,
    /// A Close, Ping or Pong frame of more than 125 bytes (section 5.5).
    ControlFrameTooLong,
    /// A length that a shorter form could have held (section 5.2).
    LengthNotMinimal,
    /// A length of 2^63 bytes or more (section 5.2), or of 2^31 or more where an address has 32
    /// bits.
    LengthTooLarge,
    /// An unmasked frame from a client (section 5.1).
    NotMasked,
    /// A masked frame from a server (section 5.1).
    Masked,
    /// A continuation frame with no message to continue (section 5.4).
    NothingToContinue,
    /// A new message before the current one ended (section 5.4).
    MessageNotFinished,
    /// A text message or a close reason that is not UTF-8 (sections 5.6, 8.1 and 5.5.1).
    InvalidUtf8,
    /// A Close frame of one byte (section 5.5.1).
    ClosePayloadLength,
    /// A status code that must not be sent (section 7.4).
    CloseCode,
}

impl ProtocolError {
    /// The status code to fail the connection with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 => CloseCode::INVALID_FRAME_PAYLOAD_DATA,
            // With 64-bit addresses it is the protocol that forbids the length.
            Self::LengthTooLarge if usize::BITS < 64 => CloseCode::MESSAGE_TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// A call that cannot work as it was made. The connection is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// A buffer is shorter than [`MIN_RX_BUFFER`](crate::MIN_RX_BUFFER) or
    /// [`MIN_TX_BUFFER`](crate::MIN_TX_BUFFER), or too short for the handshake that was to be
    /// written to it: pass a longer one.
    BufferTooSmall,
    /// A Ping or Pong payload over 125 bytes, or a close reason over 123.
    ControlPayloadTooLong,
    /// A reason without a status code: give a code (section 5.5.1).
    ReasonWithoutCode,
    /// A text fragment within a binary message or the reverse: end the message first.
    OtherMessageInProgress,
    /// The opcode `Continuation`: give the message's own, which becomes one where it has to.
    NoMessage,
    /// A frame was sent in part: call [`resume`](crate::Sender::resume) until it is complete.
    FrameInProgress,
    /// `resume` without a frame sent in part, or with a payload shorter than what is missing.
    NoFrameToResume,
    /// The connection is closing or closed: open a new one.
    NotOpen,
    /// The peer of a [`Hub`](crate::hub::Hub) has not taken enough of what was sent to it before:
    /// wait until it has, or give it up.
    BacklogFull,
    /// A name or value that cannot stand in an HTTP head: a control character such as CR or LF
    /// in a value, a separator in a name or subprotocol, or a resource name that begins with
    /// neither `/` nor `?`.
    InvalidHeader,
    /// A subprotocol that the client did not offer.
    SubprotocolNotOffered,
}

/// Why a server refuses an opening handshake (RFC 6455 section 4.2).
///
/// Where several reasons apply, the first in this order is given; that it is HTTP/1.0, a case of
/// [`NotWebSocket`](Self::NotWebSocket), comes before a missing `Host` and the method. What is not
/// HTTP, and what is repeated or has a wrong value, is told as soon as it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Not HTTP as RFC 9112 has it: no request line, a line folded or without a colon, a bare CR
    /// or LF, a control character, a name that is not a token.
    Malformed,
    /// The head did not end within the receive buffer.
    HeadTooLarge,
    /// The head did not end before the deadline.
    HeadTimedOut,
    /// An HTTP version other than 1.x.
    HttpVersion,
    /// `Host` is missing or repeated.
    Host,
    /// A method other than GET.
    Method,
    /// No `Upgrade: websocket`, or HTTP/1.0, which has no upgrade: a plain HTTP request.
    NotWebSocket,
    /// `Upgrade: websocket` without `Connection: Upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is missing, repeated or not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing, repeated or not the Base64 of 16 bytes.
    Key,
    /// The target is neither a path nor a URI of HTTP, or has a fragment (section 3).
    Target,
    /// The accept key could not be computed: the system's hash function failed.
    AcceptKey,
}

impl RequestError {
    /// The HTTP status that answers the request.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Malformed | Self::Host | Self::Connection | Self::Key | Self::Target => {
                Status::BAD_REQUEST
            }
            Self::HeadTooLarge => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimedOut => Status::REQUEST_TIMEOUT,
            Self::HttpVersion => Status::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method => Status::METHOD_NOT_ALLOWED,
            Self::NotWebSocket | Self::Version => Status::UPGRADE_REQUIRED,
            Self::AcceptKey => Status::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a client does not take a server's answer for a WebSocket (RFC 6455 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// Not HTTP as RFC 9112 has it.
    Malformed,
    /// The head did not end within the receive buffer.
    HeadTooLarge,
    /// The server answered with this status instead of 101.
    Status(u16),
    /// No `Upgrade: websocket`.
    Upgrade,
    /// No `Connection: Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or not the answer to the key.
    Accept,
    /// A subprotocol that was not offered, or more than one.
    Subprotocol,
    /// An extension that was not offered.
    Extension,
}

/// Which of the timeouts of a [`Keepalive`](crate::Keepalive) has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepaliveTimeout {
    /// No sign of life came after a Ping, or the peer took nothing of a frame: it is gone.
    Pong,
    /// No data was received or sent: the connection is not used.
    Idle,
}

/// An error of a [`WebSocket`](crate::WebSocket), of its handshake or of its transport, whose own
/// error is `E`.
///
/// After [`TimedOut`](Self::TimedOut) and [`Usage`](Self::Usage) the connection goes on; after
/// every other error it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The peer broke the protocol; it was told so in a Close frame where that was possible.
    Protocol(ProtocolError),
    /// The peer's request was refused, and answered with [`RequestError::status`].
    Request(RequestError),
    /// The server's answer is no acceptance.
    Response(ResponseError),
    /// A message exceeded the limit that the application set; the peer was told so with 1009.
    MessageTooBig,
    /// A text message came to a [`ByteStream`](crate::ByteStream); the peer was told so with 1003.
    UnsupportedData,
    /// The call cannot work as it was made.
    Usage(UsageError),
    /// Nothing more could be received or sent before the deadline. The call can be repeated; an
    /// interrupted frame goes on with [`resume`](crate::Sender::resume).
    TimedOut,
    /// A timeout of the application's [`Keepalive`](crate::Keepalive) has passed: give the
    /// connection up.
    Keepalive(KeepaliveTimeout),
    /// The closing handshake is done, or the connection failed before: nothing more comes.
    Closed,
    /// The peer ended the stream without a closing handshake (1006, RFC 6455 section 7.1.5).
    Disconnected,
    /// The entropy source gave no bytes.
    Entropy,
    /// The transport failed.
    Transport(E),
}

impl<E> Error<E> {
    /// Who is to blame.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Protocol(_) | Self::Request(_) | Self::Response(_) | Self::UnsupportedData => {
                Blame::Peer
            }
            Self::Usage(_) | Self::Closed => Blame::Application,
            Self::MessageTooBig
            | Self::TimedOut
            | Self::Keepalive(_)
            | Self::Disconnected
            | Self::Entropy
            | Self::Transport(_) => Blame::Resource,
        }
    }

    /// The status code that tells the peer, where a Close frame can.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::MessageTooBig => Some(CloseCode::MESSAGE_TOO_BIG),
            Self::UnsupportedData => Some(CloseCode::UNSUPPORTED_DATA),
            Self::Entropy => Some(CloseCode::INTERNAL_ERROR),
            Self::Keepalive(KeepaliveTimeout::Idle) => Some(CloseCode::GOING_AWAY),
            _ => None,
        }
    }
}

impl<E: embedded_io::Error> Error<E> {
    /// Sorts what the transport said: a passed deadline is no failure.
    pub(crate) fn from_transport(error: E) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Transport(error),
        }
    }
}

impl<E> From<ProtocolError> for Error<E> {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl<E> From<RequestError> for Error<E> {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl<E> From<ResponseError> for Error<E> {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl<E> From<UsageError> for Error<E> {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl<E> From<KeepaliveTimeout> for Error<E> {
    fn from(timeout: KeepaliveTimeout) -> Self {
        Self::Keepalive(timeout)
    }
}

impl<E> From<EntropyUnavailable> for Error<E> {
    fn from(_: EntropyUnavailable) -> Self {
        Self::Entropy
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "the peer set a reserved bit",
            Self::ReservedOpcode => "the peer used a reserved opcode",
            Self::FragmentedControlFrame => "the peer fragmented a control frame",
            Self::ControlFrameTooLong => "the peer sent a control frame over 125 bytes",
            Self::LengthNotMinimal => "the peer did not use the shortest length",
            Self::LengthTooLarge => "the peer announced a frame that is too long",
            Self::NotMasked => "the client did not mask a frame",
            Self::Masked => "the server masked a frame",
            Self::NothingToContinue => "the peer continued a message that it had not begun",
            Self::MessageNotFinished => "the peer began a message within another",
            Self::InvalidUtf8 => "the peer sent text that is not UTF-8",
            Self::ClosePayloadLength => "the peer sent a Close frame of one byte",
            Self::CloseCode => "the peer sent a status code that must not be sent",
        })
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "a buffer is too small: pass a longer one",
            Self::ControlPayloadTooLong => {
                "a Ping or Pong holds at most 125 bytes, a close reason 123: shorten it"
            }
            Self::ReasonWithoutCode => "a close reason needs a status code: give one",
            Self::OtherMessageInProgress => {
                "a message of the other kind is in progress: send its final fragment first"
            }
            Self::NoMessage => "a fragment is sent with the opcode of its message: give that",
            Self::FrameInProgress => "a frame was sent in part: resume it first",
            Self::NoFrameToResume => "no frame was sent in part that this payload could complete",
            Self::NotOpen => "the connection is closing or closed: open a new one",
            Self::BacklogFull => "the peer does not take what is sent to it: wait, or give it up",
            Self::InvalidHeader => {
                "a header, subprotocol or resource name has a character that HTTP does not allow"
            }
            Self::SubprotocolNotOffered => {
                "the client did not offer this subprotocol: choose one of its own, or none"
            }
        })
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the request is not valid HTTP",
            Self::HeadTooLarge => {
                "the request's head is longer than the receive buffer: raise its size if it should fit"
            }
            Self::HeadTimedOut => "the request's head was not complete before the deadline",
            Self::HttpVersion => "the request's HTTP version is not 1.x",
            Self::Host => "the request has no Host, or more than one",
            Self::Method => "a WebSocket is opened with GET",
            Self::NotWebSocket => "the request does not ask for a WebSocket",
            Self::Connection => "the request has Upgrade, but no Connection: Upgrade",
            Self::Version => "the request's Sec-WebSocket-Version is not 13",
            Self::Key => "the request's Sec-WebSocket-Key is not the Base64 of 16 bytes",
            Self::Target => "the request's target is neither a path nor a URI",
            Self::AcceptKey => "the accept key could not be computed: see the system's hash function",
        })
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the response is not valid HTTP",
            Self::HeadTooLarge => {
                "the response's head is longer than the receive buffer: raise its size"
            }
            Self::Status(status) => {
                return write!(f, "the server answered {status} instead of 101");
            }
            Self::Upgrade => "the response has no Upgrade: websocket",
            Self::Connection => "the response has no Connection: Upgrade",
            Self::Accept => "the response's Sec-WebSocket-Accept does not answer the key",
            Self::Subprotocol => "the server chose a subprotocol that was not offered",
            Self::Extension => "the server chose an extension that was not offered",
        })
    }
}

impl fmt::Display for KeepaliveTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pong => "the peer gave no sign of life",
            Self::Idle => "the connection was not used",
        })
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::MessageTooBig => {
                f.write_str("a message exceeds the limit: raise it, or receive in pieces")
            }
            Self::UnsupportedData => f.write_str("the peer sent text where bytes are expected"),
            Self::Usage(error) => error.fmt(f),
            Self::TimedOut => f.write_str("the deadline passed"),
            Self::Keepalive(timeout) => timeout.fmt(f),
            Self::Closed => f.write_str("the connection is closed"),
            Self::Disconnected => f.write_str("the peer disconnected without a closing handshake"),
            Self::Entropy => f.write_str("the entropy source gave no bytes"),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ProtocolError {}
impl core::error::Error for UsageError {}
impl core::error::Error for RequestError {}
impl core::error::Error for ResponseError {}
impl core::error::Error for KeepaliveTimeout {}
impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

impl<E: embedded_io::Error> embedded_io::Error for Error<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Protocol(_)
            | Self::Request(_)
            | Self::Response(_)
            | Self::MessageTooBig
            | Self::UnsupportedData => ErrorKind::InvalidData,
            Self::Usage(_) => ErrorKind::InvalidInput,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Keepalive(_) => ErrorKind::ConnectionAborted,
            Self::Closed => ErrorKind::NotConnected,
            Self::Disconnected => ErrorKind::ConnectionReset,
            Self::Entropy => ErrorKind::Other,
            Self::Transport(error) => error.kind(),
        }
    }
}
