//! What a dropped model used goes back to the system: alone in its process, because it looks at the memory of all of it.

#![cfg(all(feature = "pocket", target_os = "linux"))]

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
    let others = Coca::pocket_with(&engine).unwrap();
    others.load_image_encoder().unwrap();
    use_a_model(&engine);
    let first = anonymous_kilobytes();
    for round in 1..=6 {
        let in_use = use_a_model(&engine);
        let left = anonymous_kilobytes();
        println!("round {round}: {in_use} kB in use, {left} kB left, {first} kB after the first");
        // Packed weights are 11 MB; the allocator may keep small pieces of all else.
        assert!(in_use - left > 10_000, "round {round}: only {} kB came back", in_use - left);
        assert!(
            left - first < 3_000,
            "round {round}: {} kB more than after the first",
            left - first
        );
    }
}
