// SPDX-License-Identifier: Apache-2.0
//! When a client should try again (RFC 6455 section 7.2.3).

use core::time::Duration;

use crate::handshake::Head;
use crate::transport::{Entropy, EntropyUnavailable};

/// How long to wait before the next attempt to connect: truncated binary exponential backoff, as
/// RFC 6455 section 7.2.3 recommends, with full jitter.
///
/// A delay is random between nothing and a limit, which is doubled by every attempt up to a
/// maximum. The whole range is used, not its upper half (equal jitter), as clients that a server
/// lost at the same moment then come back the most evenly; that section too lets the first delay
/// begin at 0.
///
/// ```
/// # use zephyr_websocket::{Entropy, EntropyUnavailable};
/// # struct Dice;
/// # impl Entropy for Dice {
/// #     fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
/// #         bytes.fill(0xFF);
/// #         Ok(())
/// #     }
/// # }
/// use std::time::Duration;
/// use zephyr_websocket::Backoff;
///
/// let second = Duration::from_secs(1);
/// let mut backoff = Backoff::new(5 * second, 60 * second, 30 * second);
/// assert!(backoff.next_delay(&mut Dice)? <= 5 * second);
/// assert!(backoff.next_delay(&mut Dice)? <= 10 * second);
/// backoff.ended(45 * second);
/// assert!(backoff.next_delay(&mut Dice)? <= 5 * second);
/// # Ok::<(), EntropyUnavailable>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    /// All in milliseconds.
    initial: u32,
    max: u32,
    stable: u32,
    /// What a server has asked for.
    retry_after: u32,
    /// How often the limit has been doubled.
    doublings: u8,
}

/// The most that a server's `Retry-After` counts for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

impl Default for Backoff {
    /// First up to 5 s, as RFC 6455 section 7.2.3 suggests, at most 60 s, and from the beginning
    /// after a connection of 60 s.
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self::new(Duration::from_secs(5), MINUTE, MINUTE)
    }
}

impl Backoff {
    /// The first delay is up to `initial`, every delay at most `max`, and after a connection that
    /// was open for `stable` or longer the next one is a first one again. In milliseconds, up to
    /// 49 days.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration, stable: Duration) -> Self {
        Self {
            initial: milliseconds(initial),
            max: milliseconds(max),
            stable: milliseconds(stable),
            retry_after: 0,
            doublings: 0,
        }
    }

    /// How long to wait before the next attempt. What a server has asked for is added once.
    ///
    /// # Errors
    /// The entropy source gave no bytes; nothing changed.
    pub fn next_delay(
        &mut self,
        entropy: &mut impl Entropy,
    ) -> Result<Duration, EntropyUnavailable> {
        let mut random = [0; 4];
        entropy.fill(&mut random)?;
        let limit = u64::from(self.initial) << self.doublings.min(31);
        let limit = limit.min(self.max.into());
        // Evenly from 0 to the limit: neither factor has more than 32 bits, but for 2^32 itself.
        let scaled = limit.wrapping_add(1).saturating_mul(u32::from_le_bytes(random).into()) >> 32;
        let delay = scaled.wrapping_add(core::mem::take(&mut self.retry_after).into());
        self.doublings = self.doublings.saturating_add(1);
        Ok(Duration::from_millis(delay))
    }

    /// A connection has ended that was open for `open_for`. One that ends at once, as at a server
    /// that accepts only to fail, does not count as a success.
    pub const fn ended(&mut self, open_for: Duration) {
        if milliseconds(open_for) >= self.stable {
            self.doublings = 0;
        }
    }

    /// The server has refused with `status` and the fields of `head`: for
    /// [`connect_or_refused`](crate::connect_or_refused). `Retry-After` of a 503 (RFC 9110 section
    /// 10.2.3) or a 429 (RFC 6585 section 4) counts in its form of seconds, up to
    /// [`MAX_RETRY_AFTER`]; a date does not, as a device may not know which it is.
    pub fn refused(&mut self, status: u16, head: Head<'_>) {
        let seconds = head.field("Retry-After").and_then(seconds);
        if let (503 | 429, Some(seconds)) = (status, seconds) {
            let retry_after = Duration::from_secs(seconds).min(MAX_RETRY_AFTER);
            self.retry_after = milliseconds(retry_after);
        }
    }
}

/// The value of one or more digits; the largest number for what is over it.
fn seconds(value: &[u8]) -> Option<u64> {
    let mut seconds = 0u64;
    for digit in value {
        if !digit.is_ascii_digit() {
            return None;
        }
        seconds = seconds.saturating_mul(10).saturating_add(u64::from(digit & 0x0F));
    }
    (!value.is_empty()).then_some(seconds)
}

const fn milliseconds(duration: Duration) -> u32 {
    let ms = duration.as_secs().saturating_mul(1000);
    let ms = ms.saturating_add(duration.subsec_millis() as u64);
    if ms > u32::MAX as u64 { u32::MAX } else { ms as u32 }
}
