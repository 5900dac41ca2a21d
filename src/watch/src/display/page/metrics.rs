//! Metrics in the text format of Prometheus.

use std::fmt::Write;

use coca_host::resident_memory;

use super::live::Newest;

/// All metrics in Prometheus's text format, version 0.0.4.
pub(super) fn text(newest: &Newest, viewers: usize) -> String {
    let status = &newest.view.status;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP coca_{name} {help}\n# TYPE coca_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "coca_{name}{labels} {value}");
        }
    };
    let single = |value: f64| vec![(String::new(), value)];
    let build = vec![(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0)];
    metric("build_info", "gauge", "The program's version.", &build);
    metric("frame", "gauge", "Number of the newest labelled frame.", &single(status.frame as f64));
    for (name, help, count) in [
        ("frames_captured_total", "Frames that came.", status.counters.captured),
        ("frames_labelled_total", "Frames that were labelled.", status.counters.labelled),
        ("frames_dropped_total", "Frames replaced by a newer one.", status.counters.dropped),
        ("frames_damaged_total", "Frames that were damaged.", status.counters.damaged),
        (
            "source_reopened_total",
            "How often the source was opened again.",
            status.counters.reopened,
        ),
    ] {
        metric(name, "counter", help, &single(count as f64));
    }
    metric(
        "frames_per_second",
        "gauge",
        "Labelled frames a second.",
        &single(f64::from(status.frames_per_second)),
    );
    if let Some(latency) = status.latency {
        metric(
            "latency_seconds",
            "gauge",
            "From the picture to its labels.",
            &single(latency.as_secs_f64()),
        );
    }
    if let Some(celsius) = status.temperature {
        metric(
            "temperature_celsius",
            "gauge",
            "The board's temperature.",
            &single(f64::from(celsius)),
        );
    }
    if let Some(bytes) = resident_memory() {
        metric(
            "resident_memory_bytes",
            "gauge",
            "The program's memory in RAM.",
            &single(bytes as f64),
        );
    }
    metric("threads", "gauge", "Threads the model computes with.", &single(status.threads as f64));
    metric("captions_total", "counter", "Captions shown.", &single(newest.caption_count as f64));
    metric("viewers", "gauge", "Open streams of events.", &single(viewers as f64));
    let trouble = f64::from(u8::from(status.message.is_some()));
    metric("trouble", "gauge", "1 while there is a message for the viewers.", &single(trouble));
    let labels = &newest.view.labels;
    let scores: Vec<_> = labels.iter().map(|l| (label(&l.label), f64::from(l.score))).collect();
    metric("label_score", "gauge", "Score of a shown label, 0 to 1.", &scores);
    let active: Vec<_> =
        labels.iter().map(|l| (label(&l.label), f64::from(u8::from(l.active)))).collect();
    metric("label_active", "gauge", "1 while the label has entered and not left.", &active);
    text
}

/// The label set `{label="name"}`.
fn label(name: &str) -> String {
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{label=\"{escaped}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrackedLabel, display::View};

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let label = "a \"b\"\\\n".to_owned();
        let labels = vec![TrackedLabel { label, score: 0.25, active: true }];
        let newest = Newest { view: View { labels, ..View::default() }, ..Newest::default() };
        let text = text(&newest, 3);
        assert!(text.contains("coca_label_score{label=\"a \\\"b\\\"\\\\\\n\"} 0.25\n"), "{text}");
        assert!(text.contains("\ncoca_viewers 3\n") && !text.contains("coca_latency"), "{text}");
    }
}
