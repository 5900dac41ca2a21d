//! The table of operators that `coca bench --profile` prints.

use std::{fmt, time::Duration};

use coca_edge::engine::OperatorTime;
use serde::Serialize;

/// The operators of all runs, the longest first.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Profile(Vec<Row>);

#[derive(Serialize)]
struct Row {
    operator: String,
    count: usize,
    total_ms: f64,
    /// Of the time of all operators.
    share: f64,
}

impl Profile {
    pub(super) fn new(times: Vec<OperatorTime>) -> Self {
        let all: Duration = times.iter().map(|row| row.time).sum();
        let all = all.as_secs_f64().max(f64::MIN_POSITIVE);
        let row = |OperatorTime { operator, count, time }: OperatorTime| Row {
            operator,
            count,
            total_ms: (time.as_secs_f64() * 1e6).round() / 1e3,
            share: time.as_secs_f64() / all,
        };
        Self(times.into_iter().map(row).collect())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [operator, count, total, share] = ["operator", "count", "total ms", "share"];
        write!(f, "{operator:<28} {count:>8} {total:>12} {share:>7}")?;
        for Row { operator, count, total_ms, share } in &self.0 {
            let percent = 100.0 * share;
            write!(f, "\n{operator:<28} {count:>8} {total_ms:>12.3} {percent:>6.1}%")?;
        }
        Ok(())
    }
}
