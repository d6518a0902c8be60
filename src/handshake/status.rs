// SPDX-License-Identifier: Apache-2.0
//! HTTP statuses (RFC 9110 section 15).

/// A status of an HTTP response, 100 to 599, and its reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: &'static str,
}

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!(stringify!($code), " ", $reason)]
                pub const $name: Self = Self { code: $code, reason: $reason };
            )*
        }
    };
}

statuses! {
    OK = 200 "OK";
    MOVED_PERMANENTLY = 301 "Moved Permanently";
    FOUND = 302 "Found";
    BAD_REQUEST = 400 "Bad Request";
    UNAUTHORIZED = 401 "Unauthorized";
    FORBIDDEN = 403 "Forbidden";
    NOT_FOUND = 404 "Not Found";
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed";
    REQUEST_TIMEOUT = 408 "Request Timeout";
    UPGRADE_REQUIRED = 426 "Upgrade Required";
    TOO_MANY_REQUESTS = 429 "Too Many Requests";
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error";
    SERVICE_UNAVAILABLE = 503 "Service Unavailable";
    HTTP_VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported";
}

impl Status {
    /// A status that has no constant here. `code` outside 100 to 599 becomes 500.
    #[must_use]
    pub const fn new(code: u16, reason: &'static str) -> Self {
        match code {
            100..600 => Self { code, reason },
            _ => Self::INTERNAL_SERVER_ERROR,
        }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.code
    }

    /// The reason phrase.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.reason
    }
}
