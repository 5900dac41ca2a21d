//! The command `coca` as a newcomer uses it: what is questioned, said or refused, and how.
#![cfg(all(unix, feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

const CAT: &str = "tests/photos/cat.jpg";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

fn coca(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What is said when a photo is classified among these labels.
fn said_of(labels: &str) -> String {
    let output = coca(&["classify", CAT, "--labels", labels]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stderr(&output).to_owned()
}

#[test]
fn labels_that_are_the_same_to_the_model_are_used_once_and_told() {
    let output = coca(&["classify", CAT, "--labels", "Cat,cat,dog"]);
    assert!(stderr(&output).contains("cat: the same to the model as Cat; Cat is used"));
    assert_eq!(stdout(&output).lines().count(), 3, "{}", stdout(&output));
    let long = "very ".repeat(200);
    let said = said_of(&format!("{long}a,{long}b,dog"));
    assert!(said.contains("the same to the model as") && said.contains("sees only the beginning"));
    let said = said_of("cat,dog");
    assert!(!said.contains("the same") && !said.contains("alone"), "{said}");
}

#[test]
fn one_label_alone_is_questioned() {
    assert!(said_of("cat;dog").contains("labels are separated by commas"));
    assert!(said_of("cat").contains("one label alone always scores 1"));
}

#[test]
fn a_text_that_is_cut_is_said_to_be() {
    let output = coca(&["embed", "--text", &"word ".repeat(300), "--text", "a cat"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output).matches("sees only the beginning").count(), 1);
}

#[test]
fn options_without_effect_are_refused() {
    for (arguments, expected) in [
        (&["--seed", "3"][..], "--seed needs --search sample"),
        (&["--temperature", "0.5"], "--temperature needs --search sample"),
        (&["--search", "greedy", "--beams", "3"], "--beams needs --search log-prob or openclip"),
        (&["--search", "log-prob", "--beam-groups", "3"], "--beam-groups needs --search openclip"),
    ] {
        let output = coca(&[&["caption", CAT], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_folder_is_its_pictures_and_those_in_its_subfolders() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("2025/may")).unwrap();
    for name in ["2025/may/a.jpg", "b.jpg", "._b.jpg"] {
        fs::copy(CAT, folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("IMG_1.HEIC"), "\0\0\0\x18ftypheic").unwrap();
    let path = folder.path().to_str().unwrap();
    let output = coca(&["embed", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(stderr(&output).contains("1 .heic"), "{}", stderr(&output));
    assert_eq!(stdout(&coca(&["embed", path, "--no-recursive"])).lines().count(), 1);
    let heic = coca(&["embed", folder.path().join("IMG_1.HEIC").to_str().unwrap()]);
    assert!(stdout(&heic).contains("a HEIC file, as phones take them"), "{}", stdout(&heic));
}

#[test]
fn endless_files_are_read_no_further_than_they_may_be() {
    for arguments in [
        &["classify", "/dev/zero"][..],
        &["classify", CAT, "--labels-file", "/dev/zero"],
        &["classify", CAT, "--templates", "/dev/zero", "--labels", "a,b"],
        &["embed", "/dev/zero"],
    ] {
        let started = Instant::now();
        assert_eq!(coca(arguments).status.code(), Some(1), "{arguments:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{arguments:?}");
    }
}

#[test]
fn secrets_in_arguments_that_are_refused_are_not_repeated() {
    for arguments in [
        &["watch", "--source", "http://u:hush hush@cam/"][..],
        &["watch", "--source", "ftp://u:hush@cam/"],
        &["watch", "--source", "rtsp://u:hush@cam/live"],
        &["watch", "--display", "web:8080?tokn=hush"],
        &["watch", "--display", "https://u:hush@cam"],
        &["watch", "http://u:hush@cam/"],
        &["watch", "--token=hush", "--nonsense"],
        &["watch", "--on-label", "curl --password hush 'http://u:hush@cam"],
    ] {
        let output = coca(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    }
}

#[test]
fn secrets_reach_no_program_that_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let source = format!("cmd:sh -c 'env > {}; exec cat {CAT}'", seen.display());
    let output = command(&["watch", "--labels", "cat,dog", "--caption-on", "never"])
        .env("COCA_TOKEN", "hush")
        .env("COCA_SOURCE", source)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("hush") && !seen.contains("COCA_SOURCE"));
}

#[test]
fn a_watch_in_the_background_of_a_terminal_is_not_stopped() {
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let coca = env!("CARGO_BIN_EXE_coca");
    let (out_path, log) = (out.display(), folder.path().join("log"));
    let script = format!(
        "{coca} watch --source test --labels cat,dog --caption-on request --frames 30 > {out_path} 2> {} & wait",
        log.display()
    );
    let mut terminal = Command::new("script")
        .args(["-qfec", &format!("bash --norc -ic '{script}'"), "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    while lines() < 30 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = lines();
    drop(terminal.stdin.take());
    let _ = terminal.kill();
    let _ = terminal.wait();
    assert!(found >= 30, "{found} lines: {}", fs::read_to_string(log).unwrap_or_default());
}

#[test]
fn help_begins_with_the_options_of_the_command_itself() {
    let output = coca(&["classify", "--help"]);
    let help = stdout(&output);
    let (own, common) = (help.find("--top-k").unwrap(), help.find("--model").unwrap());
    assert!(own < common && help.contains("Common options:"), "{help}");
}

#[test]
fn a_shell_pipeline_as_a_command_is_refused_with_the_way_out() {
    let output =
        coca(&["watch", "--source", "cmd:cat film.mjpeg | head -c 100", "--labels", "a,b"]);
    assert!(stderr(&output).contains("cmd:sh -c '…'"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_page_is_printed_as_an_address() {
    let output = coca(&[
        "watch",
        "--source",
        "test",
        "--labels",
        "cat,dog",
        "--caption-on",
        "never",
        "--frames",
        "1",
        "--display",
        "web:127.0.0.1:0",
    ]);
    assert!(stderr(&output).contains("the page: http://127.0.0.1:"), "{}", stderr(&output));
}
