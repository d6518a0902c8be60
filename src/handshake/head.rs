// SPDX-License-Identifier: Apache-2.0
//! The syntax of an HTTP/1.x head (RFC 9112 sections 2 to 5).

/// What may stand in a field's value (RFC 9110 section 5.5).
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}

/// A complete head that a handshake has read.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    start_line: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Head<'a> {
    /// The head in `bytes`, which must be what [`server::Handshake`] or [`client::Handshake`] has
    /// found to be complete, and no more.
    ///
    /// [`server::Handshake`]: crate::handshake::server::Handshake
    /// [`client::Handshake`]: crate::handshake::client::Handshake
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

    /// The members of all comma-separated lists called `name` (RFC 9110 section 5.6.1).
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
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
