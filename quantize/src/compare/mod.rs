//! Comparison: agreement, noise and speed of a model and the one that it was made of.
//!
//! Every measure is taken over all images of a folder. A is the reference, mostly in f32, and B the model in question,
//! mostly int8.

mod agreement;
mod error;
mod labels;
mod layers;
mod model;
mod noise;
mod options;
mod parts;
mod pictures;
mod probe;
mod report;
mod speed;
mod verdict;

use std::path::Path;

pub use agreement::{CaptionAgreement, CosineAgreement, Differing, Failed, LabelAgreement};
pub use error::Error;
pub use labels::{SameLabel, read_labels};
pub use layers::{LayerNoise, Layers};
pub use options::{Options, Progress};
pub use report::{ModelReport, Report};
pub use speed::{Speed, Times};
pub use verdict::Verdict;

use coca_engine::Engine;

use self::model::Model;

/// Compares the model in the folder `b` with the reference in the folder `a`. `progress` is called as the work goes on.
///
/// # Errors
/// When one of them is no model, when they do not fit together, and when no image can be read. An image among others
/// that cannot be read is [listed](Report::failed), and the others count.
///
/// # Examples
/// ```no_run
/// use std::path::Path;
///
/// use coca_quantize::compare::{Options, compare};
///
/// let options = Options { images: "photos".into(), labels: None, max_images: Some(100) };
/// let (f32, int8) = (Path::new("models/b32"), Path::new("models/b32-int8"));
/// let report = compare(f32, int8, &options, &mut |_| ())?;
/// assert!(report.image_embedding.mean > 0.99);
/// # Ok::<(), coca_quantize::compare::Error>(())
/// ```
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
    let pictures = found.images.count();
    let image_embedding =
        found.images.agreement().ok_or(Error::NothingToCompare { what: "image" })?;
    let speed = speed::measure(&pair, &found.samples, progress)?;
    let [a, b] = pair;
    let files = [a.into_files()?, b.into_files()?];
    let layers = parts::compare(&files, &found.samples, &labels.sentences, progress)?;
    Ok(Report {
        a: ModelReport::of(&files[0]),
        b: ModelReport::of(&files[1]),
        pictures,
        failed: found.failed,
        image_embedding,
        labels: found.labels.agreement(labels.count()),
        same_labels: labels.same,
        text_embedding: labels.agreement,
        captions: found.captions.map(agreement::CaptionTally::agreement),
        layers,
        speed,
    })
}
