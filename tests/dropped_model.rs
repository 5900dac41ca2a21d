//! What a dropped model used goes back to the system: alone in its process, because it looks at the memory of all of it.

#![cfg(all(feature = "pocket", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

use coca_edge::{CaptionOptions, Coca, Engine};

/// Memory of this process that no file stands behind, in kB.
fn anonymous_kilobytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Labels and captions a picture; gives what the process takes while the model is there.
fn use_a_model(engine: &Engine) -> i64 {
    let coca = Coca::pocket_with(engine).unwrap();
    let cat = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/photos/cat.jpg")).unwrap();
    let image = coca.encode_image(&cat).unwrap();
    let labels = coca.labels(["cat", "dog", "house"]).unwrap();
    assert_eq!(labels.classify(&image, 1).unwrap()[0].label, "cat");
    coca.caption(&image, &CaptionOptions::default()).unwrap();
    anonymous_kilobytes()
}

#[test]
fn a_dropped_model_gives_its_memory_back_although_its_engine_stays() {
    let engine = Engine::builder().threads(2).build().unwrap();
    use_a_model(&engine);
    let first = use_a_model(&engine);
    for round in 1..=8 {
        let in_use = use_a_model(&engine);
        let left = anonymous_kilobytes();
        println!("round {round}: {in_use} kB in use, {left} kB left");
        // Packed weights are 11 MB. The C library keeps what it deems worth keeping of all else, now more, now less.
        assert!(in_use - left > 10_000, "round {round}: only {} kB came back", in_use - left);
        assert!(in_use - first < 4_000, "round {round}: {in_use} kB in use, {first} kB at first");
    }
}
