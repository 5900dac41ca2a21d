//! Arguments of the command `coca-quantize`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod compare;
mod import;
mod int8;
mod manual;
mod messages;
mod output;
mod signals;

/// Makes models for coca.
#[derive(Debug, Parser)]
#[command(name = "coca-quantize", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say nothing but errors.
    #[arg(long, global = true)]
    quiet: bool,
    /// Say more: of int8, the noise of every tensor.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Arguments),
    Int8(int8::Arguments),
    Compare(compare::Arguments),
    /// Write man pages, and completions for bash, zsh and fish.
    #[command(hide = true)]
    Manual {
        /// A folder that is there.
        folder: PathBuf,
    },
}

/// Wrong usage: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

/// The amount that a command tells beside its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors alone.
    Errors,
    /// Progress and a summary.
    Summary,
    /// All that was measured.
    Details,
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        coca_host::silence_caught_panics();
        signals::remove_staging_folders_on_signals()?;
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Errors,
            (false, false) => Verbosity::Summary,
            (false, true) => Verbosity::Details,
        };
        match self.command {
            Command::Import(arguments) => import::run(verbosity, arguments),
            Command::Int8(arguments) => int8::run(verbosity, arguments),
            Command::Compare(arguments) => compare::run(self.quiet, &arguments),
            Command::Manual { folder } => manual::write(&folder),
        }
    }
}

/// Prints help, the version, or what is wrong with the command line as all errors are said, and gives the exit status.
pub(crate) fn answer(answer: &clap::Error) -> ExitCode {
    if !answer.use_stderr() {
        return match output::result(&answer.render().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                ExitCode::FAILURE
            }
        };
    }
    output::message(&answer.to_string().replacen("error:", "coca-quantize:", 1));
    ExitCode::from(2)
}

/// Writes an error to stderr.
pub(crate) fn report(error: &anyhow::Error) {
    output::message(&format!("coca-quantize: {}\n", messages::message(error)));
}
