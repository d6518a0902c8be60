// SPDX-License-Identifier: Apache-2.0
//! TLS, by Zephyr's TLS sockets. With `CONFIG_NET_SOCKETS_SOCKOPT_TLS` only.
//!
//! Credentials are registered once, under a `sec_tag` of the application's choice, and named by it
//! afterwards. Over TLS a [`TcpStream`] is used as any other. Client and server offer `http/1.1`
//! (ALPN, RFC 7301) where `CONFIG_MBEDTLS_SSL_ALPN` is enabled, as it is by default; a peer that
//! offers only something else is refused.
//!
//! Zephyr's TLS sockets wait for the whole TLS handshake in one call that nothing can interrupt,
//! for `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT` at the most. See [`TcpStream::connect_tls`] and
//! [`TcpListener::bind_tls`] for what that means.

use core::ffi::{CStr, c_int};
use core::fmt;
use core::ptr;
use core::time::Duration;

use embedded_io::ErrorKind;

use super::config::LISTEN_BACKLOG;
use super::error::Error as SocketError;
use super::ffi;
use super::tcp::{TcpListener, TcpStream, uptime_after};

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// The numbers of enum tls_credential_type.
#[repr(u8)]
pub enum Credential {
    /// A certificate of a CA that is trusted to vouch for peers.
    CaCertificate = 1,
    /// One's own certificate, to which the private key of the same `sec_tag` belongs.
    PublicCertificate = 2,
    /// The private key of the certificate of the same `sec_tag`.
    PrivateKey = 3,
}

/// Registers a credential under `sec_tag`, in DER, or in PEM with a zero byte at its end and with
/// `CONFIG_MBEDTLS_PEM_CERTIFICATE_FORMAT`. Zephyr parses it when a connection needs it.
///
/// # Errors
/// [`Error::SecTagInUse`]; [`Error::TooManyCredentials`] beyond
/// `CONFIG_TLS_MAX_CREDENTIALS_NUMBER`.
pub fn add_credential(
    sec_tag: c_int,
    kind: Credential,
    bytes: &'static [u8],
) -> Result<(), SocketError> {
    // SAFETY: the pointer and the length are those of one slice, which lives for ever.
    let returned = unsafe {
        ffi::rust_websocket_tls_credential_add(
            sec_tag,
            kind as c_int,
            bytes.as_ptr().cast(),
            bytes.len(),
        )
    };
    SocketError::check(returned).map(drop)
}

/// Whether the peer must have a certificate, and one that holds (mbedTLS' `authmode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// The numbers of TLS_PEER_VERIFY.
#[repr(u8)]
pub enum Verify {
    /// It is not looked at. Whoever is on the way can read and change everything.
    None = 0,
    /// It is checked, but the connection made whatever the result.
    Optional = 1,
    /// There is no connection without it.
    Required = 2,
}

/// How to connect with TLS.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The CAs that may vouch for the server, and for mutual TLS one's own certificate and key; at
    /// most `CONFIG_NET_SOCKETS_TLS_MAX_CREDENTIALS`.
    pub sec_tags: &'a [c_int],
    /// The name that the server's certificate must be for, or its address where the certificate
    /// has addresses. The server is told it (SNI, RFC 6066 section 3).
    pub hostname: &'a CStr,
    /// How the server's certificate is checked.
    pub verify: Verify,
}

/// How to accept connections with TLS.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// One's own certificate and key, and for mutual TLS the CAs that may vouch for clients; at most
    /// `CONFIG_NET_SOCKETS_TLS_MAX_CREDENTIALS`.
    pub sec_tags: &'a [c_int],
    /// How clients' certificates are checked: [`Verify::Required`] is mutual TLS, and with
    /// [`Verify::None`] clients need no certificate.
    pub verify: Verify,
}

impl TcpStream {
    /// Connects to `host`, a name or an address of IPv4 or IPv6, and does the TLS handshake. As
    /// [`connect`](Self::connect) otherwise.
    ///
    /// `timeout` covers both. As nothing can interrupt Zephyr in either, an attempt is begun only
    /// if it will be over in time: `timeout` must be at least twice
    /// `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT`, with which the PC's sockets on `native_sim` do not
    /// bound connecting. A peer that connects, and then is silent, is given up after
    /// `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT`.
    ///
    /// The calling thread's stack has to hold mbedTLS' handshake: about 4 KB more than without TLS.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and [`SocketError::Tls`].
    pub fn connect_tls(
        host: &CStr,
        port: u16,
        client: &Client<'_>,
        timeout: Duration,
    ) -> Result<Self, SocketError> {
        let options = ffi::TlsOptions {
            sec_tags: client.sec_tags.as_ptr(),
            sec_tags_count: client.sec_tags.len(),
            hostname: client.hostname.as_ptr(),
            verify: client.verify as c_int,
        };
        let deadline = uptime_after(Some(timeout));
        // SAFETY: a CStr ends with a zero byte, the options are of borrowed values, and the shim
        // keeps no pointer to any.
        let fd =
            unsafe { ffi::rust_websocket_tls_connect(host.as_ptr(), port, &options, deadline) };
        Self::from_returned(fd)
    }
}

impl TcpListener {
    /// Listens with TLS. As [`bind`](Self::bind) otherwise; each of the one or two sockets takes one
    /// of `CONFIG_NET_SOCKETS_TLS_MAX_CONTEXTS`, and so does each connection.
    ///
    /// [`accept`](Self::accept) includes the TLS handshake. Whatever its timeout, a client that
    /// connects and is silent holds it up for `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT`, and the
    /// clients behind it. A server that must not wait meanwhile accepts in a thread of its own, and
    /// hands the streams over.
    ///
    /// After [`SocketError::Tls`] from `accept` that client is gone, and the listener remains of
    /// use. An unknown `sec_tag`, or a credential that is not valid, is found only when the first
    /// client comes.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and [`SocketError::Tls`].
    pub fn bind_tls(mut port: u16, server: &Server<'_>) -> Result<Self, SocketError> {
        let options = ffi::TlsOptions {
            sec_tags: server.sec_tags.as_ptr(),
            sec_tags_count: server.sec_tags.len(),
            hostname: ptr::null(),
            verify: server.verify as c_int,
        };
        let mut fds = [-1; 2];
        // SAFETY: the pointers are those of local and borrowed values, and the shim does not keep
        // them. The backlog is bounded by Kconfig to a small number.
        let returned = unsafe {
            ffi::rust_websocket_tls_listen(
                fds.as_mut_ptr(),
                &options,
                &mut port,
                LISTEN_BACKLOG as c_int,
            )
        };
        SocketError::check(returned)?;
        Ok(Self::from_tls_fds(fds, port))
    }
}

/// Why there is no TLS connection, as far as Zephyr's TLS sockets can tell.
///
/// They forget why a handshake failed. What mbedTLS found about the peer's certificates is noted
/// with `CONFIG_NET_SOCKETS_TLS_CERT_VERIFY_CALLBACK`, which is enabled by default; without it, all
/// of that is [`Handshake`](Error::Handshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The handshake failed: the peer does not speak TLS, has ended the connection, has refused
    /// this side's certificate or the lack of one, or shows none where one is required; both have
    /// no version, cipher suite or ALPN protocol in common; or mbedTLS ran out of memory in the
    /// handshake. Zephyr cannot tell these apart but in its log (`CONFIG_NET_LOG`), by mbedTLS'
    /// number.
    Handshake,
    /// The peer was silent for `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT`.
    HandshakeTimedOut,
    /// No CA that is trusted here vouches for the peer's certificate.
    UnknownCa,
    /// A certificate of the peer has expired. Found with `CONFIG_MBEDTLS_HAVE_TIME_DATE` only.
    CertificateExpired,
    /// A certificate of the peer is not valid yet, or the clock is not set. Found with
    /// `CONFIG_MBEDTLS_HAVE_TIME_DATE` only.
    CertificateNotYetValid,
    /// The server's certificate is for another name.
    WrongHostname,
    /// The peer's certificate was refused for another reason, such as a weak key.
    CertificateRefused,
    /// mbedTLS has no memory left, or all TLS contexts are in use.
    OutOfMemory,
    /// No credential is registered under a `sec_tag`.
    UnknownSecTag,
    /// A credential of a `sec_tag` is not valid, or in a format that is not enabled.
    InvalidCredential,
    /// The `sec_tag` has a credential of this kind.
    SecTagInUse,
    /// More credentials than `CONFIG_TLS_MAX_CREDENTIALS_NUMBER`.
    TooManyCredentials,
    /// The time to connect is less than twice `CONFIG_NET_SOCKETS_CONNECT_TIMEOUT`, in which Zephyr
    /// cannot be interrupted. Nothing was begun.
    TimeoutTooShort,
    /// Zephyr did not take an option: there are more `sec_tags` than
    /// `CONFIG_NET_SOCKETS_TLS_MAX_CREDENTIALS`, or the host's name is too long.
    Options,
}

impl Error {
    /// What a number of `enum tls_cause` in `zephyr/shim.c` stands for.
    pub(super) const fn from_cause(cause: u16) -> Self {
        match cause {
            2 => Self::HandshakeTimedOut,
            3 => Self::UnknownCa,
            4 => Self::CertificateExpired,
            5 => Self::CertificateNotYetValid,
            6 => Self::WrongHostname,
            7 => Self::CertificateRefused,
            8 => Self::OutOfMemory,
            9 => Self::UnknownSecTag,
            10 => Self::InvalidCredential,
            11 => Self::SecTagInUse,
            12 => Self::TooManyCredentials,
            13 => Self::TimeoutTooShort,
            14 => Self::Options,
            _ => Self::Handshake,
        }
    }

    pub(super) const fn kind(self) -> ErrorKind {
        match self {
            Self::HandshakeTimedOut => ErrorKind::ConnectionAborted,
            Self::OutOfMemory | Self::TooManyCredentials => ErrorKind::OutOfMemory,
            Self::UnknownSecTag => ErrorKind::NotFound,
            Self::SecTagInUse => ErrorKind::AlreadyExists,
            Self::InvalidCredential | Self::TimeoutTooShort | Self::Options => {
                ErrorKind::InvalidInput
            }
            Self::Handshake
            | Self::UnknownCa
            | Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::WrongHostname
            | Self::CertificateRefused => ErrorKind::PermissionDenied,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => {
                "the TLS handshake failed; check that the peer speaks TLS on this port, that both \
                 have a version and a cipher suite in common, and the certificate that the peer \
                 asks for; CONFIG_NET_LOG tells mbedTLS' error"
            }
            Self::HandshakeTimedOut => {
                "the peer does not answer the TLS handshake; check that it speaks TLS on this port, \
                 or raise CONFIG_NET_SOCKETS_CONNECT_TIMEOUT"
            }
            Self::UnknownCa => {
                "the peer's certificate is from an unknown CA; register that CA's certificate"
            }
            Self::CertificateExpired => {
                "the peer's certificate has expired; renew it, and check this device's clock"
            }
            Self::CertificateNotYetValid => {
                "the peer's certificate is not valid yet; set this device's clock"
            }
            Self::WrongHostname => {
                "the server's certificate is for another host name; check the name"
            }
            Self::CertificateRefused => {
                "the peer's certificate was refused; check its key, signature and usage"
            }
            Self::OutOfMemory => {
                "out of memory for TLS; raise CONFIG_MBEDTLS_HEAP_SIZE or \
                 CONFIG_NET_SOCKETS_TLS_MAX_CONTEXTS"
            }
            Self::UnknownSecTag => "no credential has this sec_tag; register it first",
            Self::InvalidCredential => {
                "a credential is not valid; check that it is DER, or PEM with a zero byte at its \
                 end and CONFIG_MBEDTLS_PEM_CERTIFICATE_FORMAT"
            }
            Self::SecTagInUse => "the sec_tag has such a credential; choose a different one",
            Self::TooManyCredentials => {
                "too many credentials; raise CONFIG_TLS_MAX_CREDENTIALS_NUMBER"
            }
            Self::TimeoutTooShort => {
                "the timeout is too short for TLS; make it at least twice \
                 CONFIG_NET_SOCKETS_CONNECT_TIMEOUT"
            }
            Self::Options => {
                "Zephyr refuses an option; raise CONFIG_NET_SOCKETS_TLS_MAX_CREDENTIALS, or check \
                 the host's name"
            }
        })
    }
}

impl core::error::Error for Error {}
