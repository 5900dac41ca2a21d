//! The time that operators take.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often an operator ran, and how long in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorTime {
    /// Its name, as in [`Execution`](crate::Execution).
    pub operator: String,
    /// Runs of nodes of it.
    pub count: usize,
    /// The time of all these runs.
    pub time: Duration,
}

/// Adds up the time of each operator, over all graphs of an engine.
#[derive(Debug, Default)]
pub(crate) struct Profiler(Mutex<BTreeMap<String, (usize, Duration)>>);

impl Profiler {
    /// Runs `work`, and adds its time to that of `operator`.
    pub(crate) fn time<T>(&self, operator: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let outcome = work();
        self.add(operator, start.elapsed());
        outcome
    }

    /// Takes out what was added up, the longest first.
    pub(crate) fn take(&self) -> Vec<OperatorTime> {
        let times = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut times: Vec<OperatorTime> = times
            .into_iter()
            .map(|(operator, (count, time))| OperatorTime { operator, count, time })
            .collect();
        times.sort_by_key(|operator| std::cmp::Reverse(operator.time));
        times
    }

    fn add(&self, operator: &str, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, total) = times.entry(operator.to_owned()).or_default();
        *count += 1;
        *total += time;
    }
}
