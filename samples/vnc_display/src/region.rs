// SPDX-License-Identifier: Apache-2.0
//! Rectangles of the screen, and the few that cover all that has changed.

use heapless::Vec;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

impl Rect {
    pub const fn new(x: u16, y: u16, width: u16, height: u16) -> Self {
        Self { x, y, width, height }
    }

    /// What lies between two corners, the second one outside; `None` if that is nothing.
    fn between(x: u16, y: u16, right: u16, bottom: u16) -> Option<Self> {
        let (width, height) = (right.saturating_sub(x), bottom.saturating_sub(y));
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    pub const fn right(self) -> u16 {
        self.x.saturating_add(self.width)
    }

    pub const fn bottom(self) -> u16 {
        self.y.saturating_add(self.height)
    }

    pub fn area(self) -> u32 {
        u32::from(self.width) * u32::from(self.height)
    }

    /// What lies in both.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::between(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest rectangle around both.
    pub fn cover(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let width = self.right().max(other.right()) - x;
        let height = self.bottom().max(other.bottom()) - y;
        Self { x, y, width, height }
    }

    /// What is left of it outside `hole`: above, below, on the left and on the right.
    fn without(self, hole: Self) -> [Option<Self>; 4] {
        let Some(hole) = self.intersection(hole) else { return [Some(self), None, None, None] };
        [
            Self::between(self.x, self.y, self.right(), hole.y),
            Self::between(self.x, hole.bottom(), self.right(), self.bottom()),
            Self::between(self.x, hole.y, hole.x, hole.bottom()),
            Self::between(hole.right(), hole.y, self.right(), hole.bottom()),
        ]
    }
}

/// How many rectangles a region has at the most. More of them become fewer and larger ones.
const MAX_RECTS: usize = 16;

/// How many pixels more may be sent to have one rectangle less, whose header has 12 bytes.
const SLACK: u32 = 16;

/// A part of the screen: everything that was added lies in one of its rectangles.
#[derive(Clone, Debug, Default)]
pub struct Region {
    rects: Vec<Rect, MAX_RECTS>,
}

impl Region {
    pub const fn new() -> Self {
        Self { rects: Vec::new() }
    }

    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    pub fn intersects(&self, area: Rect) -> bool {
        self.rects.iter().any(|rect| rect.intersection(area).is_some())
    }

    pub fn add(&mut self, mut rect: Rect) {
        if rect.area() == 0 {
            return;
        }
        // Each turn there is one rectangle less.
        while let Some((index, growth)) = self.nearest(rect) {
            if growth > i64::from(SLACK) && !self.rects.is_full() {
                break;
            }
            rect = rect.cover(self.rects.swap_remove(index));
        }
        // There is room: a full list has just lost one.
        let _ = self.rects.push(rect);
    }

    /// The rectangle that covers the fewest pixels more if it is one with `rect`, and how many.
    fn nearest(&self, rect: Rect) -> Option<(usize, i64)> {
        let growth = |other: &Rect| {
            i64::from(rect.cover(*other).area()) - i64::from(rect.area()) - i64::from(other.area())
        };
        self.rects.iter().map(growth).enumerate().min_by_key(|(_, growth)| *growth)
    }

    /// Takes out what lies in `area`.
    pub fn take(&mut self, area: Rect) -> Self {
        let mut taken = Self::new();
        for rect in core::mem::take(&mut self.rects) {
            if let Some(inside) = rect.intersection(area) {
                taken.add(inside);
            }
            for outside in rect.without(area).into_iter().flatten() {
                // As it is while there is room, so that nothing of `area` comes back.
                if let Err(outside) = self.rects.push(outside) {
                    self.add(outside);
                }
            }
        }
        taken
    }
}
