// SPDX-License-Identifier: Apache-2.0
//! What the display shows: a clock, a motor's gauge and the button that starts and stops it. There
//! is no motor: its speed is computed.

use core::fmt::Write;

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Angle, Point, Size};
use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_7X13_BOLD, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyleBuilder};
use embedded_graphics::primitives::{
    Arc, PrimitiveStyle, Rectangle, RoundedRectangle, StyledDrawable,
};
use embedded_graphics::text::{Alignment, Text, TextStyleBuilder};
use heapless::String;

use crate::framebuffer::Colour;

/// Where the button is: a click in it counts.
pub const BUTTON: Rectangle = Rectangle::new(Point::new(14, 98), Size::new(96, 44));

const BAR: Rectangle = Rectangle::new(Point::new(0, 0), Size::new(240, 22));
const CLOCK: Point = Point::new(14, 66);

const GAUGE: Point = Point::new(178, 92);
const GAUGE_DIAMETER: u32 = 96;
const GAUGE_STROKE: u32 = 12;
/// The gauge is made of marks, each of which is lit or not.
const MARKS: u16 = 25;
/// From the lower left over the top to the lower right, in degrees.
const FIRST_MARK: f32 = 135.0;
const BETWEEN_MARKS: f32 = 270.0 / MARKS as f32;
const MARK: f32 = 0.7 * BETWEEN_MARKS;

/// How often the motor's speed is computed, in milliseconds.
const STEP_MS: u64 = 100;
/// The speed of the running motor, in thousandths.
const FULL_SPEED: u16 = 880;
const FULL_SCALE: u16 = 1000;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    second: u64,
    /// The motor's speed in thousandths.
    speed: u16,
    is_running: bool,
    is_pressed: bool,
    viewers: usize,
}

impl Shown {
    fn lit_marks(self) -> u16 {
        (self.speed * MARKS).div_ceil(FULL_SCALE)
    }
}

/// The panel, which draws only what is not shown yet.
#[derive(Debug)]
pub struct Panel {
    shown: Option<Shown>,
    next: Shown,
    /// Which viewer holds the button down.
    pressed_by: Option<usize>,
    step_at: u64,
}

impl Panel {
    pub const fn new() -> Self {
        let next = Shown { second: 0, speed: 0, is_running: false, is_pressed: false, viewers: 0 };
        Self { shown: None, next, pressed_by: None, step_at: 0 }
    }

    /// The left button of a viewer's pointer goes down there, or up.
    pub fn point(&mut self, viewer: usize, at: Point, is_down: bool) {
        self.hold(viewer, is_down, BUTTON.contains(at));
    }

    /// A viewer pushes the button down or lets it go, on the button or beside it. It counts when it
    /// is let go on it.
    pub fn hold(&mut self, viewer: usize, is_down: bool, is_on_it: bool) {
        match self.pressed_by {
            None if is_down && is_on_it => self.press(Some(viewer)),
            Some(by) if by == viewer && !is_down => {
                self.press(None);
                if is_on_it {
                    self.next.is_running = !self.next.is_running;
                    log::info!("motor {}", if self.next.is_running { "on" } else { "off" });
                }
            }
            _ => {}
        }
    }

    /// A viewer has gone.
    pub fn leave(&mut self, viewer: usize) {
        if self.pressed_by == Some(viewer) {
            self.press(None);
        }
    }

    fn press(&mut self, by: Option<usize>) {
        self.pressed_by = by;
        self.next.is_pressed = by.is_some();
    }

    /// How many are looking.
    pub fn set_viewers(&mut self, count: usize) {
        self.next.viewers = count;
    }

    /// Lets the time be `now` milliseconds since the start, and returns when it is to be told again.
    pub fn advance(&mut self, now: u64) -> u64 {
        self.next.second = now / 1000;
        if now >= self.step_at {
            self.step_at = now + STEP_MS;
            let target = if self.next.is_running { FULL_SPEED } else { 0 };
            let speed = self.next.speed;
            // A tenth of what is missing, and at least 1.
            self.next.speed = match target.checked_sub(speed) {
                Some(missing) => speed + missing.div_ceil(10),
                None => speed - (speed - target).div_ceil(10),
            };
        }
        let second_at = (self.next.second + 1) * 1000;
        if self.is_moving() { second_at.min(self.step_at) } else { second_at }
    }

    fn is_moving(&self) -> bool {
        self.next.speed != if self.next.is_running { FULL_SPEED } else { 0 }
    }

    /// Draws what has changed.
    pub fn draw<D: DrawTarget<Color = Colour>>(&mut self, target: &mut D) -> Result<(), D::Error> {
        let next = self.next;
        let shown = self.shown.replace(next);
        if shown.is_none() {
            draw_once(target)?;
        }
        let differs = |part: fn(Shown) -> u64| shown.map(part) != Some(part(next));
        let mut text = String::<16>::new();
        if differs(|shown| shown.viewers as u64) {
            let plural = if next.viewers == 1 { ' ' } else { 's' };
            let _ = write!(text, "{:>4} viewer{plural}", next.viewers);
            let place = Point::new(232, 14);
            write_text(
                &text,
                place,
                &FONT_6X10,
                [Colour::Dim, Colour::Bar],
                Alignment::Right,
                target,
            )?;
        }
        if differs(|shown| shown.second) {
            let (hours, minutes) = (next.second / 3600, next.second / 60 % 60);
            text.clear();
            let _ = write!(text, "{hours:02}:{minutes:02}:{:02}", next.second % 60);
            let colours = [Colour::Text, Colour::Background];
            write_text(&text, CLOCK, &FONT_10X20, colours, Alignment::Left, target)?;
        }
        if differs(|shown| shown.speed.into()) {
            let lit = shown.map(Shown::lit_marks);
            draw_marks(lit, next.lit_marks(), target)?;
            text.clear();
            let _ = write!(text, "{:>3} %", next.speed.div_ceil(FULL_SCALE / 100));
            let place = GAUGE + Point::new(0, 4);
            let colours = [Colour::Text, Colour::Background];
            write_text(&text, place, &FONT_10X20, colours, Alignment::Center, target)?;
        }
        if differs(|shown| u64::from(shown.is_running) << 1 | u64::from(shown.is_pressed)) {
            draw_button(next, target)?;
        }
        Ok(())
    }
}

/// What never changes.
fn draw_once<D: DrawTarget<Color = Colour>>(target: &mut D) -> Result<(), D::Error> {
    BAR.draw_styled(&PrimitiveStyle::with_fill(Colour::Bar), target)?;
    let title = [Colour::Text, Colour::Bar];
    write_text(
        "zephyr-websocket",
        Point::new(8, 15),
        &FONT_7X13_BOLD,
        title,
        Alignment::Left,
        target,
    )?;
    let label = [Colour::Dim, Colour::Background];
    write_text("uptime", CLOCK - Point::new(0, 22), &FONT_6X10, label, Alignment::Left, target)?;
    let place = GAUGE + Point::new(0, 50);
    write_text("motor speed", place, &FONT_6X10, label, Alignment::Center, target)
}

/// Draws the marks that are not lit as they should be; `None` has no marks yet.
fn draw_marks<D: DrawTarget<Color = Colour>>(
    shown: Option<u16>,
    lit: u16,
    target: &mut D,
) -> Result<(), D::Error> {
    for mark in 0..MARKS {
        let is_lit = mark < lit;
        if shown.is_some_and(|shown| (mark < shown) == is_lit) {
            continue;
        }
        let colour = match mark * 100 / MARKS {
            _ if !is_lit => Colour::Track,
            0..60 => Colour::Green,
            60..80 => Colour::Amber,
            _ => Colour::Red,
        };
        let start = Angle::from_degrees(FIRST_MARK + f32::from(mark) * BETWEEN_MARKS);
        Arc::with_center(GAUGE, GAUGE_DIAMETER, start, Angle::from_degrees(MARK))
            .draw_styled(&PrimitiveStyle::with_stroke(colour, GAUGE_STROKE), target)?;
    }
    Ok(())
}

fn draw_button<D: DrawTarget<Color = Colour>>(next: Shown, target: &mut D) -> Result<(), D::Error> {
    let colour = if next.is_pressed { Colour::Pressed } else { Colour::Button };
    RoundedRectangle::with_equal_corners(BUTTON, Size::new(8, 8))
        .draw_styled(&PrimitiveStyle::with_fill(colour), target)?;
    let text = if next.is_running { "STOP" } else { "START" };
    let place = BUTTON.center() + Point::new(0, 6);
    write_text(text, place, &FONT_10X20, [Colour::Text, colour], Alignment::Center, target)
}

/// Writes both colours of each character, so that what was there before is gone.
fn write_text<D: DrawTarget<Color = Colour>>(
    text: &str,
    baseline: Point,
    font: &MonoFont<'_>,
    [colour, background]: [Colour; 2],
    alignment: Alignment,
    target: &mut D,
) -> Result<(), D::Error> {
    let characters = MonoTextStyleBuilder::new()
        .font(font)
        .text_color(colour)
        .background_color(background)
        .build();
    let style = TextStyleBuilder::new().alignment(alignment).build();
    Text::with_text_style(text, baseline, characters, style).draw(target)?;
    Ok(())
}
