// SPDX-License-Identifier: Apache-2.0
//! The changed rectangles on their way to a viewer (RFC 6143 sections 7.6.1 and 7.7), written in
//! pieces of any size that holds a tile.

use crate::framebuffer::{Colour, Framebuffer};
use crate::pixels::PixelFormat;
use crate::region::{Rect, Region};

/// A buffer that is filled from its front.
pub struct Out<'o> {
    bytes: &'o mut [u8],
    len: usize,
}

impl<'o> Out<'o> {
    pub fn new(bytes: &'o mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// Adds `bytes` as a whole, or nothing if there is no room for them.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        let Some(place) = self.bytes.get_mut(self.len..end) else { return false };
        place.copy_from_slice(bytes);
        self.len = end;
        true
    }
}

/// How pixels are written (RFC 6143 section 7.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One after the other, which every viewer understands.
    Raw,
    /// In tiles, of which most here have one or two colours.
    Hextile,
}

impl Encoding {
    pub const fn number(self) -> i32 {
        match self {
            Self::Raw => 0,
            Self::Hextile => 5,
        }
    }
}

/// One FramebufferUpdate. It shows each pixel as it is when its turn comes; what has changed behind
/// that place is a change for the next update.
#[derive(Clone, Debug)]
pub struct Update {
    rects: Region,
    format: PixelFormat,
    encoding: Encoding,
    has_begun: bool,
    /// The rectangle that is written, and whether its header was.
    rect: usize,
    has_header: bool,
    /// The pixel or tile of it that is next, counted in rows.
    next: u32,
    /// The colours that the last tile has left behind.
    background: Option<Colour>,
    foreground: Option<Colour>,
}

impl Update {
    pub const fn new(rects: Region, format: PixelFormat, encoding: Encoding) -> Self {
        Self {
            rects,
            format,
            encoding,
            has_begun: false,
            rect: 0,
            has_header: false,
            next: 0,
            background: None,
            foreground: None,
        }
    }

    /// Writes as much as `out` has room for, and returns whether that was the last.
    pub fn write(&mut self, framebuffer: &Framebuffer, out: &mut Out<'_>) -> bool {
        if !self.has_begun {
            let [high, low] = (self.rects.rects().len() as u16).to_be_bytes();
            if !out.put(&[0, 0, high, low]) {
                return false;
            }
            self.has_begun = true;
        }
        while let Some(&rect) = self.rects.rects().get(self.rect) {
            if !self.has_header {
                if !out.put(&header(rect, self.encoding.number())) {
                    return false;
                }
                self.has_header = true;
                (self.next, self.background, self.foreground) = (0, None, None);
            }
            let is_written = match self.encoding {
                Encoding::Raw => self.write_raw(rect, framebuffer, out),
                Encoding::Hextile => self.write_tiles(rect, framebuffer, out),
            };
            if !is_written {
                return false;
            }
            self.rect += 1;
            self.has_header = false;
        }
        true
    }

    /// RFC 6143 section 7.7.1.
    fn write_raw(&mut self, rect: Rect, framebuffer: &Framebuffer, out: &mut Out<'_>) -> bool {
        let width = u32::from(rect.width);
        while self.next < rect.area() {
            let (x, y) = ((self.next % width) as u16, (self.next / width) as u16);
            let row = framebuffer.row(rect.x + x, rect.y + y);
            for colour in row.iter().take(usize::from(rect.width - x)) {
                if !out.put(self.format.pixel(*colour).as_bytes()) {
                    return false;
                }
                self.next += 1;
            }
        }
        true
    }

    /// RFC 6143 section 7.7.4.
    fn write_tiles(&mut self, rect: Rect, framebuffer: &Framebuffer, out: &mut Out<'_>) -> bool {
        let in_a_row = u32::from(rect.width.div_ceil(TILE));
        let tiles = in_a_row * u32::from(rect.height.div_ceil(TILE));
        while self.next < tiles {
            let x = (self.next % in_a_row) as u16 * TILE;
            let y = (self.next / in_a_row) as u16 * TILE;
            let (width, height) = (TILE.min(rect.width - x), TILE.min(rect.height - y));
            let tile = Tile::new(framebuffer, Rect::new(rect.x + x, rect.y + y, width, height));
            let before = out.len;
            if !self.write_tile(&tile, out) {
                out.len = before;
                return false;
            }
            self.next += 1;
        }
        true
    }

    /// Changes nothing but `out` if there is no room for it.
    fn write_tile(&mut self, tile: &Tile, out: &mut Out<'_>) -> bool {
        const RAW: u8 = 1;
        const BACKGROUND_SPECIFIED: u8 = 2;
        const FOREGROUND_SPECIFIED: u8 = 4;
        const ANY_SUBRECTS: u8 = 8;
        const SUBRECTS_COLOURED: u8 = 16;

        let (background, foreground) = tile.colours();
        let (mut flags, mut count, mut is_coloured) = (0, 0, false);
        for (colour, _) in tile.subrects(background) {
            count += 1;
            is_coloured |= Some(colour) != foreground;
        }
        let pixel = self.format.bytes_per_pixel();
        let subrect = if is_coloured { pixel + 2 } else { 2 };
        if count > 255 || count * subrect > tile.len() * pixel {
            let is_written = out.put(&[RAW])
                && tile.pixels().all(|colour| out.put(self.format.pixel(colour).as_bytes()));
            if is_written {
                (self.background, self.foreground) = (None, None);
            }
            return is_written;
        }
        let new_background = Some(background).filter(|_| self.background != Some(background));
        let new_foreground = foreground.filter(|_| !is_coloured && self.foreground != foreground);
        for (is_set, flag) in [
            (new_background.is_some(), BACKGROUND_SPECIFIED),
            (new_foreground.is_some(), FOREGROUND_SPECIFIED),
            (count > 0, ANY_SUBRECTS),
            (is_coloured, SUBRECTS_COLOURED),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        let mut is_written = out.put(&[flags]);
        for colour in new_background.into_iter().chain(new_foreground) {
            is_written &= out.put(self.format.pixel(colour).as_bytes());
        }
        if count > 0 {
            is_written &= out.put(&[count as u8]);
            for (colour, place) in tile.subrects(background) {
                if is_coloured {
                    is_written &= out.put(self.format.pixel(colour).as_bytes());
                }
                is_written &= out.put(&place);
            }
        }
        if is_written {
            self.background = Some(background);
            if is_coloured {
                self.foreground = None;
            } else if foreground.is_some() {
                self.foreground = foreground;
            }
        }
        is_written
    }
}

/// The header of a rectangle.
pub fn header(rect: Rect, encoding: i32) -> [u8; 12] {
    let [x, y, width, height] =
        [rect.x, rect.y, rect.width, rect.height].map(|part| part.to_be_bytes());
    let encoding = encoding.to_be_bytes();
    let mut bytes = [0; 12];
    for (place, byte) in
        bytes.iter_mut().zip([x, y, width, height].iter().flatten().chain(&encoding))
    {
        *place = *byte;
    }
    bytes
}

/// The sides of a tile, unless the rectangle ends before.
const TILE: u16 = 16;
const SIDE: usize = TILE as usize;

/// A tile, each row in a part of its own.
#[derive(Clone)]
struct Tile {
    rows: [[Colour; SIDE]; SIDE],
    width: usize,
    height: usize,
}

impl Tile {
    fn new(framebuffer: &Framebuffer, rect: Rect) -> Self {
        let mut rows = [[Colour::Background; SIDE]; SIDE];
        for (row, y) in rows.iter_mut().zip(rect.y..rect.bottom()) {
            for (pixel, colour) in row.iter_mut().zip(framebuffer.row(rect.x, y)) {
                *pixel = *colour;
            }
        }
        Self { rows, width: rect.width.into(), height: rect.height.into() }
    }

    fn len(&self) -> usize {
        self.width * self.height
    }

    fn pixels(&self) -> impl Iterator<Item = Colour> {
        let rows = self.rows.iter().take(self.height);
        rows.flat_map(|row| row.iter().take(self.width).copied())
    }

    /// The colour of the most pixels, and of the most others if there are such.
    fn colours(&self) -> (Colour, Option<Colour>) {
        let mut counts = Colour::PALETTE.map(|colour| (0u16, colour));
        for colour in self.pixels() {
            if let Some((count, _)) = counts.get_mut(colour as usize) {
                *count += 1;
            }
        }
        counts.sort_unstable_by_key(|(count, _)| core::cmp::Reverse(*count));
        let [(_, first), (others, second), ..] = counts;
        (first, (others > 0).then_some(second))
    }

    /// Rectangles of one colour that make up all that is not `background`, each with its place and
    /// size in two bytes.
    fn subrects(&self, background: Colour) -> impl Iterator<Item = (Colour, [u8; 2])> {
        let mut rest = self.clone();
        core::iter::from_fn(move || {
            let (x, y, colour) = rest.first_but(background)?;
            let mut rows = rest.rows.iter_mut().take(rest.height).skip(y);
            let first = rows.next()?.get_mut(x..rest.width)?;
            let width = first.iter().take_while(|pixel| **pixel == colour).count();
            first.get_mut(..width)?.fill(background);
            let mut height = 1;
            for row in rows {
                let Some(row) = row.get_mut(x..x + width) else { break };
                if row.iter().any(|pixel| *pixel != colour) {
                    break;
                }
                row.fill(background);
                height += 1;
            }
            let place = |high: usize, low: usize| (high << 4 | low) as u8;
            Some((colour, [place(x, y), place(width - 1, height - 1)]))
        })
    }

    fn first_but(&self, background: Colour) -> Option<(usize, usize, Colour)> {
        let at = self.pixels().enumerate().find(|(_, colour)| *colour != background);
        at.map(|(at, colour)| (at % self.width, at / self.width, colour))
    }
}
