//! Printing results, and inputs that failed.

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use coca_edge::vision::ReadError;
use indicatif::ProgressBar;
use serde::Serialize;

use super::messages;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// A JSON object a line
    Jsonl,
}

/// Output format of a command with one answer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Prints one result, a line or several, around the progress bar.
pub(super) fn print(bar: &ProgressBar, text: &str) -> anyhow::Result<()> {
    bar.suspend(|| writeln!(io::stdout().lock(), "{text}")).context(STDOUT)
}

/// Prints one result as a JSON line.
pub(super) fn print_json(bar: &ProgressBar, result: &impl Serialize) -> anyhow::Result<()> {
    print(bar, &serde_json::to_string(result)?)
}

/// Prints the one answer of a command.
pub(super) fn print_report(text: &str) -> anyhow::Result<()> {
    print(&ProgressBar::hidden(), text)
}

/// An input that could not be answered.
#[derive(Serialize)]
pub(super) struct Failure<'a> {
    pub(super) source: &'a str,
    /// Begins with the source's name.
    pub(super) error: String,
}

/// Reports an input that failed: to standard output as JSON, where the reader of the results finds
/// it, or to standard error as text.
pub(super) fn report(
    bar: &ProgressBar,
    format: Format,
    source: &str,
    error: &ReadError,
) -> anyhow::Result<()> {
    let error = error.to_string();
    match format {
        Format::Jsonl => print_json(bar, &Failure { source, error }),
        Format::Text => {
            bar.suspend(|| messages::say(error));
            Ok(())
        }
    }
}

const STDOUT: &str = "cannot write to standard output";

/// Whether the reader of standard output went away, as `head` does; that is no failure.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
