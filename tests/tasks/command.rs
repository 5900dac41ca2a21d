//! The command `coca`, run to its end.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

pub(crate) fn photo(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos").join(name);
    path.to_str().unwrap().to_owned()
}

pub(crate) fn coca(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coca")).args(arguments).output().unwrap()
}

/// Standard output of a run that ends well.
pub(crate) fn answered(arguments: &[&str]) -> String {
    let output = coca(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON lines of a run that ends well.
pub(crate) fn lines(arguments: &[&str]) -> Vec<Value> {
    answered(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The JSON of a run that ends well.
pub(crate) fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&answered(arguments)).unwrap()
}

/// Standard error of a run that is refused as wrong usage.
pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = coca(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
