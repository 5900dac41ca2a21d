//! Reports of frames, and the summary of a watch.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::Event;
use crate::{Counters, FrameCaption, TrackedLabel};

/// A labelled frame. Serialised, it is a line of `coca watch`'s JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the source.
    pub source: String,
    /// Number among all captured frames, from 1.
    pub frame: u64,
    /// Time of capture, UTC (RFC 3339).
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Labels to show, best first.
    pub labels: Vec<TrackedLabel>,
    /// Labels that entered or left since the last report.
    pub events: Vec<Event>,
    /// A caption that was finished since the last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<FrameCaption>,
    /// Milliseconds from capture to labels.
    pub latency_ms: f64,
    /// Frames labelled a second, over the last two seconds.
    pub fps: f64,
    /// Frames dropped so far because newer ones came before the model was free.
    pub dropped: u64,
    /// Damaged frames so far.
    pub damaged: u64,
    /// Temperature of the board in °C, where it has a sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// Milliseconds, rounded to a tenth.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// Totals of a watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Time since the start.
    pub duration: Duration,
    /// Totals since the start.
    pub counters: Counters,
    /// Median latency of the last 256 frames, if there were any.
    pub latency: Option<Duration>,
    /// Resident memory in bytes, where the system tells it.
    pub memory: Option<u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { captured, labelled, dropped, damaged, captions, reopened } = self.counters;
        let seconds = self.duration.as_secs_f64();
        let rate = labelled as f64 / seconds.max(1e-3);
        write!(
            f,
            "{labelled} frames labelled of {captured} in {seconds:.1} s ({rate:.1} a second), {dropped} \
             dropped, {damaged} damaged, {captions} captions, source opened again {reopened} times"
        )?;
        if let Some(latency) = self.latency {
            write!(f, ", median latency {:.1} ms", milliseconds(latency))?;
        }
        match self.memory {
            Some(bytes) => write!(f, ", {} MB resident", bytes / 1_000_000),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_json_line_with_the_keys_that_scripts_read() {
        let report = Report {
            source: "test".to_owned(),
            frame: 7,
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_250),
            labels: vec![TrackedLabel { label: "cat".to_owned(), score: 0.5, active: true }],
            events: vec![],
            caption: None,
            latency_ms: milliseconds(Duration::from_micros(41_260)),
            fps: 10.0,
            dropped: 2,
            damaged: 0,
            temperature: None,
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"source":"test","frame":7,"time":"1970-01-02T00:00:00.250Z","labels":[{"label":"cat","score":0.5,"active":true}],"events":[],"latency_ms":41.3,"fps":10.0,"dropped":2,"damaged":0}"#
        );
    }
}
