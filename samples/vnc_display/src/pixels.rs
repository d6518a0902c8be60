// SPDX-License-Identifier: Apache-2.0
//! The pixels as a viewer wants them (RFC 6143 section 7.4).

use crate::framebuffer::Colour;

/// How a pixel is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// 8, 16 or 32.
    bits_per_pixel: u8,
    depth: u8,
    big_endian: bool,
    /// Otherwise a pixel is the number of a colour in the palette.
    true_colour: bool,
    /// The largest values of red, green and blue.
    max: [u16; 3],
    /// How many bits are below them.
    shift: [u8; 3],
}

impl PixelFormat {
    /// What a viewer gets that asks for nothing else: 0x00RRGGBB, the lowest byte first.
    pub const DEFAULT: Self = Self {
        bits_per_pixel: 32,
        depth: 24,
        big_endian: false,
        true_colour: true,
        max: [255; 3],
        shift: [16, 8, 0],
    };

    /// The format that a viewer asks for; `None` if there is no such format.
    pub fn parse(bytes: [u8; 16]) -> Option<Self> {
        let [
            bits_per_pixel,
            depth,
            big_endian,
            true_colour,
            r1,
            r0,
            g1,
            g0,
            b1,
            b0,
            rs,
            gs,
            bs,
            ..,
        ] = bytes;
        let format = Self {
            bits_per_pixel,
            depth,
            big_endian: big_endian != 0,
            true_colour: true_colour != 0,
            max: [[r1, r0], [g1, g0], [b1, b0]].map(u16::from_be_bytes),
            shift: [rs, gs, bs],
        };
        let fits = |(max, shift): (u16, u8)| {
            shift < bits_per_pixel && u64::from(max) << shift < 1 << bits_per_pixel
        };
        let is_valid = matches!(bits_per_pixel, 8 | 16 | 32)
            && (!format.true_colour || format.max.into_iter().zip(format.shift).all(fits));
        is_valid.then_some(format)
    }

    pub fn to_bytes(self) -> [u8; 16] {
        let [[r1, r0], [g1, g0], [b1, b0]] = self.max.map(u16::to_be_bytes);
        let [rs, gs, bs] = self.shift;
        let flags = [self.big_endian.into(), self.true_colour.into()];
        let [big_endian, true_colour] = flags;
        let (bits, depth) = (self.bits_per_pixel, self.depth);
        [bits, depth, big_endian, true_colour, r1, r0, g1, g0, b1, b0, rs, gs, bs, 0, 0, 0]
    }

    pub const fn is_true_colour(self) -> bool {
        self.true_colour
    }

    pub const fn bytes_per_pixel(self) -> usize {
        self.bits_per_pixel as usize / 8
    }

    /// A pixel: [`bytes_per_pixel`](Self::bytes_per_pixel) of them are to be sent.
    pub fn pixel(self, colour: Colour) -> Pixel {
        let mut value = u32::from(colour as u8);
        if self.true_colour {
            value = 0;
            for ((part, max), shift) in colour.rgb().into_iter().zip(self.max).zip(self.shift) {
                let scaled = (u32::from(part) * u32::from(max) + 127) / 255;
                value |= scaled << shift;
            }
        }
        let bytes = match (self.big_endian, self.bits_per_pixel) {
            (false, _) => value.to_le_bytes(),
            (true, 8) => (value << 24).to_be_bytes(),
            (true, 16) => (value << 16).to_be_bytes(),
            (true, _) => value.to_be_bytes(),
        };
        Pixel { bytes, len: self.bytes_per_pixel() }
    }
}

/// The bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixel {
    bytes: [u8; 4],
    len: usize,
}

impl Pixel {
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
