// SPDX-License-Identifier: Apache-2.0

use core::ffi::c_int;
use core::fmt;

use embedded_io::ErrorKind;

#[cfg(zephyr_tls)]
use super::tls;

/// What went wrong in a socket.
///
/// After [`TimedOut`](Error::TimedOut) and [`OutOfMemory`](Error::OutOfMemory) the stream is as it
/// was, and the operation can be repeated. After any other error of a read or a write it is of no
/// more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The deadline has passed. No byte was taken or delivered.
    TimedOut,
    /// The host name could not be resolved. Holds the number of Zephyr's `DNS_EAI_*` code without
    /// its sign.
    Resolve(u16),
    /// Nobody listens at the peer's port.
    Refused,
    /// No route leads to the peer, or the network is down.
    Unreachable,
    /// The peer has reset the connection.
    Reset,
    /// The connection was given up, because the peer no longer answers.
    Aborted,
    /// The socket is not connected, or not any more.
    NotConnected,
    /// Another socket has this port.
    AddressInUse,
    /// The address is none of this device's.
    AddressNotAvailable,
    /// The port is reserved for the privileged, on a host whose sockets are used.
    PermissionDenied,
    /// The network stack has no memory left for this.
    OutOfMemory,
    /// All sockets are in use.
    OutOfDescriptors,
    /// The socket cannot do this. Zephyr's own stack cannot end the sending side alone.
    Unsupported,
    /// More sockets were to be polled than `CONFIG_ZVFS_POLL_MAX` allows.
    TooManyToPoll,
    /// TLS could not be set up. There is this variant with `CONFIG_NET_SOCKETS_SOCKOPT_TLS`.
    #[cfg(zephyr_tls)]
    Tls(tls::Error),
    /// Anything else. Holds `errno`, whose numbers are those of the C library in the image.
    Other(u16),
}

impl Error {
    /// The value that a function of the shim returned: 0 or more, or the error that it stands for.
    pub(super) fn check(returned: c_int) -> Result<u32, Self> {
        if let Ok(value) = u32::try_from(returned) {
            return Ok(value);
        }
        let code = returned.unsigned_abs();
        // Masked to fit.
        let detail = (code >> 8 & 0xFFFF) as u16;
        // zephyr/shim.c has the same numbers.
        Err(match code & 0xFF {
            2 => Error::TimedOut,
            3 => Error::Resolve(detail),
            4 => Error::Refused,
            5 => Error::Unreachable,
            6 => Error::Reset,
            7 => Error::Aborted,
            8 => Error::NotConnected,
            9 => Error::AddressInUse,
            10 => Error::AddressNotAvailable,
            11 => Error::PermissionDenied,
            12 => Error::OutOfMemory,
            13 => Error::OutOfDescriptors,
            14 => Error::Unsupported,
            // 15 is ffi::WRITABLE.
            16 => Error::TooManyToPoll,
            #[cfg(zephyr_tls)]
            17 => Error::Tls(tls::Error::from_cause(detail)),
            _ => Error::Other(detail),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::TimedOut => "the deadline has passed; repeat, or give the peer more time",
            Error::Resolve(code) => {
                return write!(
                    f,
                    "the host name could not be resolved (DNS_EAI -{code}); check the name, the \
                     DNS server, and that CONFIG_DNS_RESOLVER is enabled"
                );
            }
            Error::Refused => "nobody listens at the peer's port; start the server, check the port",
            Error::Unreachable => {
                "no route to the peer; check that the network is up, the address and the gateway"
            }
            Error::Reset => "the peer has reset the connection; connect again",
            Error::Aborted => "the peer no longer answers; connect again",
            Error::NotConnected => "the connection is closed; connect again",
            Error::AddressInUse => "another socket has this port; choose a different one",
            Error::AddressNotAvailable => {
                "the address is not available; check the configuration of the interface"
            }
            Error::PermissionDenied => "no permission for this port; choose one from 1024 on",
            Error::OutOfMemory => {
                "out of network memory; raise CONFIG_NET_BUF_TX_COUNT, CONFIG_NET_PKT_TX_COUNT, \
                 or CONFIG_HEAP_MEM_POOL_SIZE with offloaded sockets"
            }
            Error::OutOfDescriptors => {
                "out of sockets; raise CONFIG_ZVFS_OPEN_MAX and CONFIG_NET_MAX_CONTEXTS"
            }
            Error::Unsupported => "the socket does not support this operation",
            Error::TooManyToPoll => "too many sockets to poll; raise CONFIG_ZVFS_POLL_MAX",
            #[cfg(zephyr_tls)]
            Error::Tls(error) => return error.fmt(f),
            Error::Other(errno) => return write!(f, "the socket failed with errno {errno}"),
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Resolve(_) => ErrorKind::NotFound,
            Error::Refused => ErrorKind::ConnectionRefused,
            Error::Reset => ErrorKind::ConnectionReset,
            Error::Aborted => ErrorKind::ConnectionAborted,
            Error::NotConnected => ErrorKind::NotConnected,
            Error::AddressInUse => ErrorKind::AddrInUse,
            Error::AddressNotAvailable => ErrorKind::AddrNotAvailable,
            Error::PermissionDenied => ErrorKind::PermissionDenied,
            Error::OutOfMemory => ErrorKind::OutOfMemory,
            Error::Unsupported => ErrorKind::Unsupported,
            #[cfg(zephyr_tls)]
            Error::Tls(error) => error.kind(),
            Error::Unreachable
            | Error::OutOfDescriptors
            | Error::TooManyToPoll
            | Error::Other(_) => ErrorKind::Other,
        }
    }
}
