//! A steady rate for sources that have none of their own.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Least rate, in frames a second.
const MIN_FPS: f32 = 0.01;

/// Waits such that frames come at a steady rate.
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// `fps` frames a second, at least 0.01.
    pub(super) fn new(fps: f32) -> Self {
        Self { interval: Duration::from_secs_f32(1.0 / fps.max(MIN_FPS)), next: Instant::now() }
    }

    /// Time from one frame to the next.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits until the next frame is due. A delay is not made up for.
    pub(super) fn wait(&mut self) {
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        self.next = self.next.max(now) + self.interval;
    }
}
