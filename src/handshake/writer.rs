// SPDX-License-Identifier: Apache-2.0
//! Writes an HTTP head into the application's buffer.

use crate::buffer::copy;
use crate::error::UsageError;
use crate::handshake::head::is_value_byte;
use crate::handshake::words;

pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    /// `None` once something did not fit.
    len: Option<usize>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: Some(0) }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.len = self.try_put(bytes);
        self
    }

    fn try_put(&mut self, bytes: &[u8]) -> Option<usize> {
        let len = self.len?;
        let end = len.checked_add(bytes.len())?;
        copy(self.buffer.get_mut(len..end)?, bytes);
        Some(end)
    }

    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        let mut digits = [0; 20];
        let mut first = digits.len();
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add((rest % 10) as u8);
            first = first.wrapping_sub(1);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(digits.get(first..).unwrap_or_default())
    }

    pub(crate) fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.put(name.as_bytes()).put(b": ").put(value).put(b"\r\n")
    }

    /// Fields that the application supplies, which must not be able to end a line.
    pub(crate) fn fields(&mut self, fields: &[(&str, &str)]) -> Result<&mut Self, UsageError> {
        for (name, value) in fields {
            if !is_token(name) || !is_value(value) {
                return Err(UsageError::InvalidHeader);
            }
            self.field(name, value.as_bytes());
        }
        Ok(self)
    }

    /// Ends the head, and returns its length.
    pub(crate) fn finish(&mut self) -> Result<usize, UsageError> {
        self.put(b"\r\n");
        self.len.ok_or(UsageError::BufferTooSmall)
    }
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && words::consists_of(text.as_bytes(), &words::TOKEN)
}

pub(crate) fn is_value(text: &str) -> bool {
    text.bytes().all(is_value_byte)
}
