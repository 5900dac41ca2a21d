//! The number of helpers that are worth calling.
//!
//! A helper whose core is wanted by another process holds everybody up: the caller waits for its last piece of work until the
//! scheduler gives it a core again, milliseconds later. So every such delay takes helpers out of use for a while, longer each
//! time that bringing one back fails.

use std::time::{Duration, Instant};

/// Time that helpers are out of use after a first delay, and after many in a row.
const PAUSE: [Duration; 2] = [Duration::from_millis(4), Duration::from_millis(128)];

/// Time without a delay after which the next one counts as the first: in it, helpers have won more than a delay costs. Beside a
/// process that wants a core all the time the scheduler takes it away every few milliseconds; beside one that wakes for each frame
/// of a camera, a few times in a hundred.
const CALM: Duration = Duration::from_millis(20);

/// Helpers in use.
pub(super) struct Pace {
    helpers: usize,
    in_use: usize,
    /// Time until another helper is tried.
    pause: Duration,
    /// When `in_use` last changed.
    changed: Instant,
}

impl Pace {
    pub(super) fn new(helpers: usize) -> Self {
        Self { helpers, in_use: helpers, pause: PAUSE[0], changed: Instant::now() }
    }

    /// Helpers to call at `now`: one more than before when the pause is over.
    pub(super) fn in_use(&mut self, now: Instant) -> usize {
        if self.in_use < self.helpers && now - self.changed >= self.pause {
            self.in_use += 1;
            self.changed = now;
        }
        self.in_use
    }

    /// Takes one helper of four out of use, at least one, because one was without a core at `now`.
    pub(super) fn slow_down(&mut self, now: Instant) {
        let [first, longest] = PAUSE;
        self.pause = match now - self.changed < CALM {
            true => (2 * self.pause).min(longest),
            false => first,
        };
        self.in_use -= self.in_use.div_ceil(4);
        self.changed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_take_all_helpers_out_of_use_and_pauses_bring_them_back() {
        let mut pace = Pace::new(5);
        let mut now = Instant::now();
        let mut after_each_delay = Vec::new();
        while pace.in_use(now) > 0 {
            pace.slow_down(now);
            after_each_delay.push(pace.in_use(now));
        }
        assert_eq!(after_each_delay, [3, 2, 1, 0]);
        for expected in 1..=5 {
            now += PAUSE[1];
            assert_eq!(pace.in_use(now), expected);
        }
        assert_eq!(pace.in_use(now + PAUSE[1]), 5);
    }

    #[test]
    fn pauses_grow_while_helpers_fail_and_are_short_again_after_a_calm_time() {
        let mut pace = Pace::new(1);
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pace.slow_down(now);
            pauses.push(pace.pause.as_millis());
            assert_eq!(pace.in_use(now + pace.pause / 2), 0);
            now += pace.pause;
            assert_eq!(pace.in_use(now), 1);
        }
        assert_eq!(pauses, [8, 16, 32, 64, 128, 128, 128, 128]);
        pace.slow_down(now + CALM);
        assert_eq!(pace.pause, PAUSE[0]);
    }
}
