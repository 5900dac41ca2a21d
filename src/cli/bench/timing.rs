//! Repeated runs and their times.

use std::time::{Duration, Instant};

/// Runs that are not timed, at the beginning.
const WARM_UP: usize = 2;
/// Runs that are timed, however long they take.
const MIN_RUNS: usize = 5;

/// The times of a number of runs, at least one.
pub(super) struct Timing {
    /// Shortest first.
    sorted: Vec<Duration>,
}

impl Timing {
    /// Runs `work` on what `prepare` returns until `budget` is spent; `prepare` itself is not timed.
    pub(super) fn measure<T>(
        budget: Duration,
        mut prepare: impl FnMut() -> T,
        mut work: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        for _ in 0..WARM_UP {
            work(prepare())?;
        }
        let start = Instant::now();
        let mut sorted = Vec::new();
        while start.elapsed() < budget || sorted.len() < MIN_RUNS {
            let input = prepare();
            let run = Instant::now();
            work(input)?;
            sorted.push(run.elapsed());
        }
        sorted.sort_unstable();
        Ok(Self { sorted })
    }

    pub(super) fn median(&self) -> Duration {
        self.sorted[self.sorted.len() / 2]
    }

    pub(super) fn min(&self) -> Duration {
        self.sorted[0]
    }

    pub(super) fn runs(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_runs_are_timed_after_the_warm_up_even_without_a_budget() {
        let mut runs = 0;
        let timing = Timing::measure(
            Duration::ZERO,
            || (),
            |()| {
                runs += 1;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!((runs, timing.runs()), (7, 5));
        assert!(timing.min() <= timing.median());
    }
}
