//! A process among others: signals, outputs that go away, the service manager, niceness.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixDatagram,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{LABELS, command, command_for, end, signal, start, start_pattern, stderr, wait_until};

#[test]
fn signals_end_the_watch_with_a_summary() {
    for name in ["TERM", "INT"] {
        let mut child = start(command_for("test", &[]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let start = Instant::now();
        signal(&child, name);
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{name}: {:?}", start.elapsed());
        assert_eq!(status.code(), Some(0), "{name}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("frames labelled of"), "{said}");
    }
}

#[test]
fn a_closed_standard_output_does_not_stop_labelling() {
    let six = ["--fps", "30", "--frames", "6", "--caption-on", "never"];
    let mut child = start(command_for("test", &six));
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("standard output was closed"), "{}", stderr(&output));
    assert!(stderr(&output).contains("6 frames labelled"), "{}", stderr(&output));
}

#[test]
fn a_full_disk_does_not_stop_labelling() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let arguments =
        ["--source", "test", "--labels", LABELS, "--frames", "4", "--caption-on", "never"];
    let output = command(&arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert_eq!(said.matches("tried again from time to time").count(), 1, "{said}");
    assert!(said.contains("4 frames labelled"), "{said}");
}

#[test]
fn a_closed_standard_error_does_not_stop_labelling() {
    let (mut child, mut reports) = start_pattern(&["--caption-on", "never", "--frames", "5"]);
    drop(child.stderr.take());
    assert!(reports.by_ref().count() >= 5);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_failing_display_does_not_stop_labelling_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, png) = (folder.path().join("inside"), folder.path().join("inside/now.png"));
    fs::create_dir(&inside).unwrap();
    let display = format!("png:{}?size=160x120", png.display());
    let (child, mut reports) = start_pattern(&["--caption-on", "never", "--display", &display]);
    wait_until("a first picture", || reports.next().is_some() && png.exists());
    fs::rename(&inside, folder.path().join("away")).unwrap();
    assert_eq!(reports.by_ref().take(10).count(), 10);
    wait_until("a picture without its folder is missed", || {
        reports.next().is_some() && !png.exists()
    });
    fs::create_dir(&inside).unwrap();
    wait_until("a picture again", || reports.next().is_some() && png.exists());
    let said = end(child);
    assert_eq!(said.matches("tried again from time to time").count(), 1, "{said}");
    assert!(said.contains("shows again"), "{said}");
}

#[test]
fn notifies_the_service_manager_of_start_watchdog_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let child = command(&["--source", "test", "--labels", LABELS, "--caption-on", "never"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    assert_eq!([heard(), heard(), heard()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    end(child);
    assert_eq!(
        std::iter::repeat_with(heard).find(|state| state != "WATCHDOG=1").unwrap(),
        "STOPPING=1"
    );
}

#[test]
fn nice_reaches_every_thread_and_captions_yield_to_labels() {
    let niceness = |stat: &str| -> i32 {
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    };
    let own = niceness(&fs::read_to_string("/proc/thread-self/stat").unwrap());
    let options = ["--nice", "7", "--threads", "2", "--caption-on", "request"];
    let (child, mut reports) = start_pattern(&options);
    reports.next().unwrap();
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
        let name = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap().0.to_owned();
        found.push((name, niceness(&stat)));
    }
    end(child);
    assert!(found.len() > 4, "{found:?}");
    // Two engines have a helper each: that of labels, and that of captions.
    let (mut helpers, others): (Vec<_>, Vec<_>) =
        found.iter().cloned().partition(|(name, _)| name.starts_with("kernels-"));
    helpers.sort_unstable();
    let nice = |added: i32| (own + added).min(19);
    let expected = [7, 12].map(|added| ("kernels-1".to_owned(), nice(added)));
    assert_eq!(helpers, expected, "{found:?}");
    for (name, found_nice) in &others {
        assert_eq!(*found_nice, nice(if name == "captions" { 12 } else { 7 }), "{found:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn programs_that_were_started_end_with_a_watch_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    // Both leave a program of their own in the background.
    let started = |name: &str| format!("sleep 600 & echo $! > {}; ", file(name).display());
    let photo = "tests/photos/cat.jpg";
    let source = format!("cmd:sh -c '{}while sleep 0.1; do cat {photo}; done'", started("source"));
    let action = format!("cat=sh -c '{}wait'", started("action"));
    let arguments = ["--smoothing", "0", "--caption-on", "never", "--on-label", &action];
    let mut child = start(command_for(&source, &arguments));
    let pid = |name: &str| fs::read_to_string(file(name)).ok()?.trim().parse::<u32>().ok();
    wait_until("both run", || pid("source").is_some() && pid("action").is_some());
    let pids = ["source", "action"].map(|name| pid(name).unwrap());
    let is_running = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    assert!(pids.into_iter().all(is_running));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("both are gone", || !pids.into_iter().any(is_running));
}
