//! Captions beside live labels.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::{PHOTOS, command, command_for, end, signal, start, start_pattern};

#[test]
fn reports_carry_captions_beside_labels() {
    let photo = format!("{PHOTOS}/cat.jpg");
    let mut child = start(command_for(&photo, &["--caption-on", "scene"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let report = lines
        .by_ref()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|report| !report["caption"].is_null())
        .unwrap();
    let caption = &report["caption"];
    assert!(caption["text"].as_str().unwrap().split(' ').count() >= 4, "{caption}");
    assert!(caption["frame"].as_u64().unwrap() < report["frame"].as_u64().unwrap());
    assert!(caption["latency_ms"].as_f64().unwrap() > 0.0);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn sigusr1_requests_a_caption_of_an_old_scene() {
    let photo = format!("{PHOTOS}/cat.jpg");
    let asked = ["--source", &photo, "--format", "jsonl", "--caption-on", "request"];
    let mut child = start(command(&asked));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(!lines.next().unwrap().unwrap().contains("caption"));
    signal(&child, "USR1");
    assert!(lines.by_ref().any(|line| line.unwrap().contains("\"caption\":{\"text\"")));
    signal(&child, "INT");
    assert!(child.wait().unwrap().success());
}

#[test]
fn labels_stay_live_while_captions_are_written() {
    // A caption is always being written: the next one is due before the last one is finished.
    let busy = ["--fps", "4", "--caption-every", "0.1"];
    let (child, reports) = start_pattern(&busy);
    let reports: Vec<_> = reports.take(24).collect();
    let captions = reports.iter().filter(|report| !report["caption"].is_null()).count();
    end(child);
    assert!(captions >= 3, "{captions}");
    let number = |report: &Value| report["frame"].as_u64().unwrap();
    let seen = number(&reports[23]) - number(&reports[3]);
    assert!(seen <= 22, "of {seen} frames 20 were labelled");
}
