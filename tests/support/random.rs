// SPDX-License-Identifier: Apache-2.0
//! Runs that differ by a seed, which is printed where one fails and can be given again.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Another sequence of numbers.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Whether one of `count` cases is there.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Runs `test` with `count` seeds, or as many as the environment variable `FAULT_RUNS` says, or with
/// the one in the environment variable `variable`.
pub fn with_seeds(variable: &str, count: u64, test: impl Fn(&mut Random)) {
    for seed in seeds(variable, count) {
        let _name = Name(variable, seed);
        test(&mut Random::new(seed));
    }
}

/// The same, with many at a time, for tests that mostly wait.
pub fn with_seeds_at_once(variable: &str, count: u64, test: impl Fn(&mut Random) + Sync) {
    let next = AtomicU64::new(0);
    let seeds = seeds(variable, count);
    let work = || {
        while let Some(seed) = seeds.clone().nth(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let _name = Name(variable, seed);
            test(&mut Random::new(seed));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
}

const AT_ONCE: usize = 16;

fn seeds(variable: &str, count: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let count = number("FAULT_RUNS").unwrap_or(count);
    number(variable).map_or(0..count, |seed: u64| seed..seed + 1)
}

/// Says which seed it was if the test fails.
struct Name<'a>(&'a str, u64);

impl Drop for Name<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat: {}={} cargo test", self.0, self.1);
        }
    }
}
