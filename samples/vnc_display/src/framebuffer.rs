// SPDX-License-Identifier: Apache-2.0
//! The picture: a drawing target of `embedded-graphics` that knows what has changed.

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::PixelColor;
use embedded_graphics::pixelcolor::raw::RawU8;

use crate::region::{Rect, Region};

pub const WIDTH: u16 = 240;
pub const HEIGHT: u16 = 160;
pub const SCREEN: Rect = Rect::new(0, 0, WIDTH, HEIGHT);

const PIXELS: usize = WIDTH as usize * HEIGHT as usize;

/// A colour of the palette. A pixel is one byte, whatever a viewer wants to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Colour {
    Background,
    Bar,
    Text,
    Dim,
    Track,
    Green,
    Amber,
    Red,
    Button,
    Pressed,
}

impl Colour {
    /// All, in the order of their numbers.
    pub const PALETTE: [Self; 10] = [
        Self::Background,
        Self::Bar,
        Self::Text,
        Self::Dim,
        Self::Track,
        Self::Green,
        Self::Amber,
        Self::Red,
        Self::Button,
        Self::Pressed,
    ];

    /// Red, green and blue.
    pub const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Background => [0x10, 0x18, 0x24],
            Self::Bar => [0x1c, 0x2b, 0x41],
            Self::Text => [0xf4, 0xf6, 0xf8],
            Self::Dim => [0x8a, 0x9b, 0xb0],
            Self::Track => [0x2a, 0x38, 0x4c],
            Self::Green => [0x2e, 0xcc, 0x71],
            Self::Amber => [0xf3, 0x9c, 0x12],
            Self::Red => [0xe7, 0x4c, 0x3c],
            Self::Button => [0x2d, 0x7d, 0xd2],
            Self::Pressed => [0x17, 0x4a, 0x80],
        }
    }
}

impl PixelColor for Colour {
    type Raw = RawU8;
}

/// The pixels, and where they have changed.
pub struct Framebuffer {
    pixels: [Colour; PIXELS],
    changes: Region,
}

impl Framebuffer {
    pub const fn new() -> Self {
        Self { pixels: [Colour::Background; PIXELS], changes: Region::new() }
    }

    /// The pixels of a row from `x` on, as many as there are.
    pub fn row(&self, x: u16, y: u16) -> &[Colour] {
        let row = self.pixels.chunks_exact(WIDTH.into()).nth(y.into());
        row.and_then(|row| row.get(usize::from(x)..)).unwrap_or_default()
    }

    /// Where pixels have changed since this was last called.
    pub fn take_changes(&mut self) -> Region {
        core::mem::take(&mut self.changes)
    }
}

impl OriginDimensions for Framebuffer {
    fn size(&self) -> Size {
        Size::new(WIDTH.into(), HEIGHT.into())
    }
}

impl DrawTarget for Framebuffer {
    type Color = Colour;
    type Error = core::convert::Infallible;

    /// What has the right colour already has not changed.
    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Colour>>,
    {
        let mut changed: Option<Rect> = None;
        for Pixel(point, colour) in pixels {
            let (Ok(x), Ok(y)) = (u16::try_from(point.x), u16::try_from(point.y)) else { continue };
            if x >= WIDTH {
                continue;
            }
            let index = usize::from(y) * usize::from(WIDTH) + usize::from(x);
            let Some(pixel) = self.pixels.get_mut(index) else { continue };
            if *pixel != colour {
                *pixel = colour;
                let here = Rect::new(x, y, 1, 1);
                changed = Some(changed.map_or(here, |changed| changed.cover(here)));
            }
        }
        if let Some(changed) = changed {
            self.changes.add(changed);
        }
        Ok(())
    }
}
