//! `coca-quantize compare`.

use std::path::PathBuf;

use clap::ValueEnum;
use coca_quantize::compare::{self, Error, Options};

use super::{Usage, output};

/// Say how far a model's answers are from those of the model that it was made of.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the reference, mostly in f32.
    a: PathBuf,
    /// The folder of the model in question, mostly int8.
    b: PathBuf,
    /// The folder of the images to compare them on.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// A text file with one label a line [default: a short list of everyday things].
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// Take no more than the first N images.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_images: Option<u32>,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Reads a number of at least 1.
fn at_least_one(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "expected a number of at least 1".to_owned())
}

pub(super) fn run(quiet: bool, arguments: &Arguments) -> anyhow::Result<()> {
    let labels = arguments.labels_file.as_deref().map(compare::read_labels).transpose();
    let options = Options {
        images: arguments.images.clone(),
        labels: labels.map_err(|error| match error {
            Error::Labels(coca_text::Error::EmptyList { .. }) => Usage(error.to_string()).into(),
            error => anyhow::Error::from(error),
        })?,
        max_images: arguments.max_images.map(|max| max as usize),
    };
    let bar = output::bar(quiet, "{msg} {wide_bar} {pos}/{len} {eta} left")?;
    let report = compare::compare(&arguments.a, &arguments.b, &options, &mut |progress| {
        bar.set_message(progress.doing);
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
    })?;
    bar.finish_and_clear();
    match arguments.format {
        Format::Text => output::result(&output::printable_lines(&report.to_string()))?,
        Format::Json => output::result(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    match report.failed.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => {
            anyhow::bail!(
                "{} pictures could not be read; the first: {}",
                rest.len() + 1,
                first.error
            )
        }
    }
}
