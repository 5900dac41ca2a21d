//! Messages on standard error: warnings, and more with `-v`.

use std::{
    fmt::Display,
    io::{self, Write},
};

use coca_edge::{host::printable, redact};
use log::{LevelFilter, Log, Metadata, Record};

struct Messages;

/// Writes a line, without passwords and characters that a terminal would obey. Nobody has to read it: one that cannot be
/// written is dropped.
pub(super) fn say(message: impl Display) {
    let message = message.to_string();
    let _ = writeln!(io::stderr().lock(), "{}", printable(&redact(&message)));
}

/// Says what failed.
pub(super) fn fail(message: impl Display) {
    say(format_args!("coca: {message}"));
}

/// Installs the logger at the level that the user asked for.
pub(super) fn start(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, _) => LevelFilter::Debug,
    };
    if log::set_logger(&Messages).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("coca")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            say(format_args!("{}: {}", record.level().as_str().to_lowercase(), record.args()));
        }
    }

    fn flush(&self) {}
}
