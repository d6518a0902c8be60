// SPDX-License-Identifier: Apache-2.0
//! The server's side of the Remote Framebuffer protocol (RFC 6143), for one viewer: what it sends
//! comes in pieces of any size, and what it gets is written piece by piece as there is room.

use core::fmt;

use crate::framebuffer::{Colour, Framebuffer, SCREEN};
use crate::pixels::PixelFormat;
use crate::region::{Rect, Region};
use crate::update::{Encoding, Out, Update};

/// The newest version that this server speaks, which it offers.
pub const VERSION: &[u8; 12] = b"RFB 003.008\n";

/// What the viewer's window is called.
pub const NAME: &str = "zephyr-websocket display";

/// The longest text of a clipboard that is read over, in bytes.
pub const MAX_CUT_TEXT: u32 = 65_536;

/// The shortest buffer to write into: a tile in which each pixel has 4 bytes, with the headers
/// before it, or a palette.
pub const MIN_PIECE: usize = 4 + 12 + 1 + 16 * 16 * 4;

/// The only security type here is None.
const SECURITY_NONE: u8 = 1;

/// What a viewer did wrong; nothing that follows can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It sends text, where all is binary.
    Text,
    /// Its first bytes are no version of this protocol.
    Version,
    /// It chose a security type that was not offered.
    SecurityType(u8),
    /// A message that is not for a server that offers no extension.
    MessageType(u8),
    /// A pixel format that does not exist.
    PixelFormat,
    /// The text of a clipboard is too long, or an extension that was not offered.
    CutText(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("RFB: a text message"),
            Self::Version => f.write_str("RFB: not a version"),
            Self::SecurityType(number) => write!(f, "RFB: no security type {number}"),
            Self::MessageType(number) => write!(f, "RFB: unknown message type {number}"),
            Self::PixelFormat => f.write_str("RFB: not a pixel format"),
            Self::CutText(len) => write!(f, "RFB: a cut text of {len} bytes"),
        }
    }
}

/// What somebody does at the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The pointer is there, and these buttons of it are down, the left one in the lowest bit
    /// (RFC 6143 section 7.5.5).
    Pointer { x: u16, y: u16, buttons: u8 },
    /// A key goes down or up, as X11 numbers keys (RFC 6143 section 7.5.4).
    Key { keysym: u32, is_down: bool },
}

/// What comes next from the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Version,
    SecurityType,
    ClientInit,
    Message,
    /// So many more encodings of a SetEncodings message.
    Encodings(u16),
    /// So many more bytes of a text that nobody here reads.
    CutText(u32),
}

/// The versions that exist; any other number counts as the oldest (RFC 6143 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V3_3,
    V3_7,
    V3_8,
}

// What is to be sent before any update, in this order.
const DUE_VERSION: u8 = 1 << 0;
const DUE_SECURITY: u8 = 1 << 1;
const DUE_SECURITY_RESULT: u8 = 1 << 2;
const DUE_SERVER_INIT: u8 = 1 << 3;
const DUE_PALETTE: u8 = 1 << 4;

/// One viewer.
#[derive(Debug)]
pub struct Session {
    expected: Expected,
    /// The beginning of what is expected, until all of it is here.
    buffer: [u8; 20],
    filled: usize,
    version: Version,
    due: u8,
    format: PixelFormat,
    encoding: Encoding,
    /// What the viewer has not been sent.
    changes: Region,
    /// Where it wants to be told of changes, once.
    wanted: Option<Rect>,
    update: Option<Update>,
}

impl Session {
    /// A viewer has connected. The version is the first that it is sent.
    pub fn new() -> Self {
        let mut changes = Region::new();
        changes.add(SCREEN);
        Self {
            expected: Expected::Version,
            buffer: [0; 20],
            filled: 0,
            version: Version::V3_8,
            due: DUE_VERSION,
            format: PixelFormat::DEFAULT,
            encoding: Encoding::Raw,
            changes,
            wanted: None,
            update: None,
        }
    }

    /// Takes what came from the viewer off the front of `received`, up to the next input of
    /// somebody's; `None` if there is none, and nothing is left.
    ///
    /// # Errors
    /// The connection is to be closed, after the [`refusal`](Self::refusal).
    pub fn receive(&mut self, received: &mut &[u8]) -> Result<Option<Input>, Error> {
        while !received.is_empty() {
            if let Expected::CutText(left) = self.expected {
                let count = received.len().min(left as usize);
                *received = received.get(count..).unwrap_or_default();
                self.expected = match left.saturating_sub(count as u32) {
                    0 => Expected::Message,
                    left => Expected::CutText(left),
                };
                continue;
            }
            // The first byte tells how long a message is.
            let len = self.expected_len()?;
            let place = self.buffer.get_mut(self.filled..len).unwrap_or_default();
            let count = place.len().min(received.len());
            if let (Some(place), Some((taken, rest))) =
                (place.get_mut(..count), received.split_at_checked(count))
            {
                place.copy_from_slice(taken);
                *received = rest;
            }
            self.filled += count;
            if self.filled == self.expected_len()? {
                self.filled = 0;
                if let Some(input) = self.take_message()? {
                    return Ok(Some(input));
                }
            }
        }
        Ok(None)
    }

    fn expected_len(&self) -> Result<usize, Error> {
        Ok(match self.expected {
            Expected::Version => VERSION.len(),
            Expected::SecurityType | Expected::ClientInit => 1,
            Expected::Message if self.filled == 0 => 1,
            Expected::Message => match self.buffer {
                [SET_PIXEL_FORMAT, ..] => 20,
                [SET_ENCODINGS, ..] => 4,
                [FRAMEBUFFER_UPDATE_REQUEST, ..] => 10,
                [KEY_EVENT, ..] => 8,
                [POINTER_EVENT, ..] => 6,
                [CLIENT_CUT_TEXT, ..] => 8,
                [number, ..] => return Err(Error::MessageType(number)),
            },
            Expected::Encodings(_) => 4,
            Expected::CutText(_) => 0,
        })
    }

    /// What is expected is complete in the buffer.
    fn take_message(&mut self) -> Result<Option<Input>, Error> {
        match self.expected {
            Expected::Version => {
                self.version = version(&self.buffer)?;
                self.due |= DUE_SECURITY;
                self.expected = match self.version {
                    // The server has chosen.
                    Version::V3_3 => Expected::ClientInit,
                    Version::V3_7 | Version::V3_8 => Expected::SecurityType,
                };
            }
            Expected::SecurityType => {
                let [number, ..] = self.buffer;
                if number != SECURITY_NONE {
                    return Err(Error::SecurityType(number));
                }
                if self.version == Version::V3_8 {
                    self.due |= DUE_SECURITY_RESULT;
                }
                self.expected = Expected::ClientInit;
            }
            // Whether it wants to be alone: viewers never are here.
            Expected::ClientInit => {
                self.due |= DUE_SERVER_INIT;
                self.expected = Expected::Message;
            }
            Expected::Message => return self.take_client_message(),
            Expected::Encodings(left) => {
                let [a, b, c, d, ..] = self.buffer;
                if i32::from_be_bytes([a, b, c, d]) == Encoding::Hextile.number() {
                    self.encoding = Encoding::Hextile;
                }
                self.expect_encodings(left.saturating_sub(1));
            }
            Expected::CutText(_) => {}
        }
        Ok(None)
    }

    /// RFC 6143 section 7.5.
    fn take_client_message(&mut self) -> Result<Option<Input>, Error> {
        match self.buffer {
            [SET_PIXEL_FORMAT, _, _, _, format @ ..] => {
                self.format = PixelFormat::parse(format).ok_or(Error::PixelFormat)?;
                if !self.format.is_true_colour() {
                    self.due |= DUE_PALETTE;
                }
            }
            [SET_ENCODINGS, _, high, low, ..] => {
                self.encoding = Encoding::Raw;
                self.expect_encodings(u16::from_be_bytes([high, low]));
            }
            [FRAMEBUFFER_UPDATE_REQUEST, incremental, x1, x0, y1, y0, w1, w0, h1, h0, ..] => {
                let [x, y, width, height] =
                    [[x1, x0], [y1, y0], [w1, w0], [h1, h0]].map(u16::from_be_bytes);
                if let Some(area) = Rect::new(x, y, width, height).intersection(SCREEN) {
                    self.wanted = Some(self.wanted.map_or(area, |wanted| wanted.cover(area)));
                    if incremental == 0 {
                        self.changes.add(area);
                    }
                }
            }
            [KEY_EVENT, is_down, _, _, k3, k2, k1, k0, ..] => {
                let keysym = u32::from_be_bytes([k3, k2, k1, k0]);
                return Ok(Some(Input::Key { keysym, is_down: is_down != 0 }));
            }
            [POINTER_EVENT, buttons, x1, x0, y1, y0, ..] => {
                let [x, y] = [[x1, x0], [y1, y0]].map(u16::from_be_bytes);
                return Ok(Some(Input::Pointer { x, y, buttons }));
            }
            [CLIENT_CUT_TEXT, _, _, _, l3, l2, l1, l0, ..] => {
                let len = u32::from_be_bytes([l3, l2, l1, l0]);
                if len > MAX_CUT_TEXT {
                    return Err(Error::CutText(len));
                }
                if len > 0 {
                    self.expected = Expected::CutText(len);
                }
            }
            [number, ..] => return Err(Error::MessageType(number)),
        }
        Ok(None)
    }

    fn expect_encodings(&mut self, left: u16) {
        self.expected = match left {
            0 => Expected::Message,
            left => Expected::Encodings(left),
        };
    }

    /// The last words to a viewer that did something wrong, where the protocol has any (RFC 6143
    /// section 7.1.3).
    pub fn refusal(&self, error: Error, out: &mut Out<'_>) {
        if let Error::SecurityType(_) = error
            && self.version == Version::V3_8
        {
            const REASON: &str = "The only security type is None";
            out.put(&1u32.to_be_bytes());
            put_text(REASON, out);
        }
    }

    /// Pixels have changed there.
    pub fn add_change(&mut self, rect: Rect) {
        self.changes.add(rect);
    }

    /// Whether there is something to [`write`](Self::write).
    pub fn has_output(&self) -> bool {
        self.due != 0 || self.update.is_some() || self.owes_update().is_some()
    }

    fn owes_update(&self) -> Option<Rect> {
        self.wanted.filter(|wanted| self.changes.intersects(*wanted))
    }

    /// Writes what is to be sent next, as much as `out` has room for: at least [`MIN_PIECE`] bytes.
    pub fn write(&mut self, framebuffer: &Framebuffer, out: &mut Out<'_>) {
        if let Some(update) = &mut self.update {
            if !update.write(framebuffer, out) {
                return;
            }
            self.update = None;
        }
        while self.due != 0 {
            let first = self.due & self.due.wrapping_neg();
            if !self.write_due(first, out) {
                return;
            }
            self.due &= !first;
        }
        if let Some(wanted) = self.owes_update() {
            self.wanted = None;
            let changes = self.changes.take(wanted);
            let update = self.update.insert(Update::new(changes, self.format, self.encoding));
            if update.write(framebuffer, out) {
                self.update = None;
            }
        }
    }

    fn write_due(&self, due: u8, out: &mut Out<'_>) -> bool {
        // The longest is the palette. What follows is in another piece rather than in parts.
        const LONGEST: usize = 6 + 6 * Colour::PALETTE.len();
        const _: () = assert!(LONGEST <= MIN_PIECE);
        if out.room() < LONGEST {
            return false;
        }
        match due {
            DUE_VERSION => out.put(VERSION),
            DUE_SECURITY if self.version == Version::V3_3 => {
                out.put(&u32::from(SECURITY_NONE).to_be_bytes())
            }
            DUE_SECURITY => out.put(&[1, SECURITY_NONE]),
            DUE_SECURITY_RESULT => out.put(&0u32.to_be_bytes()),
            DUE_SERVER_INIT => {
                out.put(&SCREEN.width.to_be_bytes())
                    && out.put(&SCREEN.height.to_be_bytes())
                    && out.put(&PixelFormat::DEFAULT.to_bytes())
                    && put_text(NAME, out)
            }
            // SetColourMapEntries (RFC 6143 section 7.6.2).
            _ => {
                out.put(&[1, 0, 0, 0, 0, Colour::PALETTE.len() as u8]);
                // The same value in both bytes stretches 255 to 65,535.
                let mut parts = Colour::PALETTE.iter().flat_map(|colour| colour.rgb());
                parts.all(|part| out.put(&[part, part]))
            }
        }
    }
}

// RFC 6143 section 7.5.
const SET_PIXEL_FORMAT: u8 = 0;
const SET_ENCODINGS: u8 = 2;
const FRAMEBUFFER_UPDATE_REQUEST: u8 = 3;
const KEY_EVENT: u8 = 4;
const POINTER_EVENT: u8 = 5;
const CLIENT_CUT_TEXT: u8 = 6;

fn version(buffer: &[u8; 20]) -> Result<Version, Error> {
    let [b'R', b'F', b'B', b' ', numbers @ .., b'\n'] =
        buffer.first_chunk::<12>().ok_or(Error::Version)?
    else {
        return Err(Error::Version);
    };
    let [major @ .., b'.', m2, m1, m0] = numbers else { return Err(Error::Version) };
    let minor = [*m2, *m1, *m0];
    if !major.iter().chain(&minor).all(u8::is_ascii_digit) {
        return Err(Error::Version);
    }
    Ok(match (major, &minor) {
        (b"003", b"007") => Version::V3_7,
        (b"003", b"008") => Version::V3_8,
        _ => Version::V3_3,
    })
}

fn put_text(text: &str, out: &mut Out<'_>) -> bool {
    out.put(&(text.len() as u32).to_be_bytes()) && out.put(text.as_bytes())
}
