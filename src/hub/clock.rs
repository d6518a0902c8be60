// SPDX-License-Identifier: Apache-2.0
//! Time and timeouts, in milliseconds and 32 bits.

use core::time::Duration;

/// The longest timeout: half of what 32 bits count, so that past and future can be told apart.
const LONGEST: u32 = u32::MAX >> 1;

/// A moment: the low half of a clock that counts milliseconds and never goes back. Moments are up
/// to 24 days apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self(now_ms as u32)
    }

    /// The moment `span` later.
    pub(super) const fn after(self, span: Span) -> Self {
        Self(self.0.wrapping_add(span.0))
    }

    /// What is left until the moment `self`, nothing if it has passed.
    pub(super) const fn left(self, now: Self) -> Span {
        let left = self.0.wrapping_sub(now.0);
        Span(if left > LONGEST { 0 } else { left })
    }

    pub(super) const fn has_passed(self, now: Self) -> bool {
        self.left(now).0 == 0
    }
}

/// A length of time, at most 24 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(u32);

impl Span {
    pub(super) const ZERO: Self = Self(0);

    pub(super) const fn from_ms(ms: u32) -> Self {
        Self(if ms > LONGEST { LONGEST } else { ms })
    }

    /// Rounded up to whole milliseconds.
    pub(super) fn new(duration: Duration) -> Self {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let ms = duration.subsec_nanos().div_ceil(1_000_000);
        Self::from_ms(seconds.saturating_mul(1000).saturating_add(ms))
    }

    pub(super) const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, LONGEST, Moment, Span};

    #[test]
    fn moments_follow_each_other_where_the_count_wraps() {
        let now = Moment::new((1 << 32) - 5);
        let later = now.after(Span::from_ms(10));
        assert_eq!(later, Moment::new((1 << 32) + 5));
        assert_eq!(later.left(now), Span(10));
        assert!(!later.has_passed(now));
        assert!(later.has_passed(later));
        assert!(later.has_passed(later.after(Span::from_ms(1))));
        assert!(now.has_passed(later));
        assert!(!now.after(Span(LONGEST)).has_passed(now));
    }

    #[test]
    fn durations_are_rounded_up_and_bounded() {
        assert_eq!(Span::new(Duration::from_micros(1)), Span(1));
        assert_eq!(Span::new(Duration::from_millis(2500)), Span(2500));
        assert_eq!(Span::new(Duration::ZERO), Span::ZERO);
        assert_eq!(Span::new(Duration::MAX), Span(LONGEST));
    }
}
