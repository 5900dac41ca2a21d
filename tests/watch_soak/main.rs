//! `coca watch` for hours, with a camera that fails now and then and visitors of its page who come, edit labels and go, in memory,
//! threads and open files that stay flat.
//!
//! The minutes are an argument, 10 without it; `benches/watch/SOAK.md` is what three hours wrote:
//! `COCA_SOAK_MINUTES=180 cargo test --release --workspace --test watch_soak -- --ignored --nocapture`.
#![cfg(all(target_os = "linux", feature = "cli"))]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod camera;
mod random;
mod resources;
mod visitors;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use resources::{Resources, median};

/// Samples of a run.
const SAMPLES: u32 = 400;
/// From this sample on nothing may grow: caches, engines and the text encoder are there.
const SETTLED: usize = 100;

fn small_model(folder: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/open_clip/pooler");
    let options = Options { storage: Storage::F32, config: None, progress: false };
    import(golden.to_str().unwrap(), &folder.join("model"), &options, &|_| ()).unwrap();
}

/// A watch of `camera` with displays, and the address of its page.
fn start(folder: &Path, camera: &str) -> (Child, String) {
    let mut watch = Command::new(env!("CARGO_BIN_EXE_coca"));
    watch.current_dir(folder).args(["watch", "--model", "model", "--source", camera]);
    watch.args(["--labels", "cat,dog,cup of coffee", "--caption-every", "5", "--format", "jsonl"]);
    watch.args(["--display", "png:now.png?size=160x120", "--display", "web:127.0.0.1:0"]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let page = messages.find_map(|line| Some(line.split_once("the page: http://")?.1.to_owned()));
    // The rest is read, so that nobody waits, and the summary is printed.
    thread::spawn(move || {
        for line in messages.filter(|line| line.contains("labelled") || line.contains("panic")) {
            println!("{line}");
        }
    });
    (child, page.unwrap().trim_end_matches('/').to_owned())
}

/// Counts the lines of a watch as they come.
fn count_lines(child: &mut Child) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let (seen, mut output) = (Arc::clone(&count), BufReader::new(child.stdout.take().unwrap()));
    thread::spawn(move || {
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            seen.fetch_add(1, Ordering::Relaxed);
            line.clear();
        }
    });
    count
}

#[test]
#[ignore = "takes minutes to hours"]
fn memory_threads_and_open_files_stay_flat_beside_a_failing_camera_and_visitors() {
    let minutes = std::env::var("COCA_SOAK_MINUTES").map_or(10.0, |text| text.parse().unwrap());
    let duration = Duration::from_secs_f64(60.0 * minutes);
    let folder = tempfile::tempdir().unwrap();
    small_model(folder.path());
    let camera = camera::start();
    let (mut child, page) = start(folder.path(), &format!("http://{}/stream", camera.address));
    let lines = count_lines(&mut child);
    let visits = visitors::start(&page);

    println!(
        "| minute | resident, MB | threads | open files | frames labelled | connections of the camera | visits |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (begin, mut samples) = (Instant::now(), Vec::new());
    for number in 1..=SAMPLES {
        thread::sleep(
            (begin + duration * number / SAMPLES).saturating_duration_since(Instant::now()),
        );
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        samples.push(Resources::of(child.id()));
        if number.is_multiple_of(SAMPLES / 10) {
            let [minute, labelled] =
                [begin.elapsed().as_secs_f64() / 60.0, lines.load(Ordering::Relaxed) as f64];
            let (connections, visits) = (camera.connections(), visits.count());
            println!(
                "| {minute:.1} | {} | {labelled} | {connections} | {visits} |",
                samples[samples.len() - 1]
            );
        }
    }
    let half = SETTLED + (samples.len() - SETTLED) / 2;
    let [before, after] = [&samples[SETTLED..half], &samples[half..]].map(median);
    println!("median of the second quarter and after: {before} and {after}");
    let most = samples.iter().map(|sample| sample.threads.max(sample.files)).max().unwrap();
    println!("most threads or files at any time: {most}");

    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    assert!(image::open(folder.path().join("now.png")).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the model and the picture");
    assert!(after.resident_mb <= before.resident_mb + 3.0, "{before} {after}");
    assert!(
        after.threads <= before.threads + 2 && after.files <= before.files + 2,
        "{before} {after}"
    );
    assert!(camera.connections() > 2 && lines.load(Ordering::Relaxed) > 100);
}
