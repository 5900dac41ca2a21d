//! `coca` within limits of memory, open files and threads answers, or ends in a sentence.
//!
//! All limits: `cargo test --workspace --test limits -- --ignored --nocapture`.
#![cfg(all(target_os = "linux", feature = "cli", feature = "pocket"))]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod limited;

use std::{fs, path::Path, process::Command};

use limited::{Depth, open_to_others, run_within_limits};

const PHOTOS: &str = "tests/photos";

/// A folder of labels with a photo each, and an index of them.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open_to_others(folder.path());
    for label in ["cat", "rocket"] {
        let pictures = folder.path().join("taught").join(label);
        fs::create_dir_all(&pictures).unwrap();
        let photo = format!("{label}.jpg");
        let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join(PHOTOS);
        fs::copy(photos.join(&photo), pictures.join(&photo)).unwrap();
    }
    fs::write(folder.path().join("labels.txt"), "cat\nrocket\n").unwrap();
    let mut index = Command::new(env!("CARGO_BIN_EXE_coca"));
    index.current_dir(folder.path()).args(["index", "taught", "--index", "index", "--quiet"]);
    assert!(index.status().unwrap().success());
    folder
}

fn run_all(depth: Depth) {
    let folder = prepared();
    let [taught, labels, index] = ["taught", "labels.txt", "index"]
        .map(|name| folder.path().join(name).display().to_string());
    // A source whose thread is refused is tried again and again.
    let until = ["--frames", "3", "--duration", "5"];
    let watch = [&["watch", "--source", "test", "--labels", "cat,dog"][..], &until].concat();
    let displays = ["--display", "png:OUT/now.png", "--display", "web:127.0.0.1:0"];
    let commands: [&[&str]; 8] = [
        &["classify", PHOTOS, "--labels", "cat,dog", "--format", "jsonl"],
        &["caption", PHOTOS, "--max-tokens", "7"],
        &["embed", PHOTOS, "--format", "npy", "-o", "OUT/embeddings.npy"],
        &["labels", "build", "--labels-file", &labels, "-o", "OUT/table"],
        &["teach", &taught, "-o", "OUT/table"],
        &["index", &taught, "--index", "OUT/index"],
        &["search", "a cat", "--index", &index],
        &[&watch[..], &displays].concat(),
    ];
    run_within_limits(env!("CARGO_BIN_EXE_coca"), &commands, depth);
}

#[test]
fn within_limits_every_command_answers_or_ends_in_a_sentence() {
    run_all(Depth::Few);
}

#[test]
#[ignore = "takes minutes"]
fn within_every_limit_every_command_answers_or_ends_in_a_sentence() {
    run_all(Depth::All);
}
