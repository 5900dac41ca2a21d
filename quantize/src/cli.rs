//! Arguments of the command `coca-quantize`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use coca_quantize::int8;

mod compare;
mod import;
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
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Arguments),
    /// Store a model's weights as 8-bit integers: a quarter of the size, and faster.
    Int8 {
        /// The folder of the model.
        bundle: PathBuf,
        /// The folder of the new model.
        out: PathBuf,
        /// Run the model on pictures of this folder (24 at most), move outliers into weights, correct biases, and keep
        /// layers that 8 bits would blur.
        #[arg(long, value_name = "DIR")]
        calibrate: Option<PathBuf>,
        /// Leave these weights as they are: names with *, ? and [abc] in them.
        #[arg(long, value_name = "PATTERN")]
        keep_f32: Vec<String>,
    },
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

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        signals::remove_staging_folders_on_signals()?;
        match self.command {
            Command::Import(arguments) => import::run(self.quiet, arguments),
            Command::Int8 { bundle, out, calibrate, keep_f32 } => {
                let options = int8::Options { keep_f32, calibrate };
                quantize(self.quiet, |progress| int8::int8(&bundle, &out, &options, progress))
            }
            Command::Compare(arguments) => compare::run(self.quiet, &arguments),
            Command::Manual { folder } => manual::write(&folder),
        }
    }
}

/// Runs a quantisation with a progress bar, and writes its report.
fn quantize(
    quiet: bool,
    run: impl Fn(&dyn Fn(int8::Progress)) -> Result<int8::Report, int8::Error>,
) -> anyhow::Result<()> {
    let bar = output::bar(quiet, "{msg} {wide_bar} {percent}% {eta} left")?;
    let report = run(&|progress| {
        bar.set_message(progress.doing.to_owned());
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    if !quiet {
        output::message(&report.to_string());
    }
    Ok(())
}

/// Writes an error to stderr.
pub(crate) fn report(error: &anyhow::Error) {
    output::message(&format!("coca-quantize: {}\n", messages::message(error)));
}
