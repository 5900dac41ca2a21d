//! What a process takes of the machine, as `/proc` tells it.

use std::{fmt, fs};

#[derive(Clone, Copy)]
pub(crate) struct Resources {
    pub(crate) resident_mb: f64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
}

impl Resources {
    pub(crate) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |key: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Self {
            resident_mb: number("VmRSS:") / 1000.0,
            threads: number("Threads:") as usize,
            files: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(),
        }
    }
}

/// In the order of a table's columns: memory, threads, files.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} | {} | {}", self.resident_mb, self.threads, self.files)
    }
}

/// The median of each.
pub(crate) fn median(samples: &[Resources]) -> Resources {
    let middle = samples.len() / 2;
    let median = |of: fn(&Resources) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        *values.select_nth_unstable_by(middle, f64::total_cmp).1
    };
    Resources {
        resident_mb: median(|sample| sample.resident_mb),
        threads: median(|sample| sample.threads as f64) as usize,
        files: median(|sample| sample.files as f64) as usize,
    }
}
