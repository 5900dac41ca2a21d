//! Rate and latency of the last frames, and totals.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::Counters;

/// Frames over which rate and typical latency are taken.
const WINDOW: usize = 256;

/// Statistics of labelled frames, in a bounded memory.
#[derive(Debug)]
pub(super) struct Statistics {
    started: Instant,
    /// Totals of what the watch does; those of the source are the capture's.
    pub(super) counters: Counters,
    /// Completion and latency of the last frames.
    frames: VecDeque<(Instant, Duration)>,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            counters: Counters::default(),
            frames: VecDeque::with_capacity(WINDOW),
        }
    }
}

impl Statistics {
    /// Counts a frame that was labelled just now.
    pub(super) fn add(&mut self, latency: Duration) {
        self.counters.labelled += 1;
        if self.frames.len() == WINDOW {
            self.frames.pop_front();
        }
        self.frames.push_back((Instant::now(), latency));
    }

    /// Time since the start.
    pub(super) fn duration(&self) -> Duration {
        self.started.elapsed()
    }

    /// Frames a second over the last two seconds, or over the last two frames if they are rarer; 0 before the second.
    pub(super) fn rate(&self) -> f64 {
        let Some(&(last, _)) = self.frames.back() else { return 0.0 };
        let mut recent = self.frames.iter().rev().skip(1).map(|&(at, _)| last - at).zip(1_u32..);
        let Some(mut longest) = recent.next() else { return 0.0 };
        for span in recent.take_while(|(span, _)| *span <= Duration::from_secs(2)) {
            longest = span;
        }
        f64::from(longest.1) / longest.0.as_secs_f64().max(1e-6)
    }

    /// Median over the last 256 frames, if there were any.
    pub(super) fn median_latency(&self) -> Option<Duration> {
        let mut latencies: Vec<Duration> =
            self.frames.iter().map(|&(_, latency)| latency).collect();
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_no_frames_is_none() {
        let mut statistics = Statistics::default();
        assert_eq!((statistics.median_latency(), statistics.rate()), (None, 0.0));
        for milliseconds in 0..1000 {
            statistics.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(statistics.frames.len(), WINDOW);
        assert_eq!(statistics.counters.labelled, 1000);
        assert_eq!(statistics.median_latency(), Some(Duration::from_millis(872)));
    }
}
