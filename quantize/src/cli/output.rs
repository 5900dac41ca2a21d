//! Results to stdout, messages to stderr.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use coca_host::printable;
use indicatif::{ProgressBar, ProgressStyle};

/// Writes a result. A reader that is gone wants no more of it; any other failure loses the result.
pub(super) fn result(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output: cannot be written"),
    }
}

/// Writes a message of lines, without characters that a terminal would obey. One that nobody can read is dropped: the
/// work is done all the same.
pub(super) fn message(text: &str) {
    let _ = io::stderr().lock().write_all(printable_lines(text).as_bytes());
}

/// The lines of a text without characters that a terminal would obey.
pub(super) fn printable_lines(text: &str) -> String {
    text.lines().flat_map(|line| [printable(line), "\n".into()]).collect()
}

/// A bar on a terminal, hidden elsewhere and with `quiet`.
pub(super) fn bar(quiet: bool, template: &str) -> anyhow::Result<ProgressBar> {
    match quiet || !io::stderr().is_terminal() {
        true => Ok(ProgressBar::hidden()),
        false => Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?)),
    }
}
