//! `coca watch` as a user meets it: lines, events, captions, signals, and outputs that go away.
#![cfg(all(feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod captions;
mod labels;
mod page;
mod process;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const LABELS: &str = "cat,cup of coffee,rocket";
const PHOTOS: &str = "tests/photos";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coca"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("watch").args(arguments);
    command
}

/// A watch of `source` for the three labels that prints JSON.
fn command_for(source: &str, arguments: &[&str]) -> Command {
    let usual = ["--source", source, "--labels", LABELS, "--format", "jsonl"];
    command(&[&usual, arguments].concat())
}

fn watch(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

fn reports(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A running watch of the moving pattern, and what it reports.
fn start_pattern(arguments: &[&str]) -> (Child, impl Iterator<Item = Value> + use<>) {
    let mut child = start(command_for("test", arguments));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn end(mut child: Child) -> String {
    signal(&child, "TERM");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
