//! Commands that are killed, by SIGKILL, at many moments of their run.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Kills that every test of the default run makes, and those of the long run.
pub(crate) const FEW: u32 = 6;
pub(crate) const MANY: u32 = 300;

/// Spreads moments evenly over a span, however many there are: the fraction of the golden ratio's multiples.
fn share(round: u32) -> f64 {
    (f64::from(round + 1) * 0.618_033_988_75).fract()
}

/// Entries of `folder` that have a temporary name.
pub(crate) fn temporary(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".coca-")).collect()
}

/// Kills `kills` runs of `command`, which is told the number of its run, and calls `check` after each.
///
/// A whole run is measured first. Half of the others are killed at a moment of its duration, half at a moment of the life
/// of what is temporary in `folder`, from its making to its renaming and a little later. At most one temporary entry is
/// left, whatever the number of kills; the next whole run removes it.
pub(crate) fn kill_at_many_moments(
    kills: u32,
    folder: &Path,
    command: impl Fn(u32) -> Command,
    mut check: impl FnMut(),
) {
    let start = |round| {
        let mut command = command(round);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (duration, lifetime) = measure(start(0), folder);
    check();
    let mut interrupted = 0;
    for round in 1..=kills {
        let left = temporary(folder);
        let mut child = start(round);
        if round % 2 == 0 {
            thread::sleep(duration.mul_f64(share(round)));
        } else {
            wait_for(&mut child, || temporary(folder).iter().any(|name| !left.contains(name)));
            spin(lifetime.mul_f64(1.2 * share(round)));
        }
        child.kill().unwrap();
        interrupted += u32::from(child.wait().unwrap().code().is_none());
        let left = temporary(folder);
        assert!(left.len() <= 1, "{left:?}");
        check();
    }
    let (_, last) = measure(start(kills + 1), folder);
    check();
    assert_eq!(temporary(folder), Vec::<String>::new(), "the next run removes what was left");
    println!("{interrupted} of {kills} runs of {duration:?} ({last:?} temporary) were killed");
    assert!(interrupted > 0);
}

/// Lets a run end: its duration, and the lifetime of what is temporary in `folder`.
fn measure(mut child: Child, folder: &Path) -> (Duration, Duration) {
    let start = Instant::now();
    let (mut begin, mut end) = (None, start);
    wait_for(&mut child, || {
        if !temporary(folder).is_empty() {
            end = Instant::now();
            begin.get_or_insert(end);
        }
        false
    });
    let duration = start.elapsed();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (duration, begin.map_or(Duration::ZERO, |begin| end - begin))
}

/// Waits until `condition` holds or the process has ended.
fn wait_for(child: &mut Child, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "the run does not end");
        thread::sleep(Duration::from_micros(50));
    }
}

/// Waits more exactly than sleeping does.
fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
