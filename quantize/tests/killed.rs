//! `coca-quantize` killed at any moment leaves the older model or the new one, which opens and answers.
//!
//! The long run: `cargo test --release -p coca-quantize --test killed -- --ignored --nocapture`.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../../tests/killing/mod.rs"]
mod killing;

use std::{fs, path::Path, process::Command};

use coca_model::{CaptionOptions, Coca, Embedding};
use killing::{FEW, MANY, kill_at_many_moments, temporary};

/// The small checkpoints of `tests/golden`.
const CHECKPOINTS: [&str; 2] =
    ["../tests/golden/open_clip/plain", "../tests/golden/open_clip/pooler"];

fn quantize(arguments: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca-quantize"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).arg(out).arg("--quiet");
    command
}

fn run(arguments: &[&str], out: &Path) {
    assert!(quantize(arguments, out).status().unwrap().success());
}

/// A model's answers to pictures and texts, all of its parts read; half a model fails.
fn answers(folder: &Path) -> (Embedding, String) {
    let coca = Coca::open(folder).unwrap();
    let picture = coca.encode_image(image::DynamicImage::new_rgb8(8, 8)).unwrap();
    let caption = coca.caption(&picture, &CaptionOptions::default()).unwrap();
    (coca.encode_text("a cat").unwrap(), caption.text)
}

/// Two commands write the same model by turns; each kill leaves what one of them makes.
fn kill_writers(kills: u32, commands: [[&str; 2]; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let expected = commands.map(|arguments| {
        run(&arguments, &out);
        answers(&out)
    });
    assert!(expected[0] != expected[1]);
    let command = |round| quantize(&commands[round as usize % 2], &out);
    kill_at_many_moments(kills, folder.path(), command, || {
        assert!(expected.contains(&answers(&out)));
    });
}

fn kill_imports(kills: u32) {
    kill_writers(kills, CHECKPOINTS.map(|checkpoint| ["import", checkpoint]));
}

fn kill_int8(kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    let models = ["plain", "pooler"].map(|name| folder.path().join(name));
    for (checkpoint, model) in CHECKPOINTS.iter().zip(&models) {
        run(&["import", checkpoint], model);
    }
    let [plain, pooler] = models.each_ref().map(|model| model.to_str().unwrap());
    kill_writers(kills, [["int8", plain], ["int8", pooler]]);
}

#[test]
fn an_import_that_is_killed_leaves_the_older_model_or_the_new_one() {
    kill_imports(FEW);
}

#[test]
fn an_int8_that_is_killed_leaves_the_older_model_or_the_new_one() {
    kill_int8(FEW);
}

#[test]
#[ignore = "takes minutes"]
fn hundreds_of_kills_leave_the_older_model_or_the_new_one() {
    kill_imports(MANY);
    kill_int8(MANY);
}

/// A kill between the exchange of names and the removal of the older model, which somebody has put a file into.
#[test]
fn an_older_model_with_a_file_of_somebody_else_is_kept_under_its_temporary_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    run(&["import", CHECKPOINTS[0]], &out);
    let older = folder.path().join(".coca-model.partial");
    fs::rename(&out, &older).unwrap();
    fs::write(older.join("thesis.txt"), "thesis").unwrap();
    run(&["import", CHECKPOINTS[0]], &out);
    assert!(older.join("thesis.txt").exists());
    fs::remove_file(older.join("thesis.txt")).unwrap();
    run(&["import", CHECKPOINTS[0]], &out);
    assert!(temporary(folder.path()).is_empty());
}
