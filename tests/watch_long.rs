//! A hundred thousand frames through a whole watch, captions and displays included, in a memory that stays flat.
//!
//! Takes minutes: `cargo test --workspace --test watch_long -- --ignored --nocapture`. The model is the smallest of
//! `tests/golden`: its answers mean nothing, and everything around it runs as with a large one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use coca_edge::{
    CaptionOptions, Coca,
    camera::{Capture, RetryPolicy, SourceSettings, SourceSpec},
    host::resident_memory,
    watch::{CaptionTriggers, Step, Watch, WatchOptions},
};
use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};

const FRAMES: u64 = 100_000;
/// Memory is looked at every so many frames.
const PERIOD: u64 = 5_000;
/// From here on it may not grow.
const SETTLED: u64 = 20_000;
/// But by this much: what the system's allocator scatters.
const LEEWAY: u64 = 3_000_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn small_model(folder: &Path) -> Coca {
    let options = Options { storage: Storage::F32, config: None, progress: false };
    let checkpoint = root().join("tests/golden/open_clip/pooler");
    import(checkpoint.to_str().unwrap(), &folder.join("model"), &options, &|_| ()).unwrap();
    Coca::open(folder.join("model")).unwrap()
}

/// JPEG frames of several sizes, one after the other, as fast as they are taken.
fn camera() -> Capture {
    let photos = root().join("tests/photos");
    let film = format!("cmd:sh -c 'while cat {}/*.jpg; do :; done'", photos.display());
    let source: SourceSpec = film.parse().unwrap();
    Capture::start("film", RetryPolicy::default(), move || source.open(&SourceSettings::default()))
        .unwrap()
}

fn ask(web: &str, request: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(web.strip_prefix("web:").unwrap()).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
#[ignore = "takes minutes"]
fn memory_stays_flat_over_a_hundred_thousand_frames() {
    let folder = tempfile::tempdir().unwrap();
    let coca = Arc::new(small_model(folder.path()));
    let labels = coca.labels(["cat", "dog", "cup of coffee"]).unwrap();
    let png = format!("png:{}?size=160x120&every=1", folder.path().join("now.png").display());
    let options = WatchOptions {
        captions: CaptionTriggers { every: Some(Duration::from_secs(1)), ..Default::default() },
        caption_options: CaptionOptions::default().max_tokens(15),
        displays: vec![png.parse().unwrap(), "web:127.0.0.1:0".parse().unwrap()],
        ..WatchOptions::default()
    };
    let mut watch = Watch::start(coca, Some(labels), "film", camera(), options).unwrap();
    let web = watch.displays()[1].clone();
    let mut resident = Vec::new();
    let mut labelled = 0;
    while labelled < FRAMES {
        match watch.step().unwrap() {
            Step::Report(_) => {}
            Step::Idle => continue,
            Step::End => panic!("the film ended after {labelled} frames"),
        }
        labelled += 1;
        if labelled % 1000 == 0 {
            assert!(ask(&web, "GET /snapshot.jpg", "").starts_with(b"HTTP/1.1 200"));
            let list = format!(r#"{{"labels": ["cat", "dog", "label {labelled}"]}}"#);
            assert!(ask(&web, "POST /labels", &list).starts_with(b"HTTP/1.1 202"));
        }
        if labelled % PERIOD == 0 {
            let Some(bytes) = resident_memory() else { return };
            println!("{labelled:>6} frames: {:.1} MB", bytes as f64 / 1e6);
            resident.push((labelled, bytes));
        }
    }
    let summary = watch.summary();
    println!("{summary}");
    let counters = summary.counters;
    assert!(counters.captions > 10 && counters.damaged == 0 && counters.reopened == 0, "{summary}");
    let most = |settled: bool| {
        let part = resident.iter().filter(|(frames, _)| (*frames > SETTLED) == settled);
        part.map(|(_, bytes)| *bytes).max().unwrap()
    };
    assert!(most(true) <= most(false) + LEEWAY, "{resident:?}");
}
