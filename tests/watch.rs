//! `coca watch` as a user meets it: lines, events, captions, signals, and outputs that go away.
#![cfg(all(feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const LABELS: &str = "cat,cup of coffee,rocket";
const PHOTOS: &str = "tests/photos";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("watch").args(arguments);
    command
}

fn watch(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn start(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

fn reports(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A watch of the moving pattern that labels alone and prints JSON.
fn start_pattern(arguments: &[&str]) -> (Child, impl Iterator<Item = Value> + use<>) {
    let usual = ["--source", "test", "--labels", LABELS, "--format", "jsonl"];
    let mut child = start(&[&usual, arguments].concat());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn end(mut child: Child) -> String {
    signal(&child, "TERM");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_becomes_json_lines_with_the_right_labels() {
    let folder = format!("dir:{PHOTOS}?fps=5");
    let output = watch(&[
        "--source",
        &folder,
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--frames",
        "10",
        "--smoothing",
        "0",
        "--caption-on",
        "never",
    ]);
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
fn captions_come_beside_the_labels() {
    let photo = format!("{PHOTOS}/cat.jpg");
    let mut child = start(&[
        "--source",
        &photo,
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--caption-on",
        "scene",
    ]);
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
fn a_signal_asks_for_a_caption_of_a_scene_that_is_not_new() {
    let photo = format!("{PHOTOS}/cat.jpg");
    let mut child = start(&["--source", &photo, "--format", "jsonl", "--caption-on", "request"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(!lines.next().unwrap().unwrap().contains("caption"));
    signal(&child, "USR1");
    assert!(lines.by_ref().any(|line| line.unwrap().contains("\"caption\":{\"text\"")));
    signal(&child, "INT");
    assert!(child.wait().unwrap().success());
}

#[test]
fn signals_end_it_within_a_second_with_a_summary() {
    for name in ["TERM", "INT"] {
        let mut child = start(&["--source", "test", "--labels", LABELS, "--format", "jsonl"]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let start = Instant::now();
        signal(&child, name);
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{name}: {:?}", start.elapsed());
        assert_eq!(status.code(), Some(0), "{name}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("frames labelled of"), "{said}");
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_labels() {
    let mut child = start(&[
        "--source",
        "test",
        "--fps",
        "30",
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--frames",
        "6",
        "--caption-on",
        "never",
    ]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("standard output was closed"), "{}", stderr(&output));
    assert!(stderr(&output).contains("6 frames labelled"), "{}", stderr(&output));
}

#[test]
fn a_full_disk_does_not_stop_the_labels() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let arguments =
        ["--source", "test", "--labels", LABELS, "--frames", "4", "--caption-on", "never"];
    let output = command(&arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert_eq!(said.matches("tried again from time to time").count(), 1, "{said}");
    assert!(said.contains("4 frames labelled"), "{said}");
}

#[test]
fn messages_that_nobody_can_read_do_not_stop_the_labels() {
    let (mut child, mut reports) = start_pattern(&["--caption-on", "never", "--frames", "5"]);
    drop(child.stderr.take());
    assert!(reports.by_ref().count() >= 5);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_display_that_fails_does_not_stop_the_labels_and_shows_again() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, png) = (folder.path().join("inside"), folder.path().join("inside/now.png"));
    fs::create_dir(&inside).unwrap();
    let display = format!("png:{}?size=160x120", png.display());
    let (child, mut reports) = start_pattern(&["--caption-on", "never", "--display", &display]);
    wait_until("a first picture", || reports.next().is_some() && png.exists());
    fs::rename(&inside, folder.path().join("away")).unwrap();
    assert_eq!(reports.by_ref().take(10).count(), 10);
    wait_until("a picture without its folder is missed", || {
        reports.next().is_some() && !png.exists()
    });
    fs::create_dir(&inside).unwrap();
    wait_until("a picture again", || reports.next().is_some() && png.exists());
    let said = end(child);
    assert_eq!(said.matches("tried again from time to time").count(), 1, "{said}");
    assert!(said.contains("shows again"), "{said}");
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

#[test]
fn a_slow_watch_sees_the_newest_frame() {
    let slow = ["--fps", "50", "--max-fps", "2", "--caption-on", "never"];
    let (child, reports) = start_pattern(&slow);
    let reports: Vec<_> = reports.take(7).collect();
    end(child);
    // Had a frame waited for its turn, it would be half a second old.
    for report in &reports[1..] {
        assert!(report["latency_ms"].as_f64().unwrap() < 400.0, "{report}");
    }
    let (first, last) = (&reports[1], &reports[6]);
    let number = |report: &Value| report["frame"].as_u64().unwrap();
    let dropped = last["dropped"].as_u64().unwrap() - first["dropped"].as_u64().unwrap();
    let passed = number(last) - number(first);
    assert!(
        dropped > 20 && dropped + 5 >= passed - 1 && dropped <= passed,
        "{dropped} of {passed}"
    );
}

#[test]
fn the_service_manager_hears_of_start_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let child = command(&["--source", "test", "--labels", LABELS, "--caption-on", "never"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    assert_eq!([heard(), heard(), heard()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    end(child);
    assert_eq!(
        std::iter::repeat_with(heard).find(|state| state != "WATCHDOG=1").unwrap(),
        "STOPPING=1"
    );
}

#[test]
fn niceness_reaches_every_thread_and_captions_yield_to_labels() {
    let niceness = |stat: &str| -> i32 {
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    };
    let own = niceness(&fs::read_to_string("/proc/thread-self/stat").unwrap());
    let options = ["--nice", "7", "--threads", "2", "--caption-on", "request"];
    let (child, mut reports) = start_pattern(&options);
    reports.next().unwrap();
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
        let name = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap().0.to_owned();
        found.push((name, niceness(&stat)));
    }
    end(child);
    assert!(found.len() > 4, "{found:?}");
    for (name, nice) in &found {
        let added = if name == "captions" { 12 } else { 7 };
        assert_eq!(*nice, (own + added).min(19), "{found:?}");
    }
}

/// What the web page at `port` answers.
fn ask(port: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer sesame\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn labels_are_edited_through_the_page_without_a_restart() {
    let web = ["--display", "web:127.0.0.1:0", "--token", "sesame", "--caption-on", "request"];
    let (mut child, mut reports) = start_pattern(&web);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = said.by_ref().map(Result::unwrap).find(|line| line.contains("web:127.0.0.1:"));
    let port = told.unwrap().rsplit(':').next().unwrap().to_owned();
    reports.next().unwrap();
    assert!(ask(&port, "POST /labels", r#"{"labels": ["zebra", "cat"]}"#).contains(" 202 "));
    let report = reports.find(|report| report["labels"].as_array().unwrap().len() == 2).unwrap();
    assert!(report["labels"].to_string().contains("zebra"), "{report}");
    assert!(ask(&port, "POST /caption", "{}").contains(" 202 "));
    assert!(reports.any(|report| !report["caption"].is_null()));
    assert!(ask(&port, "GET /healthz", "").ends_with("ok\n"));
    // The line above is printed before the page hears of the caption.
    for name in ["frames_labelled_total", "resident_memory_bytes", "captions_total"] {
        wait_until(&format!("{name} above 0"), || {
            let metrics = ask(&port, "GET /metrics", "");
            let line = metrics.lines().find(|line| line.starts_with(&format!("coca_{name} ")));
            line.is_some_and(|line| !line.ends_with(" 0"))
        });
    }
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_label_runs_its_command() {
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
fn the_rate_can_be_bounded() {
    let output = watch(&[
        "--source",
        "test",
        "--fps",
        "60",
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--max-fps",
        "4",
        "--duration",
        "2",
        "--caption-on",
        "never",
        "--nice",
        "5",
    ]);
    let count = reports(&output).len();
    assert!((1..=9).contains(&count), "{count}: {}", stderr(&output));
}

#[test]
fn a_pipe_that_ends_ends_the_watch() {
    let source = format!("cmd:cat {PHOTOS}/cat.jpg");
    let output = watch(&[
        "--source",
        &source,
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--caption-on",
        "never",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(reports(&output)[0]["labels"][0]["label"], "cat");
}

#[test]
fn raw_frames_may_come_from_standard_input() {
    let picture = image::open(format!("{}/{PHOTOS}/cat.jpg", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rgb = picture.resize_exact(320, 240, image::imageops::FilterType::Triangle).into_rgb8();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.rgb");
    std::fs::write(&path, rgb.as_raw()).unwrap();
    let output = command(&[
        "--source",
        "rgb:320x240:-",
        "--labels",
        LABELS,
        "--format",
        "jsonl",
        "--caption-on",
        "never",
    ])
    .stdin(File::open(path).unwrap())
    .output()
    .unwrap();
    assert_eq!(reports(&output)[0]["labels"][0]["label"], "cat", "{}", stderr(&output));
}

#[test]
fn without_labels_everyday_things_are_looked_for() {
    let arguments =
        ["--source", "test", "--caption-on", "never", "--frames", "2", "--format", "jsonl"];
    let output = watch(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let everyday = include_str!("../models/everyday.txt");
    let reports: Vec<Value> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
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
