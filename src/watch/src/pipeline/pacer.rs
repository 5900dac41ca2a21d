//! The rate of labelled frames.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Error, throttle::Throttle};

/// Decides which frames are labelled, and when.
pub(super) struct Pacer {
    every: u64,
    min_interval: Duration,
    throttle: Throttle,
    /// Number of the last labelled frame, and the time at which its labelling began.
    last: Option<(u64, Instant)>,
}

impl Pacer {
    /// # Errors
    /// [`Error::Option`] for a `max_fps` that is not 0.001 to 1000.
    pub(super) fn new(
        every: u64,
        max_fps: Option<f32>,
        max_temperature: Option<f32>,
    ) -> Result<Self, Error> {
        Ok(Self {
            every: every.max(1),
            min_interval: interval(max_fps)?,
            throttle: Throttle::new(max_temperature),
            last: None,
        })
    }

    /// Waits until the next frame is due, for `timeout` at most; whether it is due.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let Some((_, at)) = self.last else { return true };
        let pause = self.min_interval.max(self.throttle.pause());
        let remaining = pause.saturating_sub(at.elapsed());
        thread::sleep(remaining.min(timeout));
        remaining <= timeout
    }

    /// Whether frame `number` is to be labelled; if so, its labelling begins now.
    pub(super) fn accept(&mut self, number: u64) -> bool {
        let is_wanted = self.last.is_none_or(|(last, _)| number >= last + self.every);
        if is_wanted {
            self.last = Some((number, Instant::now()));
        }
        is_wanted
    }

    /// Reads the board's temperature from time to time, and logs a change of the rate.
    pub(super) fn poll_temperature(&mut self) {
        if let Some(change) = self.throttle.update() {
            log::warn!("{change}");
        }
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.throttle
    }
}

/// Least time from one frame to the next.
fn interval(max_fps: Option<f32>) -> Result<Duration, Error> {
    match max_fps {
        None => Ok(Duration::ZERO),
        Some(fps) if (0.001..=1000.0).contains(&fps) => Ok(Duration::from_secs_f32(1.0 / fps)),
        Some(fps) => Err(Error::Option {
            option: "max_fps",
            expected: "0.001 to 1000".to_owned(),
            found: fps.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_of_every_so_many_is_accepted() {
        let mut pacer = Pacer::new(3, None, None).unwrap();
        let accepted: Vec<u64> = (1..12).filter(|number| pacer.accept(*number)).collect();
        assert_eq!(accepted, [1, 4, 7, 10]);
    }

    #[test]
    fn the_first_frame_is_due_at_once_and_the_second_after_the_interval() {
        let mut pacer = Pacer::new(1, Some(0.1), None).unwrap();
        assert!(pacer.wait(Duration::ZERO));
        assert!(pacer.accept(1));
        assert!(!pacer.wait(Duration::ZERO));
    }

    #[test]
    fn a_rate_out_of_range_is_named() {
        for fps in [0.0, -1.0, f32::NAN, 1001.0] {
            let error = Pacer::new(1, Some(fps), None).err().unwrap().to_string();
            assert!(error.starts_with("max_fps: expected 0.001 to 1000"), "{error}");
        }
    }
}
