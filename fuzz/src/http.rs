// SPDX-License-Identifier: Apache-2.0
//! HTTP heads as httparse reads them, and the rules of RFC 6455 section 4 on top of that.

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

/// Name and value, without white space around it.
pub type Field = (Vec<u8>, Vec<u8>);

/// A complete head.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Method and target; empty for a response.
    pub method: String,
    pub target: Vec<u8>,
    /// Zero for a request.
    pub status: u16,
    pub minor: u8,
    pub fields: Vec<Field>,
    pub len: usize,
}

#[derive(Clone, Debug)]
pub enum Theirs {
    Complete(Parsed),
    Incomplete,
    Refused,
}

fn room(bytes: &[u8]) -> Vec<Header<'static>> {
    // The shortest field has three bytes.
    vec![EMPTY_HEADER; bytes.len() / 3 + 1]
}

fn fields(headers: &[Header<'_>]) -> Vec<Field> {
    // It may leave white space behind the value.
    let field =
        |header: &Header<'_>| (header.name.as_bytes().to_vec(), header.value.trim_ascii().to_vec());
    headers.iter().map(field).collect()
}

pub fn parse_request(bytes: &[u8]) -> Theirs {
    let mut headers = room(bytes);
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(len)) => Theirs::Complete(Parsed {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().as_bytes().to_vec(),
            status: 0,
            minor: request.version.unwrap_or_default(),
            fields: fields(request.headers),
            len,
        }),
        Ok(Status::Partial) => Theirs::Incomplete,
        Err(_) => Theirs::Refused,
    }
}

pub fn parse_response(bytes: &[u8]) -> Theirs {
    let mut headers = room(bytes);
    let mut response = httparse::Response::new(&mut headers);
    match ParserConfig::default().parse_response(&mut response, bytes) {
        Ok(Status::Complete(len)) => Theirs::Complete(Parsed {
            method: String::new(),
            target: Vec::new(),
            status: response.code.unwrap_or_default(),
            minor: response.version.unwrap_or_default(),
            fields: fields(response.headers),
            len,
        }),
        Ok(Status::Partial) => Theirs::Incomplete,
        Err(_) => Theirs::Refused,
    }
}

impl Parsed {
    /// The values of all fields called `name`, in their order.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let is_called = move |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(is_called).map(|(_, value)| &value[..])
    }

    /// What stands in all fields called `name` between white space and commas: a field that is no
    /// list may have one such word.
    pub fn words<'s>(&'s self, name: &'s str) -> Vec<&'s [u8]> {
        let words = self.values(name).flat_map(|value| value.split(|byte| b" \t,".contains(byte)));
        words.filter(|word| !word.is_empty()).collect()
    }

    /// Whether the lists called `name` have this member, in any case, and behind it none that is
    /// two words and so no member of a list (RFC 9110 section 5.6.1): after such a one we look for
    /// the member anew.
    pub fn list_has(&self, name: &str, wanted: &str) -> bool {
        let mut has = false;
        for value in self.values(name) {
            for member in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if member.iter().any(|byte| b" \t".contains(byte)) {
                    has = false;
                } else {
                    has |= member.eq_ignore_ascii_case(wanted.as_bytes());
                }
            }
        }
        has
    }
}

/// Line ends of LF alone, which RFC 9112 section 2.2 lets a recipient accept or not, and empty
/// lines before the first, likewise.
pub fn is_lenient(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\r\n")
        || bytes.first() == Some(&b'\n')
        || bytes.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r')
}
