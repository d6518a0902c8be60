// SPDX-License-Identifier: Apache-2.0
//! WebSocket URIs (RFC 6455 section 3).

use core::fmt;

/// A `ws:` or `wss:` URI, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Whether the scheme is `wss`, which runs on TLS.
    pub is_secure: bool,
    /// Host and port as the URI has them: what the request's `Host` says.
    pub authority: &'a str,
    /// The host's name or address, an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port, 80 or 443 where the URI has none.
    pub port: u16,
    /// Path and query. Empty, or without a path before `?`, where the URI has none.
    pub resource_name: &'a str,
}

/// Why a text is no WebSocket URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// The scheme is neither `ws` nor `wss`.
    Scheme,
    /// The host is empty, has a user name before it or a character that no host has.
    Host,
    /// The port is not 1 to 65535.
    Port,
    /// A fragment (`#`), or a character that has to be percent-encoded.
    ResourceName,
}

impl<'a> Url<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, resource_name) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        if !resource_name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(UrlError::ResourceName);
        }
        let (host, port) = split_authority(authority).ok_or(UrlError::Host)?;
        let port = match port {
            None | Some("") if is_secure => 443,
            None | Some("") => 80,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?
            }
            Some(_) => return Err(UrlError::Port),
        };
        Ok(Self { is_secure, authority, host, port, resource_name })
    }
}

/// Host and port of `host:port`, `[address]:port` or either without a port.
fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    // With a password, what stands behind the first colon is no port.
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, after) = bracketed.split_once(']')?;
            let is_address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
            // With fewer colons it would be resolved as a name, or as an address of IPv4.
            let colons = address.bytes().filter(|byte| *byte == b':').count();
            if colons < 2 || !address.bytes().all(is_address) {
                return None;
            }
            match after.strip_prefix(':') {
                None if !after.is_empty() => return None,
                port => (address, port),
            }
        }
        None => match authority.split_once(':') {
            None => (authority, None),
            Some((host, port)) => (host, Some(port)),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"[]\\<>^`{|}\"".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_host)).then_some((host, port))
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL must begin with ws:// or wss://",
            Self::Host => "the URL's host is missing or not valid",
            Self::Port => "the URL's port must be 1 to 65535",
            Self::ResourceName => "the URL has a fragment, or a character to be percent-encoded",
        })
    }
}

impl core::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::{Url, UrlError};

    #[test]
    fn takes_every_part_apart() {
        let url = Url::parse("ws://example.com/chat?room=1").unwrap();
        assert_eq!((url.host, url.port, url.is_secure), ("example.com", 80, false));
        assert_eq!((url.authority, url.resource_name), ("example.com", "/chat?room=1"));
        let url = Url::parse("WSS://[2001:db8::1]:8443").unwrap();
        assert_eq!((url.host, url.port, url.is_secure), ("2001:db8::1", 8443, true));
        assert_eq!((url.authority, url.resource_name), ("[2001:db8::1]:8443", ""));
        let url = Url::parse("wss://h?q").unwrap();
        assert_eq!((url.host, url.port, url.resource_name), ("h", 443, "?q"));
        assert_eq!(Url::parse("ws://h:/").unwrap().port, 80);
        assert_eq!(Url::parse("wss://[::1]:?q").unwrap().port, 443);
        assert_eq!(Url::parse("ws://h:00081").unwrap().port, 81);
        assert_eq!(Url::parse("wS://[::FFFF:192.0.2.1]/").unwrap().host, "::FFFF:192.0.2.1");
    }

    #[test]
    fn says_which_part_is_wrong() {
        for (text, error) in [
            ("http://h/", UrlError::Scheme),
            ("h:80/", UrlError::Scheme),
            ("ws:h/", UrlError::Scheme),
            ("ws:/h/", UrlError::Scheme),
            ("://h/", UrlError::Scheme),
            (" ws://h/", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("ws://", UrlError::Host),
            ("ws:///path", UrlError::Host),
            ("ws://user@h/", UrlError::Host),
            ("ws://user:password@h/", UrlError::Host),
            ("ws://[::1/", UrlError::Host),
            ("ws://[::1]x/", UrlError::Host),
            ("ws://[]/", UrlError::Host),
            ("ws://[a b]/", UrlError::Host),
            // No names, nor addresses of IPv4; zones are for the device alone (RFC 3986 section 3.2.2).
            ("ws://[abc]/", UrlError::Host),
            ("ws://[192.0.2.1]/", UrlError::Host),
            ("ws://[a:b]/", UrlError::Host),
            ("ws://[fe80::1%25eth0]/", UrlError::Host),
            ("ws://[::1]@h/", UrlError::Host),
            ("ws://h@/", UrlError::Host),
            ("ws://\u{e4}/", UrlError::Host),
            ("ws://h h/", UrlError::Host),
            ("ws://h\r\nX: y/", UrlError::Host),
            ("ws://h:0/", UrlError::Port),
            ("ws://h:65536/", UrlError::Port),
            ("ws://h:+80/", UrlError::Port),
            ("ws://h:80:81/", UrlError::Port),
            ("ws://h:18446744073709551696/", UrlError::Port),
            ("ws://::1/", UrlError::Host),
            ("ws://h/#part", UrlError::ResourceName),
            ("ws://h#part", UrlError::ResourceName),
            ("ws://h?query#part", UrlError::ResourceName),
            ("ws://h/#", UrlError::ResourceName),
            ("ws://h/a b", UrlError::ResourceName),
            ("ws://h/\u{e4}", UrlError::ResourceName),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
    }
}
