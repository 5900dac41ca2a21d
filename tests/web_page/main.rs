//! The web page in a browser: serves it with made-up labels and lets `click.py` click through it.
//!
//! Without Python and Chromium it says so, loudly, and looks at nothing. With `COCA_SCREENSHOTS=FOLDER` it leaves pictures
//! there. The picture of README is another matter: see `screenshot.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

#[cfg(feature = "pocket")]
mod screenshot;

use std::{
    io::Write,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, SystemTime},
};

use coca_edge::{
    Counters, FrameCaption, TrackedLabel,
    display::{Display, DisplaySpec, Request, Status, View, Web},
};

const SKIPPED: i32 = 77;

/// What a camera and a model would show: labels that move, a new picture with each frame.
struct Scene {
    frame: u64,
    labels: Vec<String>,
    photo: image::RgbImage,
    caption: FrameCaption,
}

impl Scene {
    fn new() -> Self {
        let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/cat.jpg");
        let labels = ["cat", "cup of coffee", "Eichhörnchen", "a person who walks a dog"];
        Self {
            frame: 0,
            labels: labels.map(String::from).to_vec(),
            photo: image::open(photo).unwrap().into_rgb8(),
            caption: caption("a cat that looks into the camera", 0),
        }
    }

    fn next(&mut self) -> View {
        self.frame += 1;
        let sway = (self.frame as f32 / 9.0).sin() * 0.04;
        let labels = self.labels.iter().zip([0.81, 0.34, 0.12, 0.05]).map(|(name, score)| {
            TrackedLabel { label: name.clone(), score: score + sway, active: score > 0.3 }
        });
        View {
            picture: Some(Arc::new(self.photo.clone())),
            labels: labels.collect(),
            caption: Some(self.caption.clone()),
            status: Status {
                source: "test pattern".into(),
                frame: self.frame,
                counters: Counters {
                    captured: self.frame,
                    labelled: self.frame,
                    dropped: self.frame / 3,
                    ..Counters::default()
                },
                frames_per_second: 9.7,
                latency: Some(Duration::from_millis(64)),
                temperature: Some(58.4),
                threads: 4,
                ..Status::default()
            },
        }
    }
}

fn caption(text: &str, frame: u64) -> FrameCaption {
    FrameCaption { text: text.into(), frame, latency_ms: 800.0, captured_at: SystemTime::now() }
}

/// Runs one of the scripts beside this file; `None`, and a message, where there is no Python or Chromium.
fn run_script(name: &str, arguments: &[&str]) -> Option<Output> {
    let script = format!("{}/tests/web_page/{name}", env!("CARGO_MANIFEST_DIR"));
    match Command::new("python3").arg(script).args(arguments).output() {
        Ok(output) if output.status.code() != Some(SKIPPED) => Some(output),
        Ok(_) => skipped("there is no Chromium here"),
        Err(error) => skipped(&format!("python3: {error}")),
    }
}

/// Says so past the test harness, which keeps what passing tests print to itself.
fn skipped(reason: &str) -> Option<Output> {
    let line = format!("SKIPPED: {reason}: the page was not looked at\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

#[test]
fn the_page_works_in_a_browser() {
    let DisplaySpec::Web(spec) = "web:127.0.0.1:0?token=open%20sesame".parse().unwrap() else {
        panic!()
    };
    let (asked, requests) = channel();
    let mut page = Web::listen(&spec, asked).unwrap();
    let address = format!("http://{}/?token=open%20sesame", page.address());

    let done = Arc::new(AtomicBool::new(false));
    let camera = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut scene = Scene::new();
            let mut answered = Vec::new();
            page.set_vocabulary(&scene.labels);
            let mut begun = false;
            while !done.load(Ordering::Relaxed) {
                for request in requests.try_iter() {
                    match &request {
                        Request::Labels(labels) if labels == &["begin"] => {
                            begun = true;
                            continue;
                        }
                        Request::Labels(labels) if labels == &["end"] => return answered,
                        Request::Labels(labels) => scene.labels.clone_from(labels),
                        Request::Caption => {
                            scene.caption = caption("two cats, one of them asleep", scene.frame);
                        }
                    }
                    answered.push(request);
                }
                page.show(&if begun { scene.next() } else { View::default() }).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
            answered
        }
    });
    let folder = std::env::var("COCA_SCREENSHOTS").ok();
    let arguments = [Some(address.as_str()), folder.as_deref()];
    let clicked = run_script("click.py", &arguments.into_iter().flatten().collect::<Vec<_>>());
    done.store(true, Ordering::Relaxed);
    let answered = camera.join().unwrap();

    let Some(output) = clicked else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent = Request::Labels(vec!["zebra".into(), "giraffe".into()]);
    assert_eq!(answered, [sent, Request::Caption]);
}
