//! `coca-quantize int8`, and the quantising half of `import --to int8`.

use std::path::PathBuf;

use coca_quantize::int8;

use super::{Usage, Verbosity, output};

/// Store a model's weights as 8-bit integers: a quarter of the size, and faster.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the model.
    bundle: PathBuf,
    /// The folder of the new model.
    out: PathBuf,
    /// Run the model on pictures of this folder, move outliers into weights, correct biases, and keep layers that 8 bits
    /// would blur (24 pictures). The convolutions of an image encoder become static int8: their activations are 8-bit
    /// codes from layer to layer, with ranges measured here (128 pictures or more, 256 at most).
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// Insist on static int8: refuse a model without convolutions. Needs --calibrate.
    #[arg(long = "static")]
    require_static: bool,
    /// Leave these weights as they are: names with *, ? and [abc] in them. Of convolutions, names of nodes or pieces of
    /// them serve too. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    keep_f32: Vec<String>,
}

pub(super) fn run(verbosity: Verbosity, arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { bundle, out, calibrate, require_static, keep_f32 } = arguments;
    if require_static && calibrate.is_none() {
        let need =
            "--static needs --calibrate DIR: pictures to measure the ranges of activations on";
        return Err(Usage(need.to_owned()).into());
    }
    let options = int8::Options { keep_f32, calibrate, require_static };
    quantize(verbosity, |progress| int8::int8(&bundle, &out, &options, progress))
}

/// Runs a quantisation with a progress bar, and writes its report.
pub(super) fn quantize(
    verbosity: Verbosity,
    run: impl Fn(&dyn Fn(int8::Progress)) -> Result<int8::Report, int8::Error>,
) -> anyhow::Result<()> {
    let quiet = verbosity == Verbosity::Errors;
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
    if let (Verbosity::Details, Some(convolutions)) = (verbosity, &report.convolutions) {
        for (name, decibels) in &convolutions.tensors {
            output::message(&format!("{decibels:5.1} dB {name}\n"));
        }
    }
    Ok(())
}
