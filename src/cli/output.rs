//! The one writer of results, and of inputs that failed.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use clap::{
    ValueEnum,
    error::{ContextKind, ContextValue},
};
use coca_edge::{host::printable, redact, vision::ReadError};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Usage, messages};

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

/// Prints one result of lines around the progress bar, without characters that a terminal would obey.
pub(super) fn print<T: AsRef<str>>(
    bar: &ProgressBar,
    lines: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    let mut text = String::new();
    for line in lines {
        text += &printable(line.as_ref());
        text.push('\n');
    }
    Ok(bar.suspend(|| write(text.as_bytes()))?)
}

/// Prints a line for other programs, as it is.
pub(super) fn print_exactly(line: &str) -> anyhow::Result<()> {
    Ok(write(format!("{line}\n").as_bytes())?)
}

/// Prints one result as a JSON line.
pub(super) fn print_json(bar: &ProgressBar, result: &impl Serialize) -> anyhow::Result<()> {
    let line = json(result)? + "\n";
    Ok(bar.suspend(|| write(line.as_bytes()))?)
}

/// Prints the one answer of a command.
pub(super) fn print_report<T: AsRef<str>>(
    lines: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    print(&ProgressBar::hidden(), lines)
}

/// Prints the one answer of a command as JSON.
pub(super) fn print_json_report(answer: &impl Serialize) -> anyhow::Result<()> {
    Ok(write((escape_controls(serde_json::to_string_pretty(answer)?) + "\n").as_bytes())?)
}

/// One line of JSON without control characters.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(escape_controls)
}

/// Escapes what JSON allows within strings and terminals obey: delete and the controls behind it.
fn escape_controls(json: String) -> String {
    let is_obeyed = |character| matches!(character, '\u{7f}'..='\u{9f}');
    if !json.contains(is_obeyed) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if is_obeyed(character) {
            escaped += &format!("\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Refuses a file to be written that is one to be read: it would be lost.
pub(super) fn refuse_input<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    let Ok(real) = output.canonicalize() else { return Ok(()) };
    let is_input =
        |input: &Path| input.is_file() && input.canonicalize().is_ok_and(|input| input == real);
    match inputs.into_iter().any(is_input) {
        true => {
            let output = output.display();
            Err(Usage(format!("{output}: this file is an input: choose another for the output"))
                .into())
        }
        false => Ok(()),
    }
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output: cannot be written: {0}")]
pub(super) struct OutputError(#[source] io::Error);

/// Writes to standard output, at once: an error that comes only when the program ends would be lost.
pub(super) fn write(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(OutputError)
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
            bar.suspend(|| messages::fail(error));
            Ok(())
        }
    }
}

/// Prints help, the version, or what is wrong with the command line, and gives the exit status.
pub(super) fn answer(answer: clap::Error) -> ExitCode {
    let status = u8::try_from(answer.exit_code()).unwrap_or(2);
    if answer.use_stderr() {
        refuse(&without_wrong_tip(answer));
        return ExitCode::from(status);
    }
    match answer.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            messages::fail(OutputError(error));
            ExitCode::from(1)
        }
        _ => ExitCode::from(status),
    }
}

/// Leaves out the tip to pass an unknown option as a value, unless there is a file of that name.
fn without_wrong_tip(mut error: clap::Error) -> clap::Error {
    let named = error.get(ContextKind::InvalidArg);
    let is_file = matches!(named, Some(ContextValue::String(name)) if Path::new(name).exists());
    if !is_file
        && let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested)
    {
        tips.retain(|tip| !tip.to_string().contains("as a value"));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}

/// Says what is wrong with the command line as all errors are said, without the passwords in it.
fn refuse(error: &clap::Error) {
    let text = error.render();
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if is_coloured { text.ansi().to_string() } else { text.to_string() };
    let text = text.replacen("error:", "coca:", 1);
    // Nobody has to read it.
    let _ = io::stderr().lock().write_all(redact(&text).as_bytes());
}

/// Whether the reader of standard output went away, as `head` does; that is no failure.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(|OutputError(cause)| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_value_without_characters_that_a_terminal_obeys() {
        let name = "a\u{9b}31m\x1b[0m\x7fé\"";
        let line = json(&name).unwrap();
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), name);
    }
}
