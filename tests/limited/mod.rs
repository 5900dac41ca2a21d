//! Programs within limits of memory, open files and threads.

use std::{
    fs::{self, Permissions},
    ops::RangeInclusive,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Output},
};

/// How many limits of each kind are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Some: for the default run.
    Few,
    /// All from the least, with which a program hardly starts, to plenty.
    All,
}

/// An option of bash's `ulimit`, and its value.
type Limit = (char, u64);

/// KiB of addresses.
const ADDRESSES: char = 'v';
const OPEN_FILES: char = 'n';
const THREADS: char = 'u';

/// Between two limits, and from the least with which a program starts to the most: KiB of addresses.
const STEP: u64 = 3_000;
const SPAN: u64 = 300_000;
/// Runs that take so many seconds hang.
const TIMEOUT: &str = "120";

/// Runs each of `commands` of `program` within limits, with the path of a new folder in the place of `OUT`: it must answer, or fail
/// in a sentence.
pub(crate) fn run_within_limits(program: &str, commands: &[&[&str]], depth: Depth) {
    // The loader of the program ends it in words of its own, and others may have left it open files.
    let starts = |limit| run(program, &["--version"], limit).status.success();
    let least = |option, values: RangeInclusive<u64>, step| {
        values.step_by(step).find(|value| starts((option, *value)))
    };
    let addresses = least(ADDRESSES, 20_000..=1_000_000, 10_000).unwrap();
    let files = least(OPEN_FILES, 3..=100, 1).unwrap();
    let every = |few| if depth == Depth::All { 1 } else { few };
    let mut limits: Vec<Limit> = Vec::new();
    let kib = (addresses..addresses + SPAN).step_by(STEP as usize).step_by(every(27));
    limits.extend(kib.map(|kib| (ADDRESSES, kib)));
    limits.extend((files..files + 12).step_by(every(5)).map(|files| (OPEN_FILES, files)));
    if starts((THREADS, 1)) {
        limits.extend((1..=9).step_by(every(3)).map(|count| (THREADS, count)));
    } else {
        println!(
            "left out: limits of threads need bash, and for root setpriv and a program that others may run"
        );
    }
    let mut answered = 0;
    for command in commands {
        for limit in &limits {
            let output = run(program, command, *limit);
            let said = [output.stderr, output.stdout].concat();
            let said = String::from_utf8_lossy(&said);
            let (option, value) = limit;
            let what =
                format!("{command:?} with ulimit -{option} {value}: {}\n{said}", output.status);
            assert!(matches!(output.status.code(), Some(0..=2)), "{what}");
            assert!(!said.lines().any(is_panic), "{what}");
            assert!(output.status.success() || !said.trim().is_empty(), "{what}");
            answered += usize::from(output.status.success());
        }
    }
    println!("{answered} of {} runs answered", commands.len() * limits.len());
    assert!(answered > 0);
}

/// The standard library panics where a thread that has started finds no memory for its signal stack: nobody can catch that, and
/// the program goes on.
fn is_panic(line: &str) -> bool {
    line.contains("panicked at") && !line.contains("stack_overflow.rs")
}

fn run(program: &str, command: &[&str], (option, value): Limit) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    for path in [folder.path(), &out] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let mut limited = Command::new("timeout");
    limited.args(["-s", "KILL", TIMEOUT]);
    if option == THREADS && fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Root's threads have no limit.
        limited.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    limited.args([
        "bash",
        "-c",
        &format!("ulimit -{option} {value} && exec \"$@\""),
        "bash",
        program,
    ]);
    limited.args(command.iter().map(|argument| argument.replace("OUT", out.to_str().unwrap())));
    limited.env("RUST_BACKTRACE", "0").current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// Lets others than this user read what is in `folder`.
pub(crate) fn open_to_others(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}
