//! What a watch tells of each frame.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{Event, FrameCaption, SteadyLabel};

/// How many frames the rate and the typical latency are taken over.
const REMEMBERED: usize = 256;

/// A labelled frame: a JSON line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where frames come from.
    pub source: String,
    /// The frame's number among all that were captured, from 1.
    pub frame: u64,
    /// When it was captured, UTC (RFC 3339).
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Steady labels, best first.
    pub labels: Vec<SteadyLabel>,
    /// What came into view or went out of it.
    pub events: Vec<Event>,
    /// A caption that was finished since the last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<FrameCaption>,
    /// Milliseconds from capture to labels: from glass to label.
    pub latency_ms: f64,
    /// Frames labelled a second, lately.
    pub fps: f64,
    /// Frames dropped so far because newer ones came before the model was free.
    pub dropped: u64,
    /// Frames so far that were damaged.
    pub damaged: u64,
    /// The board's, in °C, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// Milliseconds, to the tenth.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// What a watch did in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How long it ran.
    pub duration: Duration,
    /// Frames that came.
    pub captured: u64,
    /// Frames that were labelled.
    pub labelled: u64,
    /// Frames that newer ones replaced.
    pub dropped: u64,
    /// Frames that were damaged.
    pub damaged: u64,
    /// Captions written.
    pub captions: u64,
    /// How often the source was opened again.
    pub reopened: u64,
    /// The median over the last 256 frames, if there were any.
    pub latency: Option<Duration>,
    /// Bytes of memory in RAM at the end, where the system tells.
    pub memory: Option<u64>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { duration, captured, labelled, dropped, damaged, captions, .. } = self;
        let rate = *labelled as f64 / duration.as_secs_f64().max(1e-3);
        write!(
            f,
            "{labelled} frames labelled of {captured} in {:.1} s ({rate:.1} a second), {dropped} \
             dropped, {damaged} damaged, {captions} captions, source opened again {} times",
            duration.as_secs_f64(),
            self.reopened
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

/// Rate and latency of the last frames, in a bounded memory.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    frames: VecDeque<(std::time::Instant, Duration)>,
}

impl Statistics {
    pub(super) fn add(&mut self, latency: Duration) {
        if self.frames.len() == REMEMBERED {
            self.frames.pop_front();
        }
        self.frames.push_back((std::time::Instant::now(), latency));
    }

    /// Frames a second over the last two seconds, or the last two frames if they are rarer.
    pub(super) fn rate(&self) -> f64 {
        let Some(&(last, _)) = self.frames.back() else { return 0.0 };
        let mut recent = self.frames.iter().rev().skip(1).map(|&(at, _)| last - at).zip(1_u32..);
        let Some(mut longest) = recent.next() else { return 0.0 };
        for span in recent.take_while(|(span, _)| *span <= Duration::from_secs(2)) {
            longest = span;
        }
        f64::from(longest.1) / longest.0.as_secs_f64().max(1e-6)
    }

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
    fn a_report_is_a_json_line_with_the_keys_that_scripts_read() {
        let report = Report {
            source: "test".to_owned(),
            frame: 7,
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_250),
            labels: vec![SteadyLabel { label: "cat".to_owned(), score: 0.5, active: true }],
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

    #[test]
    fn the_median_of_no_frames_is_none() {
        let mut statistics = Statistics::default();
        assert_eq!((statistics.median_latency(), statistics.rate()), (None, 0.0));
        for milliseconds in 0..1000 {
            statistics.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(statistics.frames.len(), REMEMBERED);
        assert_eq!(statistics.median_latency(), Some(Duration::from_millis(872)));
    }
}
