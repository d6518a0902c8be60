// SPDX-License-Identifier: Apache-2.0
//! The sample vnc_display: its protocol (RFC 6143), its picture, and its server on a network in
//! memory.

#[path = "../samples/vnc_display/src/framebuffer.rs"]
mod framebuffer;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "support/network.rs"]
mod network;
#[path = "../samples/vnc_display/src/panel.rs"]
mod panel;
#[path = "../samples/vnc_display/src/pixels.rs"]
mod pixels;
#[path = "support/random.rs"]
mod random;
#[path = "../samples/vnc_display/src/region.rs"]
mod region;
#[path = "../samples/vnc_display/src/rfb.rs"]
mod rfb;
#[path = "../samples/vnc_display/src/server.rs"]
mod server;
mod support;
#[path = "../samples/vnc_display/src/update.rs"]
mod update;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;
use framebuffer::{Colour, Framebuffer, HEIGHT, SCREEN, WIDTH};
use network::{Fault, Peer, Sim};
use panel::{BUTTON, Panel};
use random::{Random, with_seeds};
use region::{Rect, Region};
use rfb::{Error, Input, MAX_CUT_TEXT, MIN_PIECE, NAME, Session, VERSION};
use server::{Display, MIN_TX_BUFFER, PIECE, Viewer};
use support::*;
use update::Out;
use zephyr_websocket::hub::{Hub, Settings, Slot, Timeouts};

const RAW: i32 = 0;
const HEXTILE: i32 = 5;

// What a viewer sends (RFC 6143 section 7.5).

fn set_pixel_format(format: [u8; 16]) -> Vec<u8> {
    [&[0, 0, 0, 0], &format[..]].concat()
}

fn set_encodings(encodings: &[i32]) -> Vec<u8> {
    let [high, low] = (encodings.len() as u16).to_be_bytes();
    let numbers = encodings.iter().flat_map(|encoding| encoding.to_be_bytes());
    [2, 0, high, low].into_iter().chain(numbers).collect()
}

fn request(is_incremental: bool, area: Rect) -> Vec<u8> {
    let area = [area.x, area.y, area.width, area.height].map(u16::to_be_bytes);
    [&[3, is_incremental.into()], area.as_flattened()].concat()
}

fn key(keysym: u32, is_down: bool) -> Vec<u8> {
    [&[4, is_down.into(), 0, 0], &keysym.to_be_bytes()[..]].concat()
}

fn pointer(buttons: u8, x: u16, y: u16) -> Vec<u8> {
    [&[5, buttons], [x.to_be_bytes(), y.to_be_bytes()].as_flattened()].concat()
}

fn cut_text(text: &[u8]) -> Vec<u8> {
    [&[6, 0, 0, 0], &(text.len() as u32).to_be_bytes()[..], text].concat()
}

/// A pixel format of true colour; the widths of red, green and blue in bits, red at the top.
fn format(bits: u8, is_big_endian: bool, widths: [u8; 3]) -> [u8; 16] {
    let [red, green, blue] = widths;
    let mut format = [0; 16];
    format[..4].copy_from_slice(&[bits, red + green + blue, is_big_endian.into(), 1]);
    for (at, width) in widths.into_iter().enumerate() {
        format[4 + 2 * at..6 + 2 * at]
            .copy_from_slice(&(((1u32 << width) - 1) as u16).to_be_bytes());
    }
    format[10..13].copy_from_slice(&[green + blue, blue, 0]);
    format
}

/// The opening of a viewer that speaks version 3.8.
fn opening() -> Vec<u8> {
    [&VERSION[..], &[1], &[1]].concat()
}

// What a viewer gets.

/// All that `session` has to send now, in pieces of `len`.
fn output_in(session: &mut Session, framebuffer: &Framebuffer, len: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    while session.has_output() {
        let mut piece = vec![0; len];
        let mut out = Out::new(&mut piece);
        session.write(framebuffer, &mut out);
        assert!(out.len() > 0, "output that does not come");
        sent.extend(out.written());
    }
    sent
}

fn output(session: &mut Session, framebuffer: &Framebuffer) -> Vec<u8> {
    output_in(session, framebuffer, PIECE)
}

/// Gives `bytes` to the session, and returns the inputs among them.
fn tell(session: &mut Session, mut bytes: &[u8]) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    while let Some(input) = session.receive(&mut bytes)? {
        inputs.push(input);
    }
    assert!(bytes.is_empty());
    Ok(inputs)
}

/// A session after its opening, with nothing to send.
fn opened() -> Session {
    let mut session = Session::new();
    assert_eq!(tell(&mut session, &opening()), Ok(vec![]));
    let sent = output(&mut session, &Framebuffer::new());
    assert_eq!(sent.len(), 12 + 2 + 4 + 24 + NAME.len());
    session
}

struct Reader<'r>(&'r [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().expect("an update ends too early");
        self.0 = rest;
        *bytes
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes())
    }
}

/// A viewer's picture, whose pixels have 4 bytes.
struct Picture {
    pixels: Vec<Option<[u8; 4]>>,
}

impl Picture {
    fn new() -> Self {
        Self { pixels: vec![None; usize::from(WIDTH) * usize::from(HEIGHT)] }
    }

    fn fill(&mut self, place: Rect, pixel: [u8; 4]) {
        for y in place.y..place.bottom() {
            for x in place.x..place.right() {
                self.pixels[usize::from(y) * usize::from(WIDTH) + usize::from(x)] = Some(pixel);
            }
        }
    }

    fn raw(&mut self, place: Rect, reader: &mut Reader<'_>) {
        for y in place.y..place.bottom() {
            for x in place.x..place.right() {
                self.fill(Rect::new(x, y, 1, 1), reader.bytes());
            }
        }
    }

    /// RFC 6143 section 7.7.4.
    fn hextile(&mut self, place: Rect, reader: &mut Reader<'_>) {
        let (mut background, mut foreground) = (None, None);
        for y in (place.y..place.bottom()).step_by(16) {
            for x in (place.x..place.right()).step_by(16) {
                let tile = Rect::new(x, y, 16, 16).intersection(place).unwrap();
                let [flags] = reader.bytes();
                assert_eq!(flags & !31, 0);
                if flags & 1 != 0 {
                    assert_eq!(flags, 1);
                    self.raw(tile, reader);
                    (background, foreground) = (None, None);
                    continue;
                }
                if flags & 2 != 0 {
                    background = Some(reader.bytes());
                }
                if flags & 4 != 0 {
                    assert_eq!(flags & 16, 0, "the colours come with the rectangles");
                    foreground = Some(reader.bytes());
                }
                self.fill(tile, background.expect("no background yet"));
                if flags & 8 == 0 {
                    continue;
                }
                let [count] = reader.bytes();
                for _ in 0..count {
                    let own = (flags & 16 != 0).then(|| reader.bytes());
                    let [at, size] = reader.bytes();
                    let at = Rect::new(
                        x + u16::from(at >> 4),
                        y + u16::from(at & 15),
                        u16::from(size >> 4) + 1,
                        u16::from(size & 15) + 1,
                    );
                    assert_eq!(tile.intersection(at), Some(at), "outside the tile");
                    self.fill(at, own.or(foreground).expect("no foreground yet"));
                }
                if flags & 16 != 0 {
                    foreground = None;
                }
            }
        }
    }

    /// Takes updates, and returns the rectangles of each.
    fn update(&mut self, bytes: &[u8]) -> Vec<Vec<Rect>> {
        let mut reader = Reader(bytes);
        let mut updates = Vec::new();
        while !reader.0.is_empty() {
            assert_eq!(reader.u16(), 0, "no update");
            let count = reader.u16();
            assert!(count > 0);
            let mut rects = Vec::new();
            for _ in 0..count {
                let [x, y, width, height] = [(); 4].map(|()| reader.u16());
                let rect = Rect::new(x, y, width, height);
                assert_eq!(rect.intersection(SCREEN), Some(rect));
                match i32::from_be_bytes(reader.bytes()) {
                    RAW => self.raw(rect, &mut reader),
                    HEXTILE => self.hextile(rect, &mut reader),
                    other => panic!("encoding {other}"),
                }
                rects.push(rect);
            }
            updates.push(rects);
        }
        updates
    }

    #[track_caller]
    fn assert_shows(&self, framebuffer: &Framebuffer) {
        let colours = (0..HEIGHT).flat_map(|y| framebuffer.row(0, y));
        let shown = colours.map(|colour| {
            let [red, green, blue] = colour.rgb();
            Some([blue, green, red, 0])
        });
        assert!(shown.eq(self.pixels.iter().copied()), "the picture is another one");
    }
}

fn paint(framebuffer: &mut Framebuffer, place: Rect, colour: Colour) {
    let at = Point::new(place.x.into(), place.y.into());
    let size = Size::new(place.width.into(), place.height.into());
    framebuffer.fill_solid(&Rectangle::new(at, size), colour).unwrap();
}

/// What has changed in the picture becomes the session's to tell.
fn pass_on(framebuffer: &mut Framebuffer, session: &mut Session) {
    for rect in framebuffer.take_changes().rects() {
        session.add_change(*rect);
    }
}

// The opening.

/// RFC 6143 sections 7.1 to 7.3.
#[test]
fn opens_in_version_3_8() {
    let (mut session, picture) = (Session::new(), Framebuffer::new());
    assert_eq!(output(&mut session, &picture), b"RFB 003.008\n");
    assert_eq!(tell(&mut session, b"RFB 003.008\n"), Ok(vec![]));
    assert_eq!(output(&mut session, &picture), [1, 1], "one security type: None");
    assert_eq!(tell(&mut session, &[1]), Ok(vec![]));
    assert_eq!(output(&mut session, &picture), [0; 4]);
    assert_eq!(tell(&mut session, &[0]), Ok(vec![]));
    assert_server_init(&output(&mut session, &picture));
}

#[track_caller]
fn assert_server_init(bytes: &[u8]) {
    let expected = [
        &[0, 240, 0, 160][..],
        &[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0],
        &(NAME.len() as u32).to_be_bytes(),
        NAME.as_bytes(),
    ];
    assert_eq!(bytes, expected.concat());
}

/// RFC 6143 section 7.1.1 and appendix A: without a result, without a choice, and what any other
/// number counts as.
#[test]
fn opens_in_older_versions() {
    let picture = Framebuffer::new();
    let mut session = Session::new();
    output(&mut session, &picture);
    tell(&mut session, b"RFB 003.007\n\x01").unwrap();
    assert_eq!(output(&mut session, &picture), [1, 1]);
    tell(&mut session, &[1]).unwrap();
    assert_server_init(&output(&mut session, &picture));
    for version in
        ["RFB 003.003\n", "RFB 003.005\n", "RFB 003.889\n", "RFB 004.001\n", "RFB 004.008\n"]
    {
        let mut session = Session::new();
        output(&mut session, &picture);
        tell(&mut session, version.as_bytes()).unwrap();
        assert_eq!(output(&mut session, &picture), [0, 0, 0, 1], "{version}");
        tell(&mut session, &[1]).unwrap();
        assert_server_init(&output(&mut session, &picture));
    }
}

#[test]
fn refuses_what_is_no_version() {
    for version in [
        "RFB 003.008\r",
        "RFB 3.8\n   \n",
        "rfb 003.008\n",
        "RFB 003,008\n",
        "RFB  03.008\n",
        "RFB 003.00a\n",
        "GET / HTTP/1",
        "\0\0\0\0\0\0\0\0\0\0\0\0",
        "RFB_003.008\n",
    ] {
        assert_eq!(version.len(), 12);
        assert_eq!(tell(&mut Session::new(), version.as_bytes()), Err(Error::Version), "{version}");
        for len in 0..12 {
            assert_eq!(tell(&mut Session::new(), &version.as_bytes()[..len]), Ok(vec![]));
        }
    }
}

/// RFC 6143 section 7.1.3: version 3.8 tells the reason, and no other can.
#[test]
fn refuses_another_security_type() {
    for number in (0..=255).filter(|number| *number != 1) {
        for (version, tells) in [("RFB 003.008\n", true), ("RFB 003.007\n", false)] {
            let mut session = Session::new();
            tell(&mut session, version.as_bytes()).unwrap();
            let error = tell(&mut session, &[number]).unwrap_err();
            assert_eq!(error, Error::SecurityType(number));
            let mut refusal = [0; 64];
            let mut out = Out::new(&mut refusal);
            session.refusal(error, &mut out);
            let expected: &[u8] = b"\0\0\0\x01\0\0\0\x1eThe only security type is None";
            assert_eq!(out.written(), if tells { expected } else { &[] });
        }
    }
}

// Messages.

/// Every message of a viewer in every division into three pieces: what it does and what it gets are
/// the same.
#[test]
fn messages_come_in_any_pieces() {
    let script = [
        opening(),
        set_pixel_format(format(16, true, [5, 6, 5])),
        set_encodings(&[]),
        set_encodings(&[1, HEXTILE, RAW, -239]),
        cut_text(b""),
        pointer(1, 0x1234, 7),
        cut_text(b"text"),
        key(0xff0d, true),
        request(true, Rect::new(3, 2, 20, 3)),
        vec![4, 2, 9, 9, 0, 0, 0, 0x20],
        key(0x20, false),
        pointer(0x82, 239, 159),
        request(false, Rect::new(1, 2, 4, 3)),
    ]
    .concat();
    let inputs = [
        Input::Pointer { x: 0x1234, y: 7, buttons: 1 },
        Input::Key { keysym: 0xff0d, is_down: true },
        // Whatever is not 0 is true.
        Input::Key { keysym: 0x20, is_down: true },
        Input::Key { keysym: 0x20, is_down: false },
        Input::Pointer { x: 239, y: 159, buttons: 0x82 },
    ];
    let picture = Framebuffer::new();
    let mut whole = Session::new();
    assert_eq!(tell(&mut whole, &script).unwrap(), inputs);
    let expected = output(&mut whole, &picture);
    for first in 0..=script.len() {
        for second in first..=script.len() {
            let mut session = Session::new();
            let mut seen = Vec::new();
            for piece in [&script[..first], &script[first..second], &script[second..]] {
                seen.extend(tell(&mut session, piece).unwrap());
            }
            assert_eq!(seen, inputs, "{first}, {second}");
            assert_eq!(output(&mut session, &picture), expected, "{first}, {second}");
        }
    }
    let mut session = Session::new();
    let seen: Vec<_> =
        script.iter().flat_map(|byte| tell(&mut session, &[*byte]).unwrap()).collect();
    assert_eq!(seen, inputs);
    assert_eq!(output(&mut session, &picture), expected);
}

/// Where no extension is offered there are six messages.
#[test]
fn refuses_other_messages_at_their_first_byte() {
    for number in (0..=255).filter(|number| ![0, 2, 3, 4, 5, 6].contains(number)) {
        let mut session = opened();
        assert_eq!(tell(&mut session, &[number]), Err(Error::MessageType(number)));
        assert_eq!(tell(&mut session, &[5]), Err(Error::MessageType(number)), "nothing behind it");
    }
}

#[test]
fn reads_over_a_text_up_to_its_limit() {
    let mut session = opened();
    let longest = vec![0x5a; MAX_CUT_TEXT as usize];
    let bytes = [cut_text(&longest), pointer(0, 1, 2)].concat();
    assert_eq!(tell(&mut session, &bytes), Ok(vec![Input::Pointer { x: 1, y: 2, buttons: 0 }]));
    // The extended clipboard tells its length as a negative number.
    for len in [MAX_CUT_TEXT + 1, 1 << 31, (-20i32) as u32, u32::MAX] {
        let header = [&[6, 0, 0, 0], &len.to_be_bytes()[..]].concat();
        assert_eq!(tell(&mut opened(), &header), Err(Error::CutText(len)));
    }
}

#[test]
fn reads_over_the_most_encodings() {
    let mut session = opened();
    let bytes = [set_encodings(&vec![-1; 65535]), pointer(0, 1, 2)].concat();
    assert_eq!(tell(&mut session, &bytes), Ok(vec![Input::Pointer { x: 1, y: 2, buttons: 0 }]));
}

/// What was changed at random on its way is refused, or means something else, and no more than that.
#[test]
fn anything_may_come() {
    with_seeds("VNC_SEED", 500, |random| {
        let picture = Framebuffer::new();
        let mut bytes = opening();
        for _ in 0..random.below(30) {
            bytes.extend(match random.below(7) {
                0 => {
                    set_pixel_format(format(random.pick(&[8, 16, 32]), random.one_in(2), [3, 3, 2]))
                }
                1 => set_encodings(&vec![random.pick(&[RAW, HEXTILE, -239]); random.below(9)]),
                2 => request(random.one_in(2), any_rect(random)),
                3 => key(random.next() as u32, random.one_in(2)),
                4 => cut_text(&vec![7; random.below(40)]),
                5 => pointer(random.next() as u8, random.next() as u16, random.next() as u16),
                _ => {
                    let len = random.below(6);
                    random.bytes(len)
                }
            });
        }
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        let mut session = Session::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(random.between(1, rest.len()));
            rest = behind;
            if tell(&mut session, piece).is_err() {
                break;
            }
            output(&mut session, &picture);
        }
    });
}

// Pixel formats.

/// RFC 6143 section 7.4, with the value computed anew.
#[test]
fn sends_pixels_as_the_viewer_wants_them() {
    let mut picture = Framebuffer::new();
    for (x, colour) in (0..).zip(Colour::PALETTE) {
        paint(&mut picture, Rect::new(x, 0, 1, 1), colour);
    }
    let area = Rect::new(0, 0, Colour::PALETTE.len() as u16, 1);
    for is_big_endian in [false, true] {
        for (bits, widths) in [
            (8, [3, 3, 2]),
            (8, [2, 2, 2]),
            (16, [5, 6, 5]),
            (16, [5, 5, 5]),
            (16, [4, 4, 4]),
            (32, [8, 8, 8]),
            (32, [10, 10, 10]),
            (32, [5, 6, 5]),
            (32, [1, 16, 15]),
        ] {
            let mut session = opened();
            let format = format(bits, is_big_endian, widths);
            tell(&mut session, &[set_pixel_format(format), request(false, area)].concat()).unwrap();
            let sent = output(&mut session, &picture);
            let (header, mut pixels) = sent.split_at(4 + 12);
            assert_eq!(header, [&[0, 0, 0, 1], &header_of(area)[..], &[0; 4]].concat());
            for colour in Colour::PALETTE {
                let mut value = 0u64;
                for (part, width) in colour.rgb().into_iter().zip(widths) {
                    let max = ((1u32 << width) - 1) as f64;
                    value = value << width | (f64::from(part) * max / 255.0).round() as u64;
                }
                let mut expected = value.to_be_bytes()[8 - usize::from(bits / 8)..].to_vec();
                if !is_big_endian {
                    expected.reverse();
                }
                let (pixel, rest) = pixels.split_at(expected.len());
                assert_eq!(pixel, expected, "{colour:?} in {bits} bits, {widths:?}");
                pixels = rest;
            }
            assert!(pixels.is_empty());
        }
    }
}

fn header_of(area: Rect) -> Vec<u8> {
    [area.x, area.y, area.width, area.height].map(u16::to_be_bytes).as_flattened().to_vec()
}

/// RFC 6143 sections 7.5.1 and 7.6.2.
#[test]
fn sends_a_palette_before_numbers_of_colours() {
    let mut picture = Framebuffer::new();
    paint(&mut picture, Rect::new(7, 8, 1, 1), Colour::Amber);
    let area = Rect::new(6, 8, 3, 1);
    for (bits, is_big_endian, pixels) in [
        (8, 0, &[0, Colour::Amber as u8, 0][..]),
        (16, 1, &[0, 0, 0, Colour::Amber as u8, 0, 0]),
        (32, 0, &[0, 0, 0, 0, Colour::Amber as u8, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let mut format = [0; 16];
        format[..3].copy_from_slice(&[bits, 8, is_big_endian]);
        let mut session = opened();
        tell(&mut session, &[set_pixel_format(format), request(false, area)].concat()).unwrap();
        let mut expected = vec![1, 0, 0, 0, 0, Colour::PALETTE.len() as u8];
        for colour in Colour::PALETTE {
            expected.extend(colour.rgb().iter().flat_map(|part| [*part, *part]));
        }
        expected.extend([&[0, 0, 0, 1], &header_of(area)[..], &[0; 4], pixels].concat());
        assert_eq!(output(&mut session, &picture), expected);
    }
}

#[test]
fn refuses_formats_that_do_not_exist() {
    let good = format(32, false, [8, 8, 8]);
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        bytes
    };
    for format in [
        // Bits of a pixel.
        with(0, 0),
        with(0, 1),
        with(0, 4),
        with(0, 24),
        with(0, 64),
        with(0, 255),
        // Values that do not fit.
        with(0, 16),
        with(0, 8),
        with(10, 25),
        with(10, 32),
        with(11, 255),
        // One more than fits: a red of 1 << 7, shifted by 1, in 8 bits.
        [8, 8, 0, 1, 0, 128, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0],
        with(6, 255),
    ] {
        let bytes = set_pixel_format(format);
        let result = tell(&mut opened(), &bytes);
        let fits = format == with(6, 255);
        assert_eq!(result, if fits { Ok(vec![]) } else { Err(Error::PixelFormat) }, "{format:?}");
    }
}

/// An update that has begun goes on as it began.
#[test]
fn a_new_format_is_for_the_next_update() {
    let mut picture = Framebuffer::new();
    paint(&mut picture, SCREEN, Colour::Red);
    let mut session = opened();
    tell(&mut session, &request(false, SCREEN)).unwrap();
    let mut piece = [0; MIN_PIECE];
    let mut out = Out::new(&mut piece);
    session.write(&picture, &mut out);
    let mut sent = out.written().to_vec();
    let small = Rect::new(0, 0, 2, 1);
    let bytes = [set_pixel_format(format(8, false, [3, 3, 2])), request(false, small)].concat();
    tell(&mut session, &bytes).unwrap();
    sent.extend(output(&mut session, &picture));
    let whole = 4 + 12 + 4 * SCREEN.area() as usize;
    let mut shown = Picture::new();
    shown.update(&sent[..whole]);
    shown.assert_shows(&picture);
    let red = 6 << 5 | 2 << 2 | 1;
    assert_eq!(sent[whole + 16..], [red, red]);
}

// Updates.

/// RFC 6143 section 7.5.3.
#[test]
fn sends_nothing_that_was_not_asked_for() {
    let mut picture = Framebuffer::new();
    let mut session = opened();
    assert!(!session.has_output());
    paint(&mut picture, Rect::new(1, 1, 9, 9), Colour::Green);
    pass_on(&mut picture, &mut session);
    assert!(!session.has_output());
    tell(&mut session, &request(true, SCREEN)).unwrap();
    let mut shown = Picture::new();
    assert_eq!(shown.update(&output(&mut session, &picture)), [[SCREEN]], "all is new to it");
    shown.assert_shows(&picture);
    paint(&mut picture, Rect::new(1, 1, 9, 9), Colour::Red);
    pass_on(&mut picture, &mut session);
    assert!(!session.has_output(), "one update for one request");
}

#[test]
fn an_incremental_update_waits_for_a_change_and_has_nothing_else() {
    let mut picture = Framebuffer::new();
    let mut session = opened();
    tell(&mut session, &request(true, SCREEN)).unwrap();
    let mut shown = Picture::new();
    shown.update(&output(&mut session, &picture));
    tell(&mut session, &request(true, SCREEN)).unwrap();
    assert!(!session.has_output());
    for (place, colour) in [
        (Rect::new(0, 0, 1, 1), Colour::Red),
        (Rect::new(239, 159, 1, 1), Colour::Dim),
        (Rect::new(17, 30, 40, 50), Colour::Amber),
    ] {
        paint(&mut picture, place, colour);
        pass_on(&mut picture, &mut session);
        let sent = output(&mut session, &picture);
        assert_eq!(sent.len(), 4 + 12 + 4 * place.area() as usize);
        assert_eq!(shown.update(&sent), [[place]]);
        shown.assert_shows(&picture);
        tell(&mut session, &request(true, SCREEN)).unwrap();
        assert!(!session.has_output());
    }
}

#[test]
fn a_full_update_comes_at_once_although_nothing_has_changed() {
    let picture = Framebuffer::new();
    let mut session = opened();
    let mut shown = Picture::new();
    for area in [SCREEN, SCREEN, Rect::new(5, 6, 7, 8)] {
        tell(&mut session, &request(false, area)).unwrap();
        assert_eq!(shown.update(&output(&mut session, &picture)), [[area]]);
        assert!(!session.has_output());
    }
    // Whatever is not 0 is true.
    let mut incremental = request(true, SCREEN);
    incremental[1] = 2;
    tell(&mut session, &incremental).unwrap();
    assert!(!session.has_output());
}

#[test]
fn changes_outside_the_asked_area_wait_for_a_request_there() {
    let mut picture = Framebuffer::new();
    let mut session = opened();
    let mut shown = Picture::new();
    tell(&mut session, &request(true, SCREEN)).unwrap();
    shown.update(&output(&mut session, &picture));
    // In one of its quarters, and beside it.
    let place = Rect::new(100, 70, 40, 20);
    paint(&mut picture, place, Colour::Red);
    pass_on(&mut picture, &mut session);
    let left = Rect::new(0, 0, 120, 160);
    tell(&mut session, &request(true, left)).unwrap();
    let sent = shown.update(&output(&mut session, &picture));
    assert_eq!(sent, [[Rect::new(100, 70, 20, 20)]]);
    tell(&mut session, &request(true, left)).unwrap();
    assert!(!session.has_output());
    tell(&mut session, &request(true, SCREEN)).unwrap();
    assert_eq!(shown.update(&output(&mut session, &picture)), [[Rect::new(120, 70, 20, 20)]]);
    shown.assert_shows(&picture);
}

#[test]
fn areas_outside_the_screen_are_left_out() {
    let picture = Framebuffer::new();
    let mut session = opened();
    for area in [Rect::new(240, 0, 9, 9), Rect::new(0, 160, 9, 9), Rect::new(0, 0, 0, 9)] {
        tell(&mut session, &request(false, area)).unwrap();
        assert!(!session.has_output());
    }
    tell(&mut session, &request(false, Rect::new(230, 150, 65535, 65535))).unwrap();
    let sent = Picture::new().update(&output(&mut session, &picture));
    assert_eq!(sent, [[Rect::new(230, 150, 10, 10)]]);
}

/// A viewer that asks again before it got anything gets it once.
#[test]
fn requests_that_wait_are_answered_together() {
    let picture = Framebuffer::new();
    let mut session = opened();
    let two = [Rect::new(10, 10, 5, 5), Rect::new(10, 15, 5, 5)];
    for area in two {
        tell(&mut session, &request(false, area)).unwrap();
    }
    let sent = Picture::new().update(&output(&mut session, &picture));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].iter().map(|rect| rect.area()).sum::<u32>(), 50);
}

/// The best-known encoding that was asked for; what it saves is the reason for it.
#[test]
fn tiles_show_the_same_in_fewer_bytes() {
    let mut picture = Framebuffer::new();
    let mut panel = Panel::new();
    panel.advance(3_723_000);
    panel.draw(&mut picture).unwrap();
    let mut lengths = Vec::new();
    for encodings in [&[RAW][..], &[7, HEXTILE, RAW], &[RAW]] {
        let mut session = opened();
        tell(&mut session, &[set_encodings(&[HEXTILE]), set_encodings(encodings)].concat())
            .unwrap();
        tell(&mut session, &request(false, SCREEN)).unwrap();
        let sent = output(&mut session, &picture);
        let mut shown = Picture::new();
        assert_eq!(shown.update(&sent), [[SCREEN]]);
        shown.assert_shows(&picture);
        lengths.push(sent.len());
    }
    assert_eq!(lengths[0], 4 + 12 + 4 * SCREEN.area() as usize);
    assert_eq!(lengths[0], lengths[2]);
    assert!(lengths[1] * 40 < lengths[0], "{lengths:?}");
}

/// No colour where it is not expected, whatever the tiles have: one colour, two, many, noise.
#[test]
fn any_picture_passes_in_any_pieces() {
    with_seeds("VNC_SEED", 8, |random| {
        let mut picture = Framebuffer::new();
        scribble(&mut picture, random, 40);
        for encoding in [RAW, HEXTILE] {
            let mut whole = None;
            for len in [MIN_PIECE, MIN_PIECE + 1, PIECE, random.between(MIN_PIECE, 9000), 1 << 18] {
                let mut session = opened();
                let bytes = [set_encodings(&[encoding]), request(false, SCREEN)].concat();
                tell(&mut session, &bytes).unwrap();
                let sent = output_in(&mut session, &picture, len);
                let mut shown = Picture::new();
                shown.update(&sent);
                shown.assert_shows(&picture);
                assert!(*whole.get_or_insert(sent.clone()) == sent);
            }
        }
    });
}

/// Rectangles, and noise of which no tile has fewer bytes than its pixels.
fn scribble(picture: &mut Framebuffer, random: &mut Random, most: usize) {
    for _ in 0..random.below(most) {
        let place = any_rect(random);
        if random.one_in(4) {
            let mut noise = random.fork();
            let colours = usize::min(10, 2 + random.below(10));
            let pixels = (place.y..place.bottom())
                .flat_map(|y| (place.x..place.right()).map(move |x| (x, y)));
            let pixels = pixels.map(|(x, y)| {
                let colour = Colour::PALETTE[noise.below(colours)];
                Pixel(Point::new(x.into(), y.into()), colour)
            });
            picture.draw_iter(pixels).unwrap();
        } else {
            paint(picture, place, random.pick(&Colour::PALETTE));
        }
    }
}

fn any_rect(random: &mut Random) -> Rect {
    let (x, y) = (random.below(WIDTH.into()) as u16, random.below(HEIGHT.into()) as u16);
    let (width, height) = match random.below(3) {
        0 => (1 + random.below(4), 1 + random.below(4)),
        _ => (1 + random.below(240), 1 + random.below(160)),
    };
    Rect::new(x, y, width as u16, height as u16).intersection(SCREEN).unwrap()
}

/// While the picture changes, also under an update that is on its way, a viewer that asks for this
/// and that has the right one in the end.
#[test]
fn a_viewer_has_the_right_picture_in_the_end() {
    with_seeds("VNC_SEED", 15, |random| {
        let (mut picture, mut session, mut shown) = (Framebuffer::new(), opened(), Picture::new());
        let mut sent = Vec::new();
        for _ in 0..random.between(1, 40) {
            match random.below(5) {
                0 => tell(&mut session, &set_encodings(&[random.pick(&[RAW, HEXTILE])])),
                1 => tell(&mut session, &request(random.one_in(2), any_rect(random))),
                2 => tell(&mut session, &request(random.one_in(8), SCREEN)),
                _ => Ok(vec![]),
            }
            .unwrap();
            scribble(&mut picture, random, 4);
            pass_on(&mut picture, &mut session);
            for _ in 0..random.below(20) {
                if !session.has_output() {
                    break;
                }
                let mut piece = vec![0; random.between(MIN_PIECE, 9000)];
                let mut out = Out::new(&mut piece);
                session.write(&picture, &mut out);
                sent.extend(out.written());
            }
        }
        sent.extend(output(&mut session, &picture));
        tell(&mut session, &request(true, SCREEN)).unwrap();
        sent.extend(output(&mut session, &picture));
        shown.update(&sent);
        shown.assert_shows(&picture);
    });
}

// Regions and the picture.

/// Everything that is added is in it; what is taken out was asked for, and the rest is still there.
#[test]
fn a_region_covers_all_that_was_added() {
    with_seeds("VNC_SEED", 200, |random| {
        let mut region = Region::new();
        let added: Vec<_> = (0..random.below(60)).map(|_| any_rect(random)).collect();
        for rect in &added {
            region.add(*rect);
        }
        let covers = |regions: &[&Region], x: u16, y: u16| {
            let here = Rect::new(x, y, 1, 1);
            regions.iter().any(|region| region.intersects(here))
        };
        let points: Vec<_> = (added.iter())
            .flat_map(|rect| {
                let (x, y) = (rect.x + rect.width / 2, rect.y + rect.height / 2);
                [(rect.x, rect.y), (rect.right() - 1, rect.bottom() - 1), (x, y)]
            })
            .collect();
        assert!(points.iter().all(|(x, y)| covers(&[&region], *x, *y)));
        let area = any_rect(random);
        let taken = region.take(area);
        assert!(taken.rects().iter().all(|rect| rect.intersection(area) == Some(*rect)));
        assert!(points.iter().all(|(x, y)| covers(&[&region, &taken], *x, *y)));
    });
}

#[test]
fn a_region_joins_what_is_near_and_keeps_apart_what_is_not() {
    let mut region = Region::new();
    for x in 0..8 {
        region.add(Rect::new(10 + x, 10, 1, 8));
    }
    assert_eq!(region.rects(), [Rect::new(10, 10, 8, 8)]);
    region.add(Rect::new(200, 100, 8, 8));
    region.add(Rect::new(201, 101, 2, 2));
    region.add(Rect::new(0, 0, 0, 5));
    assert_eq!(region.rects(), [Rect::new(10, 10, 8, 8), Rect::new(200, 100, 8, 8)]);
    assert_eq!(region.take(Rect::new(0, 0, 14, 160)).rects(), [Rect::new(10, 10, 4, 8)]);
    assert_eq!(region.take(SCREEN).rects().len(), 2);
    assert_eq!(region.rects(), []);
}

#[test]
fn what_is_drawn_again_has_not_changed() {
    let mut picture = Framebuffer::new();
    paint(&mut picture, Rect::new(10, 10, 30, 30), Colour::Red);
    assert_eq!(picture.take_changes().rects(), [Rect::new(10, 10, 30, 30)]);
    paint(&mut picture, Rect::new(10, 10, 30, 30), Colour::Red);
    assert_eq!(picture.take_changes().rects(), []);
    paint(&mut picture, Rect::new(10, 10, 31, 30), Colour::Red);
    assert_eq!(picture.take_changes().rects(), [Rect::new(40, 10, 1, 30)]);
}

#[test]
fn what_is_drawn_outside_is_left_out() {
    let mut picture = Framebuffer::new();
    let points = [(-1, 0), (0, -1), (240, 0), (0, 160), (i32::MAX, 0), (0, i32::MIN)];
    let pixels = points.map(|(x, y)| Pixel(Point::new(x, y), Colour::Red));
    picture.draw_iter(pixels).unwrap();
    assert_eq!(picture.take_changes().rects(), []);
    picture.draw_iter([Pixel(Point::new(239, 159), Colour::Red)]).unwrap();
    assert_eq!(picture.take_changes().rects(), [Rect::new(239, 159, 1, 1)]);
}

// The panel.

/// A panel that is drawn, at the start.
fn drawn() -> (Panel, Framebuffer) {
    let (mut panel, mut picture) = (Panel::new(), Framebuffer::new());
    panel.advance(0);
    panel.draw(&mut picture).unwrap();
    picture.take_changes();
    (panel, picture)
}

/// Lets the panel draw at that time, and returns what has changed.
fn changes_at(now: u64, panel: &mut Panel, picture: &mut Framebuffer) -> Vec<Rect> {
    panel.advance(now);
    panel.draw(picture).unwrap();
    picture.take_changes().rects().to_vec()
}

fn colour_at(picture: &Framebuffer, x: u16, y: u16) -> Colour {
    picture.row(x, y)[0]
}

/// The left end of the button, where there is no text.
fn button_colour(picture: &Framebuffer) -> Colour {
    colour_at(picture, 20, 120)
}

const ON_BUTTON: Point = Point::new(20, 120);
const BESIDE_BUTTON: Point = Point::new(200, 20);
const CLOCK: Rect = Rect::new(14, 48, 80, 24);

#[test]
fn the_clock_changes_each_second_and_nothing_else_does() {
    let (mut panel, mut picture) = drawn();
    assert_eq!(panel.advance(0), 1000, "asleep until the next second");
    assert_eq!(changes_at(999, &mut panel, &mut picture), []);
    for second in 1..=70 {
        let changes = changes_at(second * 1000, &mut panel, &mut picture);
        assert!(!changes.is_empty());
        assert!(changes.iter().all(|rect| rect.intersection(CLOCK) == Some(*rect)), "{changes:?}");
    }
}

#[test]
fn the_button_acts_when_it_is_let_go() {
    let (mut panel, mut picture) = drawn();
    assert_eq!(button_colour(&picture), Colour::Button);
    panel.point(0, ON_BUTTON, false);
    assert_eq!(changes_at(10, &mut panel, &mut picture), []);
    panel.point(0, ON_BUTTON, true);
    assert_eq!(changes_at(20, &mut panel, &mut picture).len(), 1);
    assert_eq!(button_colour(&picture), Colour::Pressed);
    assert_eq!(panel.advance(120), 1000, "the motor stands");
    panel.point(0, ON_BUTTON, false);
    let changes = changes_at(300, &mut panel, &mut picture);
    assert_eq!(button_colour(&picture), Colour::Button);
    let gauge = Rect::new(124, 38, 110, 110);
    assert!(changes.iter().any(|rect| rect.intersection(gauge).is_some()), "{changes:?}");
    // Up to its speed, where it stays.
    for now in (400..20_000).step_by(100) {
        changes_at(now, &mut panel, &mut picture);
    }
    assert_eq!(panel.advance(20_000), 21_000);
    assert_eq!(colour_at(&picture, 142, 124), Colour::Green, "the first mark");
    assert_eq!(colour_at(&picture, 178, 45), Colour::Green, "in the middle");
    panel.point(0, ON_BUTTON, true);
    panel.point(0, ON_BUTTON, false);
    for now in (20_100..40_000).step_by(100) {
        changes_at(now, &mut panel, &mut picture);
    }
    assert_eq!(colour_at(&picture, 142, 124), Colour::Track);
    assert_eq!(panel.advance(40_000), 41_000);
}

#[test]
fn a_press_that_ends_beside_the_button_does_nothing() {
    let (mut panel, mut picture) = drawn();
    panel.point(0, ON_BUTTON, true);
    panel.point(0, BESIDE_BUTTON, false);
    assert_eq!(changes_at(500, &mut panel, &mut picture), []);
    // Nor does one that begins there.
    panel.point(0, BESIDE_BUTTON, true);
    panel.point(0, ON_BUTTON, false);
    assert_eq!(changes_at(600, &mut panel, &mut picture), []);
}

#[test]
fn one_viewer_at_a_time_holds_the_button() {
    let (mut panel, mut picture) = drawn();
    panel.point(0, ON_BUTTON, true);
    panel.point(1, ON_BUTTON, true);
    panel.point(1, ON_BUTTON, false);
    changes_at(100, &mut panel, &mut picture);
    assert_eq!(button_colour(&picture), Colour::Pressed);
    panel.leave(1);
    changes_at(200, &mut panel, &mut picture);
    assert_eq!(button_colour(&picture), Colour::Pressed);
    panel.leave(0);
    changes_at(300, &mut panel, &mut picture);
    assert_eq!(button_colour(&picture), Colour::Button);
    assert_eq!(panel.advance(400), 1000, "the motor stands");
}

// The server.

/// All that a display needs, and a network for it.
fn with_display(slots: usize, origin: Option<&str>, test: impl FnOnce(&mut Rig<'_, '_>)) {
    let sim = Sim::new(0);
    let timeouts = Timeouts { ping: None, ..Timeouts::default() };
    let settings = Settings { timeouts, ..server::settings() };
    let mut slots: Vec<_> = std::iter::repeat_with(Slot::new).take(slots).collect();
    let (mut rx, mut tx) = (vec![0; 512 * slots.len()], vec![0; MIN_TX_BUFFER * slots.len()]);
    let mut viewers: Vec<Option<Viewer>> = slots.iter().map(|_| None).collect();
    let hub = Hub::new(sim.clone(), &mut slots, &mut rx, &mut tx, &settings).unwrap();
    let mut framebuffer = Framebuffer::new();
    let display = Display::new(origin, &mut framebuffer, &mut viewers);
    test(&mut Rig { hub, display, sim });
}

struct Rig<'h, 'd> {
    hub: Hub<'h, Sim>,
    display: Display<'d>,
    sim: Sim,
}

impl Rig<'_, '_> {
    /// Lets all be done that there is to do up to `ms` from now.
    fn run(&mut self, ms: u64) {
        self.sim.allow(ms);
        assert_eq!(self.display.run(&mut self.hub), Err(Fault::Settled));
    }

    fn connect(&mut self, bytes: &[u8]) -> Peer {
        let peer = self.sim.connect();
        peer.send(bytes);
        self.run(0);
        peer
    }

    /// A viewer that has opened with `encoding`.
    fn view(&mut self, encoding: i32) -> Screen {
        let peer = self.connect(&support::request());
        assert!(peer.received().starts_with(b"HTTP/1.1 101 "));
        let mut screen = Screen { peer, stream: Vec::new(), picture: Picture::new() };
        screen.send(&[opening(), set_encodings(&[encoding])].concat());
        self.run(0);
        screen.skip_opening();
        screen
    }
}

/// What a viewer of the server shows.
struct Screen {
    peer: Peer,
    stream: Vec<u8>,
    picture: Picture,
}

impl Screen {
    fn send(&self, bytes: &[u8]) {
        self.peer.send(&masked(FIN | BINARY, bytes));
    }

    /// The bytes of RFB that have come since this was last called.
    fn received(&mut self) -> Vec<u8> {
        self.stream.extend(self.peer.received());
        self.peer.forget();
        if self.stream.starts_with(b"HTTP/1.1 ") {
            let end = self.stream.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            self.stream.drain(..end + 4);
        }
        let mut bytes = Vec::new();
        while let Some((frame, len)) = first_frame(&self.stream) {
            assert_eq!(frame.first, FIN | BINARY);
            assert!(frame.payload.len() <= PIECE, "a message of {}", frame.payload.len());
            bytes.extend(frame.payload);
            self.stream.drain(..len);
        }
        bytes
    }

    fn skip_opening(&mut self) {
        assert_eq!(self.received().len(), 12 + 2 + 4 + 24 + NAME.len());
    }

    fn update(&mut self) -> Vec<Vec<Rect>> {
        let bytes = self.received();
        self.picture.update(&bytes)
    }

    fn ask(&self, is_incremental: bool) {
        self.send(&request(is_incremental, SCREEN));
    }

    fn click(&self) {
        let at = BUTTON.center();
        self.send(&pointer(1, at.x as u16, at.y as u16));
        self.send(&pointer(0, at.x as u16, at.y as u16));
    }
}

#[test]
fn two_viewers_see_the_same_and_only_what_changes() {
    with_display(4, None, |rig| {
        let (mut one, mut other) = (rig.view(RAW), rig.view(HEXTILE));
        for screen in [&mut one, &mut other] {
            screen.ask(true);
            rig.run(0);
            assert_eq!(screen.update(), [[SCREEN]]);
        }
        assert!(one.picture.pixels == other.picture.pixels);
        let mut clicks = 0;
        for second in 0..60 {
            if second % 20 == 5 {
                other.click();
                clicks += 1;
            }
            one.ask(true);
            other.ask(true);
            rig.run(1000);
            let (changed, same) = (one.update(), other.update());
            assert_eq!(changed.len(), 1, "one update for one request");
            assert_eq!(changed, same);
            let area: u32 = changed[0].iter().map(|rect| rect.area()).sum();
            assert!(area * 4 < SCREEN.area(), "{changed:?}");
        }
        assert_eq!(clicks, 3);
        for screen in [&mut one, &mut other] {
            screen.ask(false);
        }
        rig.run(0);
        one.update();
        other.update();
        assert!(one.picture.pixels == other.picture.pixels);
    });
}

/// What one does is seen by the other.
#[test]
fn a_click_of_one_viewer_changes_the_picture_of_the_other() {
    with_display(2, None, |rig| {
        let (one, mut other) = (rig.view(RAW), rig.view(RAW));
        other.ask(true);
        rig.run(0);
        other.update();
        let button = Rect::new(14, 98, 96, 44);
        let text = |screen: &Screen| {
            let row = |y: u16| usize::from(y) * usize::from(WIDTH);
            (100..140)
                .flat_map(|y| screen.picture.pixels[row(y) + 14..row(y) + 110].to_vec())
                .collect::<Vec<_>>()
        };
        let before = text(&other);
        one.click();
        other.ask(true);
        rig.run(0);
        let changed = other.update().concat();
        assert!(changed.iter().any(|rect| rect.intersection(button).is_some()), "{changed:?}");
        assert!(text(&other) != before);
        one.click();
        other.ask(true);
        rig.run(0);
        other.update();
        assert!(text(&other) == before);
        // The same by the keyboard.
        one.send(&[key(0x20, true), key(0x20, false)].concat());
        other.ask(true);
        rig.run(0);
        other.update();
        assert!(text(&other) != before);
    });
}

#[test]
fn space_and_return_push_the_button_and_other_keys_do_not() {
    with_display(1, None, |rig| {
        let mut screen = rig.view(RAW);
        screen.ask(true);
        rig.run(0);
        screen.update();
        let at = 120 * usize::from(WIDTH) + 20;
        let mut colour_after = |rig: &mut Rig<'_, '_>, keysym, is_down| {
            screen.send(&key(keysym, is_down));
            screen.ask(false);
            rig.run(0);
            screen.update();
            let [blue, green, red, _] = screen.picture.pixels[at].unwrap();
            [red, green, blue]
        };
        for (keysym, pushes) in
            [(0x20, true), (0xff0d, true), (0xff0a, false), (0x0d, false), (0x2000_0000, false)]
        {
            let down = if pushes { Colour::Pressed } else { Colour::Button };
            assert_eq!(colour_after(rig, keysym, true), down.rgb(), "{keysym:#x}");
            assert_eq!(colour_after(rig, keysym, false), Colour::Button.rgb(), "{keysym:#x}");
        }
    });
}

/// Not by a pointer that is only moved over it, with its button up or down.
#[test]
fn a_pointer_that_comes_over_the_button_does_not_push_it() {
    with_display(1, None, |rig| {
        let mut screen = rig.view(RAW);
        screen.ask(true);
        rig.run(0);
        screen.update();
        let at = BUTTON.center();
        for (buttons, y) in [(0, 0), (0, at.y), (0, 0), (1, 0), (1, at.y), (5, at.y), (4, at.y)] {
            screen.send(&pointer(buttons, at.x as u16, y as u16));
            screen.ask(true);
            rig.run(0);
            assert!(screen.update().is_empty(), "buttons {buttons} at {y}");
        }
        // Its other buttons are no matter.
        screen.send(&pointer(6, at.x as u16, at.y as u16));
        screen.send(&pointer(7, at.x as u16, at.y as u16));
        rig.run(0);
        assert_eq!(screen.update().len(), 1);
    });
}

/// A viewer that takes nothing is owed the picture as it is then, not those that it missed.
#[test]
fn a_slow_viewer_delays_nobody_and_catches_up() {
    with_display(2, None, |rig| {
        let (mut slow, mut quick) = (rig.view(RAW), rig.view(RAW));
        slow.peer.set_window(5000);
        slow.ask(false);
        quick.click();
        for _ in 0..8 {
            quick.ask(true);
            rig.run(1000);
            assert_eq!(quick.update().len(), 1);
            assert!(slow.peer.in_flight() <= 5000);
            // As much as keeps it from being given up.
            slow.stream.extend(slow.peer.received());
            slow.peer.forget();
        }
        slow.peer.set_window(usize::MAX);
        rig.run(1);
        assert_eq!(slow.update(), [[SCREEN]]);
        for screen in [&mut slow, &mut quick] {
            screen.ask(true);
            rig.run(1000);
            screen.update();
        }
        slow.ask(true);
        quick.ask(false);
        rig.run(0);
        slow.update();
        quick.update();
        assert!(slow.picture.pixels == quick.picture.pixels);
    });
}

/// It is heard all the same.
#[test]
fn a_viewer_that_does_not_read_can_click() {
    with_display(2, None, |rig| {
        let (slow, mut quick) = (rig.view(RAW), rig.view(RAW));
        quick.ask(true);
        rig.run(0);
        quick.update();
        slow.peer.set_window(0);
        slow.ask(false);
        rig.run(0);
        slow.click();
        quick.ask(true);
        rig.run(0);
        assert!(!quick.update().is_empty(), "no click came");
    });
}

#[test]
fn viewers_that_go_make_room_and_let_the_button_go() {
    with_display(2, None, |rig| {
        let mut stays = rig.view(RAW);
        stays.ask(true);
        rig.run(0);
        stays.update();
        for turn in 0..5 {
            let goes = rig.view(HEXTILE);
            let at = BUTTON.center();
            goes.send(&pointer(1, at.x as u16, at.y as u16));
            rig.run(0);
            match turn % 2 {
                0 => goes.peer.reset(),
                _ => {
                    goes.peer.send(&masked(CLOSE, &close_payload(1000, "")));
                    goes.peer.end();
                }
            }
            rig.run(10);
            assert!(goes.peer.closed_at().is_some());
            stays.ask(false);
            rig.run(0);
            stays.update();
            let at = 120 * usize::from(WIDTH) + 20;
            let [red, green, blue] = Colour::Button.rgb();
            assert_eq!(stays.picture.pixels[at], Some([blue, green, red, 0]));
        }
    });
}

#[test]
fn tells_what_was_wrong_and_closes() {
    for (kind, bytes, code, reason) in [
        (BINARY, &b"GET / HTTP/1.1"[..], 1008, "RFB: not a version"),
        (BINARY, b"RFB 003.008\n\x02", 1008, "RFB: no security type 2"),
        (BINARY, b"RFB 003.008\n\x01\x01\xfb", 1008, "RFB: unknown message type 251"),
        (
            BINARY,
            b"RFB 003.008\n\x01\x01\x06\0\0\0\xff\xff\xff\xff",
            1008,
            "RFB: a cut text of 4294967295 bytes",
        ),
        (
            BINARY,
            b"RFB 003.008\n\x01\x01\0\0\0\0\x18\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
            1008,
            "RFB: not a pixel format",
        ),
        (TEXT, b"RFB 003.008\n", 1003, "RFB: a text message"),
    ] {
        with_display(1, None, |rig| {
            let peer = rig.connect(&support::request());
            peer.received();
            peer.forget();
            rig.run(0);
            peer.send(&masked(FIN | kind, bytes));
            // Nobody hears it any more.
            peer.send(&masked(FIN | BINARY, &[0xff; 100]));
            rig.run(0);
            let received = contents(&peer.received());
            let (last, close) = received.last().unwrap();
            assert_eq!((*last, close), (CLOSE, &close_payload(code, reason)));
            let refusals = received.iter().filter(|(_, payload)| payload.ends_with(b"is None"));
            assert_eq!(refusals.count(), usize::from(bytes.ends_with(b"\x02")));
            peer.send(&masked(CLOSE, &close_payload(code, "")));
            peer.end();
            rig.run(10);
            assert!(peer.closed_at().is_some());
            rig.view(RAW);
        });
    }
}

#[test]
fn takes_the_subprotocol_binary_where_it_is_offered() {
    with_display(4, None, |rig| {
        for (offer, answer) in [
            (None, None),
            (Some("binary"), Some("binary")),
            (Some("base64, binary"), Some("binary")),
            (Some("base64"), None),
        ] {
            let field = offer.map(|offer| format!("Sec-WebSocket-Protocol: {offer}"));
            let fields: Vec<_> = REQUEST_FIELDS.into_iter().chain(field.as_deref()).collect();
            let peer = rig.connect(&request_with(&fields));
            let received = peer.received();
            let text = String::from_utf8_lossy(&received);
            assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
            let line = answer.map(|answer| format!("\r\nSec-WebSocket-Protocol: {answer}\r\n"));
            assert_eq!(text.contains("Protocol"), line.is_some());
            assert!(line.is_none_or(|line| text.contains(&line)), "{text}");
        }
    });
}

#[test]
fn only_the_pages_of_its_origin_may_connect() {
    let request = |origin: &str| {
        let origin = format!("Origin: {origin}");
        request_with(&[&REQUEST_FIELDS[..], &[&origin]].concat())
    };
    with_display(2, Some("http://own.example"), |rig| {
        let answer = |peer: Peer| String::from_utf8_lossy(&peer.received()).into_owned();
        let foreign = rig.connect(&request("http://own.example:81"));
        assert!(answer(foreign).starts_with("HTTP/1.1 403 "));
        let own = rig.connect(&request("http://own.example"));
        assert!(answer(own).starts_with("HTTP/1.1 101 "));
    });
    with_display(1, None, |rig| {
        let any = rig.connect(&request("http://foreign.example"));
        assert!(any.received().starts_with(b"HTTP/1.1 101 "));
    });
}

#[test]
fn tells_who_comes_without_a_viewer_how_to_use_one() {
    with_display(1, None, |rig| {
        for (line, status, says) in [
            ("GET / HTTP/1.1", "200", true),
            ("HEAD / HTTP/1.1", "200", false),
            ("GET /favicon.ico HTTP/1.1", "404", false),
            ("POST / HTTP/1.1", "405", false),
        ] {
            let peer = rig.connect(&head(line, &["Host: a.example", "Content-Length: 0"]));
            let answer = String::from_utf8(peer.received()).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(answer.contains("vnc.html?host=HOST&port=PORT"), says, "{answer}");
            peer.end();
            rig.run(10);
            assert!(peer.closed_at().is_some());
        }
    });
}
