//! `coca-quantize` within limits of memory, open files and threads writes its model, or ends in a sentence.
//!
//! All limits: `cargo test -p coca-quantize --test limits -- --ignored --nocapture`.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../../tests/limited/mod.rs"]
mod limited;

use std::{path::Path, process::Command};

use limited::{Depth, open_to_others, run_within_limits};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coca-quantize");
const CHECKPOINT: &str = "../tests/golden/open_clip/pooler";

fn run_all(depth: Depth) {
    let folder = tempfile::tempdir().unwrap();
    open_to_others(folder.path());
    let model = folder.path().join("model").display().to_string();
    let mut import = Command::new(PROGRAM);
    import.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["import", CHECKPOINT, &model]);
    assert!(import.status().unwrap().success());
    let commands: [&[&str]; 3] = [
        &["import", CHECKPOINT, "OUT/model"],
        &["int8", &model, "OUT/model"],
        &["int8", &model, "OUT/model", "--calibrate", "../tests/photos"],
    ];
    run_within_limits(PROGRAM, &commands, depth);
}

#[test]
fn within_limits_import_and_int8_succeed_or_end_in_a_sentence() {
    run_all(Depth::Few);
}

#[test]
#[ignore = "takes minutes"]
fn within_every_limit_import_and_int8_succeed_or_end_in_a_sentence() {
    run_all(Depth::All);
}
