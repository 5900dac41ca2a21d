//! Encoding the IMAGE arguments, in order.

use std::path::PathBuf;

use anyhow::Context;
use coca_edge::{
    Coca, Embedding, EncodedImage, Error,
    host::AvailableMemory,
    vision::{ImageReader, Limits, Pixels, ReadError, sources},
};
use indicatif::ProgressBar;

use super::{
    Global, Outcome,
    output::{self, Format},
    progress,
};

/// Pictures to work on: the IMAGE arguments of every command.
#[derive(clap::Args)]
pub(super) struct Images {
    /// Pictures: files, folders (every picture in them, sorted) or - for standard input
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<PathBuf>,
}

/// Encodes every picture and hands it to `answer`, or the reason why it cannot be; the rest go on.
pub(super) fn for_each(
    global: &Global,
    coca: &Coca,
    images: &[PathBuf],
    mut answer: impl FnMut(&ProgressBar, &str, Result<&EncodedImage, &ReadError>) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    for_each_pixels(global, coca, images, |bar, source, pixels| match pixels {
        Ok(pixels) => {
            let picture = coca.encode_pixels(pixels).with_context(|| source.to_owned())?;
            answer(bar, source, Ok(&picture))
        }
        Err(error) => answer(bar, source, Err(error)),
    })
}

/// Hands the mean embedding of `views` views of every picture to `add`; reports those that cannot be read.
pub(super) fn embed_each(
    global: &Global,
    coca: &Coca,
    images: &[PathBuf],
    views: usize,
    mut add: impl FnMut(&str, Embedding) -> Result<(), Error>,
) -> anyhow::Result<Outcome> {
    for_each_pixels(global, coca, images, |bar, source, pixels| match pixels {
        Ok(pixels) => {
            let embedding = coca.embed_views(pixels, views).with_context(|| source.to_owned())?;
            Ok(add(source, embedding)?)
        }
        Err(error) => output::report(bar, Format::Text, source, error),
    })
}

/// Reads every picture and hands it to `answer`, or the reason why it cannot be read; the rest go on.
fn for_each_pixels(
    global: &Global,
    coca: &Coca,
    images: &[PathBuf],
    mut answer: impl FnMut(&ProgressBar, &str, Result<Pixels, &ReadError>) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let sources = sources(images);
    let bar = progress::bar(global, sources.len(), "pictures");
    let limits =
        AvailableMemory::now().map_or_else(Limits::default, |left| Limits::within(left.bytes));
    let reader = ImageReader::within(sources, coca.preprocessor().clone(), limits);
    coca.load_image_encoder()?;
    let mut outcome = Outcome::Done;
    for (source, pixels) in reader {
        let source = source.to_string();
        match pixels {
            Ok(pixels) => answer(&bar, &source, Ok(pixels))?,
            Err(error) => {
                outcome = Outcome::SomeFailed;
                answer(&bar, &source, Err(&error))?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcome)
}
