//! Sources without hardware, and sources that fail: the watchdog, recovery, and every kind of damage.
#![allow(clippy::unwrap_used, missing_docs)]

mod hanging;
mod network;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use coca_edge::{
    camera::{
        Capture, Error, Frame, FrameSource, Read, RetryPolicy, SourceSettings, SourceSpec, Taken,
    },
    vision::PixelFormat,
};

const SOON: Duration = Duration::from_secs(10);
const POLICY: RetryPolicy = RetryPolicy {
    stall_timeout: Duration::from_millis(300),
    min_pause: Duration::from_millis(20),
    max_pause: Duration::from_millis(80),
    refused_pause: Duration::from_millis(80),
};

fn photo(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos").join(name).display().to_string()
}

fn capture(spec: &str) -> Capture {
    let source: SourceSpec = spec.parse().unwrap();
    Capture::start(spec, POLICY, move || {
        source.open(&SourceSettings { size: None, fps: Some(50.0) })
    })
    .unwrap()
}

fn next(capture: &Capture) -> Frame {
    let mut frame = Frame::default();
    assert_eq!(capture.take(&mut frame, SOON).unwrap(), Taken::Frame, "{:?}", capture.status());
    frame
}

/// The error of opening a source.
fn refusal(spec: &str) -> Error {
    let source: SourceSpec = spec.parse().unwrap();
    source.open(&SourceSettings::default()).err().unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What ends a capture.
fn end(capture: &Capture) -> Result<Taken, Error> {
    let mut frame = Frame::default();
    loop {
        match capture.take(&mut frame, SOON) {
            Ok(Taken::Frame) => {}
            end => return end,
        }
    }
}

#[test]
fn the_test_pattern_changes_from_frame_to_frame() {
    let capture = capture("test");
    let (a, b) = (next(&capture), next(&capture));
    assert_eq!((a.size, a.format), ((640, 480), PixelFormat::Rgb));
    assert!(b.number > a.number && b.captured > a.captured && b.bytes != a.bytes);
}

#[test]
fn a_folder_repeats_its_images_and_skips_other_files() {
    let folder = tempfile::tempdir().unwrap();
    for (name, width) in [("a.png", 8), ("c.png", 16)] {
        image::RgbImage::new(width, 8).save(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("b.jpg"), "no picture").unwrap();
    let source: SourceSpec = format!("dir:{}?fps=200", folder.path().display()).parse().unwrap();
    let mut source = source.open(&SourceSettings::default()).unwrap();
    let mut frame = Frame::default();
    let mut widths = Vec::new();
    for _ in 0..5 {
        assert_eq!(source.read(&mut frame).unwrap(), Read::Frame);
        widths.push(frame.size.0);
    }
    assert_eq!(widths, [8, 16, 8, 16, 8]);
}

#[test]
fn a_single_image_is_shown_in_every_frame() {
    let capture = capture(&photo("cat.jpg"));
    let (a, b) = (next(&capture), next(&capture));
    assert!(b.number > a.number && b.bytes == a.bytes && a.size.0 > 100);
}

#[test]
fn a_missing_source_ends_the_capture_and_is_named() {
    for spec in ["dir:/no/such/folder", "/no/such/picture.jpg", "cmd:/no/such/program"] {
        let error = end(&capture(spec)).unwrap_err();
        assert!(error.is_final() && error.to_string().contains("/no/such/"), "{error}");
    }
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_build_without_cameras_names_the_feature() {
    let error = end(&capture("auto")).unwrap_err().to_string();
    assert!(error.contains("--features camera") && error.contains("cmd:"), "{error}");
}

#[test]
fn reads_mjpeg_from_a_pipe_until_its_command_ends() {
    let spec = format!("cmd:cat {0} {0}", photo("cat.jpg"));
    let capture = capture(&spec);
    let frame = next(&capture);
    assert_eq!(frame.format, PixelFormat::Mjpeg);
    assert_eq!(frame.bytes, std::fs::read(photo("cat.jpg")).unwrap());
    assert_eq!(end(&capture).unwrap(), Taken::Closed);
    assert_eq!(capture.counters().captured, 2);
}

/// Plays a film of two JPEG frames and `tail`; returns the frames that were taken and the totals.
fn play_film(tail: &[u8]) -> (usize, coca_edge::Counters) {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film");
    std::fs::write(&film, [&cat[..], &cat, tail].concat()).unwrap();
    let capture = capture(&format!("cmd:cat {}", film.display()));
    let (mut frame, mut taken) = (Frame::default(), 0);
    while capture.take(&mut frame, SOON).unwrap() == Taken::Frame {
        assert_eq!(frame.bytes, cat);
        taken += 1;
    }
    (taken, capture.counters())
}

#[test]
fn bytes_behind_the_last_jpeg_of_a_pipe_cost_no_frame() {
    for tail in [&b"\n"[..], b"\r\n--boundary--\r\n", &[0; 100], b"\xFF\xD8"] {
        let (taken, counters) = play_film(tail);
        assert_eq!(taken as u64 + counters.dropped, 2, "{tail:?}");
        assert_eq!((counters.captured, counters.damaged, counters.reopened), (2, 0, 0), "{tail:?}");
    }
}

#[test]
fn a_jpeg_that_the_end_of_a_pipe_cuts_off_is_damaged_and_costs_no_other() {
    let cat = std::fs::read(photo("cat.jpg")).unwrap();
    let (taken, counters) = play_film(&cat[..cat.len() / 2]);
    assert_eq!(taken as u64 + counters.dropped, 2);
    assert_eq!((counters.captured, counters.damaged, counters.reopened), (2, 1, 0));
}

#[test]
fn a_frame_that_came_before_a_failure_can_still_be_taken() {
    // One frame and a half: the error comes at once, and the frame is taken during the pause after it.
    let policy = RetryPolicy { min_pause: Duration::from_secs(3600), max_pause: SOON, ..POLICY };
    let source: SourceSpec = "rgb:4x2:cmd:head -c 30 /dev/zero".parse().unwrap();
    let open = move || source.open(&SourceSettings::default());
    let capture = Capture::start("rgb", policy, open).unwrap();
    wait_until("the failure is told", || capture.status().trouble.is_some());
    assert_eq!(next(&capture).bytes.len(), 24);
    assert_eq!(capture.counters().damaged, 1);
}

#[test]
fn reads_raw_frames_of_every_format_from_a_pipe() {
    for format in ["yuv420", "nv12", "yuyv", "rgb", "grey"] {
        let bytes = format.parse::<PixelFormat>().unwrap().frame_bytes(4, 2).unwrap();
        let capture = capture(&format!("{format}:4x2:cmd:head -c {bytes} /dev/zero"));
        let frame = next(&capture);
        assert_eq!((frame.size, frame.bytes.len()), ((4, 2), bytes));
        assert!(frame.view().is_ok());
        assert_eq!(end(&capture).unwrap(), Taken::Closed);
    }
}

#[test]
fn reports_and_reopens_a_pipe_that_ends_inside_a_frame() {
    let capture = capture("rgb:4x2:cmd:head -c 30 /dev/zero");
    let mut frame = next(&capture);
    let first = frame.number;
    capture.take(&mut frame, SOON).unwrap();
    assert!(frame.number > first && capture.counters().reopened > 0);
}

#[test]
fn restarts_a_command_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("starts");
    let command = format!("sh -c 'echo x >> {}; head -c 24 /dev/zero; exit 3'", log.display());
    let capture = capture(&format!("rgb:4x2:cmd:{command}"));
    next(&capture);
    next(&capture);
    assert!(std::fs::read_to_string(log).unwrap().lines().count() >= 2);
}

#[test]
fn kills_a_hanging_command_with_its_children_and_restarts_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("pids");
    let command =
        format!("sh -c 'head -c 24 /dev/zero; sleep 1000 & echo $! >> {}; wait'", log.display());
    let capture = capture(&format!("rgb:4x2:cmd:{command}"));
    let first = next(&capture);
    let second = next(&capture);
    assert!(second.number > first.number);
    drop(capture);
    for pid in std::fs::read_to_string(log).unwrap().lines() {
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        wait_until("a child ends", || state().is_empty() || state().contains(") Z"));
    }
}

#[test]
fn a_command_that_closes_its_output_and_goes_on_is_killed_and_started_again() {
    let command = format!("sh -c 'cat {}; exec >&-; sleep 1000'", photo("cat.jpg"));
    let capture = capture(&format!("cmd:{command}"));
    let first = next(&capture);
    let second = next(&capture);
    assert!(second.number > first.number && capture.counters().reopened > 0);
}

/// What a source does at one read.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Frame(u32),
    Flagged,
    Fail,
    Hang,
    Panic,
    End,
}

/// Plays a script; goes on where it was when it is opened again.
struct Scripted(Arc<Mutex<Vec<Fault>>>);

impl FrameSource for Scripted {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        thread::sleep(Duration::from_millis(2));
        let mut script = self.0.lock().unwrap();
        let fault = if script.is_empty() { Fault::End } else { script.remove(0) };
        drop(script);
        match fault {
            Fault::Frame(width) => {
                frame.size = (width, 1);
                frame.bytes.resize(3 * width as usize, 0);
                frame.stamp();
                Ok(Read::Frame)
            }
            Fault::Flagged => Ok(Read::Damaged),
            Fault::Fail => Err(Error::Io {
                source_name: "script".to_owned(),
                error: std::io::ErrorKind::BrokenPipe.into(),
            }),
            Fault::Hang => loop {
                thread::park();
            },
            Fault::Panic => panic!("a driver went mad"),
            Fault::End => Ok(Read::End),
        }
    }
}

fn play(script: &[Fault]) -> (Vec<u32>, coca_edge::camera::CaptureStatus) {
    let script = Arc::new(Mutex::new(script.to_vec()));
    let capture =
        Capture::start("script", POLICY, move || Ok(Box::new(Scripted(Arc::clone(&script))) as _))
            .unwrap();
    let (mut frame, mut widths) = (Frame::default(), Vec::new());
    while capture.take(&mut frame, SOON).unwrap() == Taken::Frame {
        widths.push(frame.size.0);
    }
    (widths, capture.status())
}

#[test]
fn survives_and_counts_every_fault() {
    use Fault::{End, Fail, Flagged, Frame, Hang, Panic};
    let script = [
        Frame(1),
        Fail,
        Frame(2),
        Hang,
        Frame(3),
        Panic,
        Frame(4),
        Flagged,
        Flagged,
        Frame(640),
        Fail,
        Fail,
        Fail,
        Frame(5),
        End,
    ];
    let (widths, status) = play(&script);
    assert_eq!(widths.last(), Some(&5));
    assert!(widths.is_sorted_by_key(|width| if *width == 640 { 4 } else { *width }), "{widths:?}");
    let counters = status.counters;
    assert_eq!((counters.captured, counters.damaged, counters.reopened), (6, 2, 6));
    assert_eq!(widths.len() as u64 + counters.dropped, 6);
    assert_eq!(status.trouble, None);
}

#[test]
fn status_reports_trouble_while_it_lasts() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let capture = Capture::start("script", POLICY, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err(Error::Io {
            source_name: "/dev/video9".to_owned(),
            error: std::io::ErrorKind::NotFound.into(),
        })
    })
    .unwrap();
    wait_until("a fourth attempt", || attempts.load(Ordering::Relaxed) >= 4);
    let trouble = capture.status().trouble.unwrap();
    assert!(
        trouble.starts_with("/dev/video9: ") && trouble.ends_with("opening it again"),
        "{trouble}"
    );
    let start = Instant::now();
    drop(capture);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn dropping_a_capture_does_not_wait_for_a_hanging_source() {
    let script = Arc::new(Mutex::new(vec![Fault::Frame(1), Fault::Hang]));
    let policy = RetryPolicy { stall_timeout: Duration::from_secs(3600), ..POLICY };
    let capture =
        Capture::start("script", policy, move || Ok(Box::new(Scripted(Arc::clone(&script))) as _))
            .unwrap();
    next(&capture);
    let start = Instant::now();
    drop(capture);
    assert!(start.elapsed() < Duration::from_secs(1));
}
