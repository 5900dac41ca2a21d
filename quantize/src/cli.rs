//! Arguments of the command `coca-quantize`.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use coca_quantize::{import, int8, onnx::Storage};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

mod compare;
mod manual;
mod messages;
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
    /// Turn an open_clip checkpoint into a model for coca.
    Import {
        /// A folder with open_clip_config.json and weights, a weights file, or a hub id (OWNER/NAME).
        checkpoint: String,
        /// The folder of the new model.
        out: PathBuf,
        /// What weights are stored as: f16 is half the size, and still computed as f32.
        #[arg(long, value_enum, default_value_t = Dtype::F32)]
        dtype: Dtype,
        /// The configuration: coca_ViT-B-32, coca_ViT-L-14, coca_base, or an open_clip_config.json.
        #[arg(long, value_name = "NAME")]
        config: Option<String>,
    },
    /// Store a model's weights as 8-bit integers: a quarter of the size, and faster.
    Int8 {
        /// The folder of the model.
        bundle: PathBuf,
        /// The folder of the new model.
        out: PathBuf,
        /// Run the model on images of this folder (24 at most), move outliers into weights, correct biases, and keep
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    F16,
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        signals::remove_staging_folders_on_signals()?;
        match self.command {
            Command::Import { checkpoint, out, dtype, config } => {
                let storage = match dtype {
                    Dtype::F32 => Storage::F32,
                    Dtype::F16 => Storage::F16,
                };
                import(self.quiet, &checkpoint, &out, storage, config)
            }
            Command::Int8 { bundle, out, calibrate, keep_f32 } => {
                int8(self.quiet, &bundle, &out, &int8::Options { keep_f32, calibrate })
            }
            Command::Compare(arguments) => compare::run(self.quiet, &arguments),
            Command::Manual { folder } => manual::write(&folder),
        }
    }
}

/// Writes an error to stderr. A message that nobody can read is dropped: the exit status tells it too.
pub(crate) fn report(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "coca-quantize: {}", messages::message(error));
}

fn import(
    quiet: bool,
    checkpoint: &str,
    out: &Path,
    storage: Storage,
    config: Option<String>,
) -> anyhow::Result<()> {
    let progress = !quiet && std::io::stderr().is_terminal();
    let spinner = if progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.enable_steady_tick(Duration::from_millis(200));
    let options = import::Options { storage, config, progress };
    let step = |file: &str| spinner.set_message(format!("writing {file}"));
    let model = import::import(checkpoint, out, &options, &step)?;
    spinner.finish_and_clear();
    if !quiet {
        let bytes = model.files.values().map(|file| file.bytes).sum();
        eprintln!(
            "{}: {} as {}, {}",
            out.display(),
            model.name,
            model.precision,
            HumanBytes(bytes)
        );
    }
    Ok(())
}

fn int8(quiet: bool, bundle: &Path, out: &Path, options: &int8::Options) -> anyhow::Result<()> {
    let bar = match quiet || !std::io::stderr().is_terminal() {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta} left")?),
    };
    let report = int8::int8(bundle, out, options, &|progress| {
        bar.set_message(progress.doing.to_owned());
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    if !quiet {
        eprint!("{report}");
    }
    Ok(())
}
