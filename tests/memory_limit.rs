//! Pictures and a camera where memory is short.
#![cfg(all(target_os = "linux", feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Address space of the program, in the shell's KiB.
const ADDRESS_SPACE: u32 = 450_000_000 / 1024;

/// A folder with good pictures among small files that become hundreds of megabytes.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos");
    fs::copy(photos.join("cat.jpg"), file("a.jpg")).unwrap();
    fs::write(file("b.gif"), empty_gif(9000)).unwrap();
    fs::write(file("c.png"), black_png(6000)).unwrap();
    fs::copy(photos.join("rocket.jpg"), file("d.jpg")).unwrap();
    folder
}

/// 35 bytes that announce a canvas of `side` × `side` pixels with one of them set.
fn empty_gif(side: u16) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    let mut gif = b"GIF89a".to_vec();
    gif.extend([low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    gif.extend([0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3B]);
    gif
}

/// A whole PNG, RGBA.
fn black_png(side: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(BufWriter::new(&mut png), side, side);
    encoder.set_color(png::ColorType::Rgba);
    let mut header = encoder.write_header().unwrap();
    let mut rows = header.stream_writer().unwrap();
    let row = vec![0; 4 * side as usize];
    (0..side).for_each(|_| rows.write_all(&row).unwrap());
    rows.finish().unwrap();
    drop(header);
    png
}

fn coca_within_the_limit(arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {ADDRESS_SPACE} && exec \"$@\"");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_coca")]).args(arguments);
    command.output().unwrap()
}

#[test]
fn good_pictures_are_answered_beside_decompression_bombs() {
    let folder = pictures();
    let path = folder.path().to_str().unwrap();
    let arguments = ["classify", path, "--labels", "cat,night", "--format", "jsonl"];
    let output = coca_within_the_limit(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let answers = String::from_utf8(output.stdout.clone()).unwrap();
    let answers: Vec<Value> =
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 4, "{said}");
    assert_eq!(answers[0]["labels"][0]["label"], "cat");
    assert_eq!(answers[3]["labels"][0]["label"], "night");
    for bomb in &answers[1..3] {
        assert!(bomb["error"].as_str().unwrap().contains("too large a picture"), "{bomb}");
    }
}

#[test]
fn good_pictures_are_indexed_beside_decompression_bombs() {
    let folder = pictures();
    let path = folder.path().to_str().unwrap();
    let output = coca_within_the_limit(&["index", path, "--threads", "2"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("too large a picture").count(), 2, "{said}");
    assert!(said.contains("2 encoded") && said.contains("2 failed"), "{said}");
}

#[test]
fn a_camera_is_watched_within_the_limit() {
    let arguments =
        ["watch", "--source", "test", "--frames", "3", "--format", "jsonl", "--threads", "2"];
    let output = coca_within_the_limit(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
