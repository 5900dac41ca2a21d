//! Server-sent events: every change as a JSON object.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, SystemTime},
};

use coca_host::resident_memory;
use serde::Serialize;

use super::live::{Live, Newest};
use crate::{TrackedLabel, http::TimedStream};

/// Least time between two events: faster than anybody reads.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Time without an event after which one says that the server is there: a viewer who is gone is noticed, and so is a server.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time for a viewer to take an event before the connection is cut.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Data of one event.
#[derive(Debug, Serialize)]
struct Event<'a> {
    source: &'a str,
    frame: u64,
    dropped: u64,
    frames_per_second: f32,
    latency_ms: Option<f64>,
    temperature_celsius: Option<f32>,
    threads: usize,
    memory_bytes: Option<u64>,
    message: Option<&'a str>,
    /// Changes when `/snapshot.jpg` does; 0 while there is none.
    picture: u64,
    labels: &'a [TrackedLabel],
    /// Captions that this viewer does not have yet, the newest last.
    captions: Vec<EventCaption<'a>>,
    /// All labels that are looked for, if this viewer does not have them yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    vocabulary: Option<&'a [String]>,
    /// Whether this viewer may replace the labels.
    editable: bool,
}

#[derive(Debug, Serialize)]
struct EventCaption<'a> {
    text: &'a str,
    frame: u64,
    /// Milliseconds since 1970.
    time_ms: u128,
}

/// Versions that one viewer already has.
#[derive(Debug, Default)]
struct Seen {
    version: u64,
    captions: u64,
    vocabulary: u64,
}

impl Seen {
    /// The JSON of what `newest` adds, for a viewer who may replace the labels or not.
    fn advance(&mut self, newest: &Newest, is_editable: bool) -> Result<String, serde_json::Error> {
        let status = &newest.view.status;
        let unseen = newest.caption_count.saturating_sub(self.captions);
        let unseen = unseen.min(newest.captions.len() as u64) as usize;
        let event = Event {
            source: &status.source,
            frame: status.frame,
            dropped: status.counters.dropped,
            frames_per_second: status.frames_per_second,
            latency_ms: status.latency.map(|latency| latency.as_secs_f64() * 1000.0),
            temperature_celsius: status.temperature,
            threads: status.threads,
            memory_bytes: resident_memory(),
            message: status.message.as_deref(),
            picture: newest.picture,
            labels: &newest.view.labels,
            captions: newest
                .captions
                .iter()
                .skip(newest.captions.len() - unseen)
                .map(|c| EventCaption {
                    text: &c.text,
                    frame: c.frame,
                    time_ms: since_1970(c.captured_at),
                })
                .collect(),
            vocabulary: (newest.vocabulary_version != self.vocabulary)
                .then_some(&newest.vocabulary[..]),
            editable: is_editable,
        };
        self.version = newest.version;
        self.captions = newest.caption_count;
        self.vocabulary = newest.vocabulary_version;
        serde_json::to_string(&event)
    }
}

/// Milliseconds since 1970; 0 on a board whose clock stands before that.
fn since_1970(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_millis())
}

/// Writes events until the viewer leaves or the display is closed.
pub(super) fn write(stream: &mut TimedStream, live: &Live, is_editable: bool) -> io::Result<()> {
    stream.write_all(b"retry: 2000\n\n")?;
    let mut seen = Seen::default();
    let mut newest = Some(live.newest());
    loop {
        stream.allow(EVENT_TIMEOUT);
        match &newest {
            Some(newest) if newest.is_closed => return Ok(()),
            Some(newest) => {
                let data = seen.advance(newest, is_editable).map_err(io::Error::other)?;
                stream.write_all(format!("data: {data}\n\n").as_bytes())?;
                thread::sleep(MIN_INTERVAL);
            }
            None => stream.write_all(b"event: alive\ndata:\n\n")?,
        }
        newest = live.newer_than(seen.version, HEARTBEAT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Counters, FrameCaption,
        display::{Status, View},
    };

    fn event(seen: &mut Seen, live: &Live) -> Value {
        serde_json::from_str(&seen.advance(&live.newest(), false).unwrap()).unwrap()
    }

    #[test]
    fn an_event_says_everything_and_repeats_no_caption() {
        let live = Live::default();
        let captured_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        live.show(&View {
            picture: Some(Arc::new(image::RgbImage::new(1, 1))),
            labels: vec![TrackedLabel { label: "cat \"<b>\"".into(), score: 0.5, active: true }],
            caption: Some(FrameCaption {
                text: "a cat".into(),
                frame: 3,
                latency_ms: 800.0,
                captured_at,
            }),
            status: Status {
                source: "test".into(),
                frame: 4,
                counters: Counters { dropped: 1, ..Counters::default() },
                frames_per_second: 2.5,
                latency: Some(Duration::from_micros(41_500)),
                temperature: Some(60.5),
                threads: 2,
                ..Status::default()
            },
        });
        live.set_vocabulary(&["cat".into(), "dog".into()]);
        let mut seen = Seen::default();
        let mut first = json!({
            "source": "test", "frame": 4, "dropped": 1, "frames_per_second": 2.5, "latency_ms": 41.5,
            "temperature_celsius": 60.5, "threads": 2, "message": null, "picture": 1,
            "labels": [{"label": "cat \"<b>\"", "score": 0.5, "active": true}],
            "captions": [{"text": "a cat", "frame": 3, "time_ms": 1500}],
            "vocabulary": ["cat", "dog"], "editable": false,
        });
        let mut found = event(&mut seen, &live);
        assert!(found["memory_bytes"].take().is_null() || resident_memory().is_some());
        first["memory_bytes"] = Value::Null;
        assert_eq!(found, first);
        let second = event(&mut seen, &live);
        assert_eq!((&second["captions"], second.get("vocabulary")), (&json!([]), None));
        let later = event(&mut Seen::default(), &live);
        assert_eq!(later["captions"], first["captions"], "who comes later gets it all");
    }
}
