//! The command `coca` with outputs that are closed, full or a terminal: messages and results are independent.
#![cfg(all(unix, feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

const CAT: &str = "tests/photos/cat.jpg";
const COFFEE: &str = "tests/photos/coffee.jpg";

fn coca(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

fn full() -> Option<Stdio> {
    File::options().write(true).open("/dev/full").ok().map(Stdio::from)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs a command whose reader of standard output, or of standard error, is gone from the start.
fn closed(mut command: Command, is_stdout: bool) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    match is_stdout {
        true => drop(child.stdout.take()),
        false => drop(child.stderr.take()),
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_message_that_nobody_can_read_costs_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.jpg");
    fs::write(&bad, "no picture").unwrap();
    let bad = bad.to_str().unwrap();
    for arguments in [
        &["classify", bad, CAT, COFFEE, "--labels", "cat,dog"][..],
        &["caption", bad, CAT, "--max-tokens", "7"],
        &["embed", bad, CAT, "--format", "npy"],
    ] {
        let expected = coca(arguments).output().unwrap();
        assert_eq!(expected.status.code(), Some(1));
        assert!(!expected.stderr.is_empty() && !expected.stdout.is_empty());
        let mut unread = vec![closed(coca(arguments), false)];
        unread.extend(full().map(|full| coca(arguments).stderr(full).output().unwrap()));
        for found in unread {
            assert_eq!(found.status.code(), Some(1), "{arguments:?}");
            assert!(found.stdout == expected.stdout, "{arguments:?}");
        }
    }
}

#[test]
fn a_full_standard_output_is_an_error() {
    for arguments in [
        &["classify", CAT, "--labels", "cat,dog"][..],
        &["classify", CAT, "--labels", "cat,dog", "--format", "jsonl"],
        &["caption", CAT, "--max-tokens", "7"],
        &["embed", CAT],
        &["embed", "--text", "a cat", "--format", "npy"],
        &["doctor", "--format", "json"],
        &["info"],
        &["--help"],
    ] {
        let Some(full) = full() else { return };
        let output = coca(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains("coca: standard output: cannot be written: "), "{said}");
        assert_eq!(said.matches("No space left").count(), 1, "{said}");
    }
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    for arguments in [
        &["classify", CAT, COFFEE, "--labels", "cat,dog", "--quiet"][..],
        &["caption", CAT, "--max-tokens", "7"],
        &["embed", "--text", "a cat", "--format", "npy"],
        &["doctor"],
        &["info", "--format", "json"],
        &["classify", "--help"],
    ] {
        let output = closed(coca(arguments), true);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn an_embedding_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.npy");
    fs::write(&file, "the old one").unwrap();
    let path = file.to_str().unwrap();
    let failed = coca(&["embed", "--model", "/no/model", "--text", "a", "-o", path]);
    assert_eq!({ failed }.output().unwrap().status.code(), Some(1));
    assert_eq!(fs::read(&file).unwrap(), b"the old one");
    let output = coca(&["embed", "--text", "a", "--format", "npy", "-o", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(fs::read(&file).unwrap().starts_with(b"\x93NUMPY"));
    if full().is_some() {
        let output = coca(&["embed", "--text", "a", "-o", "/dev/full"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with("coca: /dev/full: cannot be written: "));
    }
}

#[test]
fn names_with_control_characters_reach_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name =
        |start: &str| PathBuf::from(format!("{start}\x1b]0;owned\x07\r\n\u{9b}2J\u{202e}.jpg"));
    let (good, bad) = (folder.path().join(name("good")), folder.path().join(name("bad")));
    fs::copy(CAT, &good).unwrap();
    fs::write(&bad, "no picture").unwrap();
    let labels = "cat,a\x1b[31mdog\u{9b}31m";
    for format in ["text", "jsonl"] {
        let files = [good.to_str().unwrap(), bad.to_str().unwrap()];
        let arguments =
            ["classify", files[0], files[1], "--labels", labels, "--format", format, "--quiet"];
        let output = coca(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let (said, answers) = (text(&output.stderr), text(&output.stdout));
        for line in said.lines().chain(answers.lines()) {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        assert_eq!(
            (said.lines().count(), answers.lines().count()),
            if format == "text" { (1, 3) } else { (0, 2) }
        );
        if format == "jsonl" {
            let answer: serde_json::Value =
                serde_json::from_str(answers.lines().next().unwrap()).unwrap();
            assert_eq!(answer["source"], files[0]);
        }
    }
}

#[test]
fn an_output_that_is_an_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (list, photo) = (folder.path().join("list"), folder.path().join("cat.jpg"));
    fs::write(&list, "cat\ndog\n").unwrap();
    fs::copy(CAT, &photo).unwrap();
    let (list, photo) = (list.to_str().unwrap(), photo.to_str().unwrap());
    for arguments in [
        &["labels", "build", "--labels-file", list, "-o", list][..],
        &["embed", photo, "-o", photo],
    ] {
        let output = coca(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("this file is an input"), "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(list).unwrap(), "cat\ndog\n");
    assert_eq!(fs::read(photo).unwrap(), fs::read(CAT).unwrap());
}

#[test]
fn a_file_is_written_to_a_standard_output_that_is_a_pipe() {
    let output =
        coca(&["embed", "--text", "a", "--format", "npy", "-o", "/dev/stdout"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.starts_with(b"\x93NUMPY"));
}
