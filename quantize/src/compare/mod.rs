//! `coca-quantize compare`: how far a model's answers are from those of the model that it was made of.
//!
//! One picture is not a test: every measure is taken over all pictures of a folder. A is the reference, mostly in f32,
//! and B the model in question, mostly int8.

mod agreement;
mod error;
mod labels;
mod layers;
mod model;
mod noise;
mod parts;
mod pictures;
mod probe;
mod report;
mod speed;

use std::path::{Path, PathBuf};

pub use agreement::{CaptionAgreement, CosineAgreement, Differing, Failed, LabelAgreement};
pub use error::Error;
pub use labels::read_labels;
pub use layers::{LayerNoise, Layers};
pub use report::{ModelReport, Report};
pub use speed::{Speed, Times};

use coca_engine::Engine;

use self::model::Model;

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// A picture, or a folder with pictures, as `coca` lists them.
    pub images: PathBuf,
    /// Labels to choose from; `None` is a short list of everyday things.
    pub labels: Option<Vec<String>>,
    /// How many pictures of the folder to take, the first ones; `None` is all.
    pub max_images: Option<usize>,
}

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is done now.
    pub doing: &'static str,
    /// Units of it that are done.
    pub done: usize,
    /// All units.
    pub total: usize,
}

/// Compares the model in the folder `b` with the reference in the folder `a`; `progress` hears how far it is.
///
/// # Errors
/// When one of them is no model, when they do not fit together, and when no picture can be read. A picture among
/// others that cannot be read is [listed](Report::failed), and the others count.
pub fn compare(
    a: &Path,
    b: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let engine = Engine::new().map_err(Error::Engine)?;
    let pair = [Model::open(a, &engine)?, Model::open(b, &engine)?];
    model::check_fit(&pair)?;
    let names = options.labels.clone().unwrap_or_else(labels::everyday);
    let labels = labels::Encoded::new(&pair, names, progress)?;
    let found = pictures::compare(&pair, &labels, options, progress)?;
    let speed = speed::measure(&pair, &found.samples, progress)?;
    let [a, b] = pair;
    let files = [a.into_files()?, b.into_files()?];
    let layers = parts::compare(&files, &found.samples, &labels.sentences, progress)?;
    Ok(Report {
        a: ModelReport::of(&files[0]),
        b: ModelReport::of(&files[1]),
        pictures: found.images.count(),
        failed: found.failed,
        image_embedding: found.images.agreement(),
        labels: found.labels.agreement(labels.count()),
        text_embedding: labels.agreement,
        captions: found.captions.map(agreement::CaptionTally::agreement),
        layers,
        speed,
    })
}
