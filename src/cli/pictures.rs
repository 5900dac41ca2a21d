//! Encoding the IMAGE arguments, in order.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use coca_edge::{
    Coca, Embedding, EncodedImage, Error,
    vision::{ImageReader, Pixels, ReadError, Sources},
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
    /// Pictures: files, folders (every picture in them and their subfolders, sorted) or - for standard input
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) folders: Folders,
}

/// Reading of folders of pictures.
#[derive(Clone, Copy, Default, clap::Args)]
pub(super) struct Folders {
    /// Leave out the pictures in subfolders
    #[arg(long)]
    no_recursive: bool,
}

impl From<PathBuf> for Images {
    fn from(path: PathBuf) -> Self {
        Self { images: vec![path], folders: Folders::default() }
    }
}

/// Encodes every picture and hands it to `answer`, or the reason why it cannot be; the rest go on.
pub(super) fn for_each(
    global: &Global,
    coca: &Coca,
    Images { images, folders }: &Images,
    mut answer: impl FnMut(&ProgressBar, &str, Result<&EncodedImage, &ReadError>) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    for_each_pixels(global, coca, images, *folders, |bar, source, pixels| match pixels {
        Ok(pixels) => {
            let picture = coca.encode_pixels(pixels).with_context(|| source.to_owned())?;
            answer(bar, source, Ok(&picture))
        }
        Err(error) => answer(bar, source, Err(error)),
    })
}

/// Encodes every picture and hands it to `answer`; those that cannot be read are reported in `format`, and the rest go on.
pub(super) fn answer_each(
    global: &Global,
    coca: &Coca,
    images: &Images,
    format: Format,
    mut answer: impl FnMut(&ProgressBar, &str, &EncodedImage) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    for_each(global, coca, images, |bar, source, picture| match picture {
        Ok(picture) => answer(bar, source, picture),
        Err(error) => output::report(bar, format, source, error),
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
    for_each_pixels(global, coca, images, Folders::default(), |bar, source, pixels| match pixels {
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
    folders: Folders,
    mut answer: impl FnMut(&ProgressBar, &str, Result<Pixels, &ReadError>) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let Sources { inputs: sources, skipped } = Sources::find(images, !folders.no_recursive);
    tell_skipped(&skipped);
    let bar = progress::bar(global, sources.len(), "pictures");
    let reader = ImageReader::start(sources, coca.preprocessor().clone());
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

/// Says which files in folders were no pictures that can be read; nobody asked for them, so no error.
pub(super) fn tell_skipped(skipped: &BTreeMap<String, usize>) {
    let pictures =
        ["heic", "heif", "avif", "tif", "tiff", "cr2", "cr3", "nef", "arw", "dng", "jxl", "svg"];
    let (pictures, others): (Vec<_>, Vec<_>) =
        skipped.iter().partition(|(kind, _)| pictures.contains(&kind.as_str()));
    let count = |kinds: &[(&String, &usize)]| {
        let counts = kinds.iter().map(|(kind, count)| match kind.as_str() {
            "" => format!("{count} without an extension"),
            kind => format!("{count} .{kind}"),
        });
        counts.collect::<Vec<_>>().join(", ")
    };
    if !pictures.is_empty() {
        let counts = count(&pictures);
        log::warn!("left out of folders, since their formats are not read: {counts}");
    }
    if !others.is_empty() {
        log::info!("left out of folders, since they are no pictures: {}", count(&others));
    }
}
