//! A program whose panics are caught prints none of them, and all others.

#![allow(clippy::unwrap_used)]

use std::{env, process::Command, thread};

use coca_host::{catch_panic, silence_caught_panics};

/// Set in the process that panics.
const PANICS: &str = "COCA_TEST_PANICS";

#[test]
fn caught_panics_are_not_printed() {
    if env::var_os(PANICS).is_some() {
        silence_caught_panics();
        assert_eq!(catch_panic(|| -> u8 { panic!("quiet") }), Err("quiet".to_owned()));
        assert!(thread::spawn(|| panic!("loud")).join().is_err());
        return;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command
        .args(["caught_panics_are_not_printed", "--exact", "--nocapture"])
        .env(PANICS, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && printed.contains("loud"), "{printed}");
    assert!(!printed.contains("quiet"), "{printed}");
}
