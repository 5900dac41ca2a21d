//! `coca-quantize import`.

use std::{io::IsTerminal, path::PathBuf};

use clap::ValueEnum;
use coca_quantize::{import, int8, onnx::Storage};
use indicatif::{DecimalBytes, ProgressBar};

use super::{Usage, Verbosity, output};

/// Turn a CoCa or CLIP of open_clip, or a CLIP of Hugging Face's transformers, into a model for coca.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A folder with open_clip_config.json or transformers' config.json and weights, a weights file, or a hub id
    /// (OWNER/NAME).
    checkpoint: String,
    /// The folder of the new model.
    out: PathBuf,
    /// What weights are stored as: f16 is half the size and still computed as f32, int8 a quarter and faster
    /// [default: f32].
    #[arg(long, value_enum)]
    to: Option<To>,
    /// The older name of --to, for f32 and f16.
    #[arg(long, value_enum, hide = true, conflicts_with = "to")]
    dtype: Option<Dtype>,
    /// With --to int8: run the model on pictures of this folder (24 at most), move outliers into weights, correct
    /// biases, and keep layers that 8 bits would blur.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// The configuration: one that open_clip has a name for (coca_ViT-B-32, ViT-B-32-quickgelu, …), or an
    /// open_clip_config.json.
    #[arg(long, value_name = "NAME")]
    config: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum To {
    F32,
    F16,
    Int8,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    F16,
}

impl Arguments {
    fn to(&self) -> To {
        match (self.to, self.dtype) {
            (Some(to), _) => to,
            (None, Some(Dtype::F16)) => To::F16,
            (None, Some(Dtype::F32) | None) => To::F32,
        }
    }
}

pub(super) fn run(verbosity: Verbosity, arguments: Arguments) -> anyhow::Result<()> {
    let to = arguments.to();
    if arguments.calibrate.is_some() && to != To::Int8 {
        return Err(Usage("--calibrate needs --to int8".to_owned()).into());
    }
    let quiet = verbosity == Verbosity::Errors;
    let progress = !quiet && std::io::stderr().is_terminal();
    let storage = if to == To::F16 { Storage::F16 } else { Storage::F32 };
    let options = import::Options { storage, config: arguments.config, progress };
    let (checkpoint, out) = (arguments.checkpoint, arguments.out);
    if to == To::Int8 {
        let quantization = int8::Options { calibrate: arguments.calibrate, ..Default::default() };
        return super::int8::quantize(verbosity, |progress| {
            int8::import(&checkpoint, &out, &options, &quantization, progress)
        });
    }
    let spinner = if progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    // Not from a thread of its own, which the system may refuse.
    let step = |file: &str| {
        spinner.set_message(format!("writing {file}"));
        spinner.tick();
    };
    let model = import::import(&checkpoint, &out, &options, &step)?;
    spinner.finish_and_clear();
    if !quiet {
        let bytes = model.files.values().map(|file| file.bytes).sum();
        let (name, precision, size) = (model.name, model.precision, DecimalBytes(bytes));
        output::message(&format!("{}: {name} as {precision}, {size}\n", out.display()));
    }
    Ok(())
}
