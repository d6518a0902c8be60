// SPDX-License-Identifier: Apache-2.0
//! The syntax of an HTTP/1.x head (RFC 9112 sections 2 to 5).

/// The bytes are not HTTP/1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Finds the end of a head in bytes that arrive in pieces, looking at each byte once.
///
/// It refuses a bare CR or LF, control characters, names that are not tokens, white space before
/// a colon, and folded lines (`obs-fold`, RFC 9112 section 5.2). Bytes over 7F may stand in a
/// field's value only.
#[derive(Clone, Copy, Debug)]
pub struct HeadScanner {
    state: ScanState,
    scanned: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanState {
    StartLine,
    LineStart,
    Name,
    Value,
    LineEnd,
    StartLineEnd,
    HeadEnd,
    Done,
}

impl Default for HeadScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadScanner {
    /// Nothing has arrived.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: ScanState::StartLine, scanned: 0 }
    }

    /// Goes on with `received`: all bytes since the start of the head, those that were scanned
    /// before among them. Returns the length of the head once it is complete, its empty line
    /// included, and `None` while it is not.
    ///
    /// # Errors
    /// [`Malformed`] at the first byte that cannot stand where it is.
    pub fn scan(&mut self, received: &[u8]) -> Result<Option<usize>, Malformed> {
        for &byte in received.get(self.scanned..).unwrap_or_default() {
            if self.state == ScanState::Done {
                break;
            }
            self.state = next(self.state, byte).ok_or(Malformed)?;
            self.scanned = self.scanned.wrapping_add(1);
        }
        Ok((self.state == ScanState::Done).then_some(self.scanned))
    }
}

fn next(state: ScanState, byte: u8) -> Option<ScanState> {
    use ScanState as S;
    Some(match (state, byte) {
        (S::StartLine, b'\r') => S::StartLineEnd,
        (S::StartLine, byte) if is_value_byte(byte) => S::StartLine,
        (S::StartLineEnd | S::LineEnd, b'\n') => S::LineStart,
        (S::LineStart, b'\r') => S::HeadEnd,
        (S::HeadEnd, b'\n') => S::Done,
        (S::Name, b':') => S::Value,
        (S::LineStart | S::Name, byte) if is_token_byte(byte) => S::Name,
        (S::Value, b'\r') => S::LineEnd,
        (S::Value, byte) if is_value_byte(byte) => S::Value,
        _ => return None,
    })
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// What may stand in a field's value (RFC 9110 section 5.5).
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}

/// A complete head that a [`HeadScanner`] accepted.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    start_line: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Head<'a> {
    pub(crate) const EMPTY: Self = Self { start_line: &[], lines: &[] };

    /// The head in `bytes`, which must be what a [`HeadScanner`] accepted and no more.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let (start_line, lines) = split_line(bytes);
        Self { start_line, lines }
    }

    /// The request line or status line.
    pub(crate) const fn start_line(&self) -> &'a [u8] {
        self.start_line
    }

    /// The fields in their order, each with its name as it was sent and its value without white
    /// space around it.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        Fields { lines: self.lines }
    }

    /// The value of the first field called `name`, whatever the case of either.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of the only field called `name`; `None` if there are none or several.
    pub(crate) fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The members of all comma-separated lists called `name` (RFC 9110 section 5.6.1).
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    /// Whether a list called `name` has `token`, whatever the case of either.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

/// The fields of a [`Head`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    lines: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (line, rest) = split_line(self.lines);
        let colon = line.iter().position(|&byte| byte == b':')?;
        self.lines = rest;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, value.get(1..)?.trim_ascii()))
    }
}

/// The first line without its CR LF, and what follows it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\r').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at_checked(end).unwrap_or_default();
    (line, rest.get(2..).unwrap_or_default())
}
