//! What is labelled, and how it is told.

use std::fs::File;

use serde_json::Value;

use crate::{LABELS, PHOTOS, command_for, end, reports, start_pattern, stderr, watch};

#[test]
fn labels_a_folder_as_json_lines() {
    let folder = format!("dir:{PHOTOS}?fps=5");
    let ten = ["--frames", "10", "--smoothing", "0", "--caption-on", "never"];
    let output = command_for(&folder, &ten).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let reports = reports(&output);
    assert_eq!(reports.len(), 10);
    let best: std::collections::BTreeSet<_> =
        reports.iter().map(|r| r["labels"][0]["label"].as_str().unwrap().to_owned()).collect();
    assert!(best.iter().all(|label| LABELS.contains(label)), "{best:?}");
    for pair in reports.windows(2) {
        assert!(pair[1]["frame"].as_u64() > pair[0]["frame"].as_u64());
        assert!(pair[1]["time"].as_str() > pair[0]["time"].as_str());
    }
    let entered: Vec<_> = reports.iter().flat_map(|r| r["events"].as_array().unwrap()).collect();
    assert!(entered.iter().any(|event| event["event"] == "entered"), "{entered:?}");
    for report in &reports {
        assert_eq!(report["source"], folder.as_str());
        assert!(report["latency_ms"].as_f64().unwrap() > 0.0 && report["dropped"].is_u64());
    }
    assert!(stderr(&output).contains("10 frames labelled"), "{}", stderr(&output));
}

#[test]
fn a_slow_model_labels_the_newest_frame() {
    let slow = ["--fps", "50", "--max-fps", "0.5", "--caption-on", "never"];
    let (child, reports) = start_pattern(&slow);
    let reports: Vec<_> = reports.take(4).collect();
    end(child);
    // Had a frame waited for its turn, it would be two seconds old.
    for report in &reports[1..] {
        assert!(report["latency_ms"].as_f64().unwrap() < 1600.0, "{report}");
    }
    let (first, last) = (&reports[1], &reports[3]);
    let number = |report: &Value| report["frame"].as_u64().unwrap();
    let dropped = last["dropped"].as_u64().unwrap() - first["dropped"].as_u64().unwrap();
    let passed = number(last) - number(first);
    assert!(
        dropped > 20 && dropped + 2 >= passed - 1 && dropped <= passed,
        "{dropped} of {passed}"
    );
}

#[test]
fn a_label_that_enters_runs_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let action = format!("cat=sh -c 'echo \"$COCA_LABEL\" >> {}'", log.display());
    let photo = format!("{PHOTOS}/cat.jpg");
    let output = watch(&[
        "--source",
        &photo,
        "--labels",
        LABELS,
        "--on-label",
        &action,
        "--duration",
        "3",
        "--caption-on",
        "never",
        "--max-fps",
        "10",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "cat\n");
}

#[test]
fn max_fps_bounds_the_rate() {
    let bounded = [
        ["--fps", "60"],
        ["--max-fps", "4"],
        ["--duration", "2"],
        ["--caption-on", "never"],
        ["--nice", "5"],
    ];
    let output = command_for("test", bounded.as_flattened()).output().unwrap();
    let count = reports(&output).len();
    assert!((1..=9).contains(&count), "{count}: {}", stderr(&output));
}

#[test]
fn the_end_of_a_pipe_ends_the_watch() {
    let source = format!("cmd:cat {PHOTOS}/cat.jpg");
    let output = command_for(&source, &["--caption-on", "never"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(reports(&output)[0]["labels"][0]["label"], "cat");
}

#[test]
fn reads_raw_frames_from_standard_input() {
    let picture = image::open(format!("{}/{PHOTOS}/cat.jpg", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rgb = picture.resize_exact(320, 240, image::imageops::FilterType::Triangle).into_rgb8();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.rgb");
    std::fs::write(&path, rgb.as_raw()).unwrap();
    let output = command_for("rgb:320x240:-", &["--caption-on", "never"])
        .stdin(File::open(path).unwrap())
        .output()
        .unwrap();
    assert_eq!(reports(&output)[0]["labels"][0]["label"], "cat", "{}", stderr(&output));
}

#[test]
fn looks_for_everyday_things_without_labels() {
    let arguments =
        ["--source", "test", "--caption-on", "never", "--frames", "2", "--format", "jsonl"];
    let output = watch(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let everyday = include_str!("../../src/model/everyday.txt");
    let reports = reports(&output);
    for label in reports.iter().flat_map(|report| report["labels"].as_array().unwrap()) {
        let name = label["label"].as_str().unwrap();
        assert!(everyday.lines().any(|line| line == name), "{name}");
    }
    assert!(reports.iter().any(|report| !report["labels"].as_array().unwrap().is_empty()));
}

#[test]
fn wrong_usage_exits_with_two_and_a_missing_source_with_one() {
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--source", "h264:-"], 2, "yuv420:640x480"),
        (&["--source", "test", "--labels", "a", "--low", "0.9"], 2, "--low"),
        (&["--source", "test", "--labels", "a", "--rotate", "45"], 2, "270"),
        (&["--source", "test", "--labels", "a", "--on-label", "a"], 2, "LABEL=COMMAND"),
        (&["--source", "test", "--labels", "a", "--caption-on", "noon"], 2, "request"),
        (&["--source", "dir:/no/such/folder", "--labels", "a"], 1, "/no/such/folder"),
    ];
    for (arguments, status, expected) in cases {
        let output = watch(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}
