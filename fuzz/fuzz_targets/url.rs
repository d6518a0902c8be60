// SPDX-License-Identifier: Apache-2.0
//! The parts of a URL make it up again, and are those that the crate `url` finds, as far as that
//! keeps them as they are: it follows the WHATWG's URL standard, which repairs and normalises.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use url::Host;
use zephyr_websocket::handshake::client::Request;
use zephyr_websocket::{Url, UrlError};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let theirs = url::Url::parse(&text);
    match Url::parse(&text) {
        Ok(ours) => {
            check_parts(&text, &ours);
            check_accepted(&text, &ours, theirs.ok());
        }
        Err(error) => check_refused(&text, error, theirs.ok()),
    }
});

fn check_parts(text: &str, url: &Url<'_>) {
    let scheme = if url.is_secure { "wss" } else { "ws" };
    let (head, rest) = text.split_once("://").unwrap();
    assert!(head.eq_ignore_ascii_case(scheme));
    assert_eq!(format!("{}{}", url.authority, url.resource_name), rest);
    let default = if url.is_secure { 443 } else { 80 };
    let host = match url.authority.strip_prefix('[') {
        Some(_) => format!("[{}]", url.host),
        None => url.host.to_owned(),
    };
    let port = url.authority.strip_prefix(&host).expect("the host is not in front");
    match port.strip_prefix(':') {
        None => assert!(port.is_empty() && url.port == default),
        Some("") => assert_eq!(url.port, default),
        Some(digits) => {
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(digits.trim_start_matches('0'), url.port.to_string());
        }
    }
    // A request can be made of it.
    let request = Request::new(url.authority, url.resource_name);
    let mut buffer = vec![0; text.len() + 400];
    assert!(request.encode(&Request::key(&[0; 16]), &mut buffer).is_ok());
}

/// Whether the WHATWG takes the end of `host` for a number, and so all of it for an IPv4 address.
fn ends_in_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) || hex.is_some_and(is_hex)
}

fn check_accepted(text: &str, ours: &Url<'_>, theirs: Option<url::Url>) {
    let is_address = ours.authority.starts_with('[');
    let Some(theirs) = theirs else {
        // Names are left to the resolver: numbers that are no IPv4 address, what is to be
        // percent-decoded, and Punycode. An address in brackets is left to it too.
        let is_left_to_resolver = is_address && ours.host.parse::<Ipv6Addr>().is_err()
            || ends_in_number(ours.host) && ours.host.parse::<Ipv4Addr>().is_err()
            || ours.host.contains('%')
            || ours.host.to_ascii_lowercase().contains("xn--");
        assert!(is_left_to_resolver, "only we accept {text:?}");
        return;
    };
    assert_eq!(theirs.scheme(), if ours.is_secure { "wss" } else { "ws" });
    assert_eq!(theirs.port_or_known_default(), Some(ours.port), "{text:?}");
    match theirs.host() {
        Some(Host::Domain(name)) if !ours.host.contains('%') => {
            assert!(name.eq_ignore_ascii_case(ours.host), "{text:?}");
        }
        Some(Host::Domain(_)) => {}
        Some(Host::Ipv4(address)) => {
            if let Ok(ours) = ours.host.parse::<Ipv4Addr>() {
                assert_eq!(ours, address, "{text:?}");
            } else {
                assert!(ends_in_number(ours.host) || ours.host.contains('%'), "{text:?}");
            }
        }
        Some(Host::Ipv6(address)) => assert_eq!(ours.host.parse(), Ok(address), "{text:?}"),
        None => panic!("no host in {text:?}"),
    }
    // Dots are resolved, a backslash becomes a slash, and some characters are percent-encoded.
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || b"/?=&-_~!$,;:@".contains(&byte);
    if ours.resource_name.bytes().all(is_kept) {
        let query = theirs.query().map(|query| format!("?{query}")).unwrap_or_default();
        let slash = if ours.resource_name.starts_with('/') { "" } else { "/" };
        assert_eq!(
            format!("{}{query}", theirs.path()),
            format!("{slash}{}", ours.resource_name),
            "{text:?}"
        );
    }
}

fn check_refused(text: &str, error: UrlError, theirs: Option<url::Url>) {
    let Some(theirs) = theirs else { return };
    if !matches!(theirs.scheme(), "ws" | "wss") {
        return assert_eq!(error, UrlError::Scheme, "{text:?}");
    }
    // It repairs: white space and control characters are left out, backslashes and missing slashes
    // become slashes, and what a URL cannot have is percent-encoded.
    let is_repaired = !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        || !text.split_once(':').is_some_and(|(_, rest)| {
            rest.strip_prefix("//").is_some_and(|rest| !rest.starts_with('/'))
        });
    if is_repaired {
        return;
    }
    match error {
        UrlError::Scheme => panic!("only url accepts {text:?}"),
        UrlError::Host => {
            let authority = text.splitn(3, '/').nth(2).unwrap_or_default();
            let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
            // A user's name; and characters that no registered name has (RFC 3986 section 3.2.2).
            let is_stricter = authority.bytes().any(|byte| b"@`{}\"".contains(&byte));
            assert!(is_stricter, "only url accepts {text:?}");
        }
        UrlError::Port => assert_eq!(theirs.port(), Some(0), "{text:?}"),
        UrlError::ResourceName => assert!(theirs.fragment().is_some(), "{text:?}"),
    }
}
