//! Errors of labelling, captioning and embedding.

use std::path::PathBuf;

use coca_engine as engine;
use coca_text as text;
use coca_vision as vision;

use crate::{bundle, bundle::Fingerprint, generate};

/// A task that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or one of its parts could not be loaded.
    #[error(transparent)]
    Model(#[from] bundle::Error),
    /// A graph could not be run.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A text or a template could not be used.
    #[error(transparent)]
    Text(#[from] text::Error),
    /// An image could not be used.
    #[error(transparent)]
    Vision(#[from] vision::Error),
    /// The model has no decoder.
    #[error("{model}: this model has no decoder: it labels and embeds, but cannot caption")]
    CannotCaption {
        /// The model's name.
        model: String,
    },
    /// An image and labels, or an image and a decoder, come from different models.
    #[error("this picture was encoded by another model: expected {expected}, found {found}")]
    OtherModel {
        /// The model that was expected.
        expected: Fingerprint,
        /// The model that encoded the image.
        found: Fingerprint,
    },
    /// A label table comes from another model.
    #[error("{}: made with another model: expected {expected}, found {found}", path.display())]
    OtherTable {
        /// The table.
        path: PathBuf,
        /// The fingerprint of the model in use.
        expected: String,
        /// The fingerprint in the table.
        found: String,
    },
    /// The list of labels is empty.
    #[error("no labels: at least one is needed")]
    NoLabels,
    /// There is a label of this name.
    #[error("{name:?}: there is such a label already")]
    LabelExists {
        /// The name.
        name: String,
    },
    /// A name that the model cannot tell from that of a label.
    #[error("{name:?}: the same to the model as the label {label:?}")]
    SameLabel {
        /// The name.
        name: String,
        /// The label.
        label: String,
    },
    /// There is no label of this name.
    #[error("{name:?}: expected one of the labels {}", labels.join(", "))]
    NoSuchLabel {
        /// The name.
        name: String,
        /// The labels that there are.
        labels: Vec<String>,
    },
    /// There is a label for everything else.
    #[error("the labels have {name:?} for everything else already")]
    NoneExists {
        /// Its name.
        name: String,
    },
    /// Pictures taught these labels, and their names count for nothing; so only pictures can teach what is none of them.
    #[error(
        "the labels know pictures alone: only pictures of other things can teach what is none of them"
    )]
    NamesUnused,
    /// There are no pictures to teach with.
    #[error("no pictures: at least one is needed to teach labels")]
    NoPictures,
    /// A question that is not understood without answers to choose from.
    #[error("{question:?}: needs answers to choose from")]
    NoAnswers {
        /// The question.
        question: String,
    },
    /// A file is not a label table, or not a whole one.
    #[error("{}: not a label table: {reason}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// Expected and found content.
        reason: String,
    },
    /// A label table cannot be read or written.
    #[error("{}: {source}", path.display())]
    TableFile {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A part answered with another shape than `coca.json` says.
    #[error(
        "{part}: expected {expected:?}, found {}: the model's parts do not belong together",
        found.as_ref().map_or_else(|| "nothing".to_owned(), |shape| format!("{shape:?}"))
    )]
    Shape {
        /// File name of the part.
        part: &'static str,
        /// Shape that coca.json asks for.
        expected: Vec<usize>,
        /// Shape of the output; `None` where there was none.
        found: Option<Vec<usize>>,
    },
    /// A part, or a classifier out of a label table, answered with NaN or infinity.
    #[error("{part}: expected finite numbers, found {found}")]
    NotFinite {
        /// File name of the part, or "label table".
        part: &'static str,
        /// The first such number.
        found: f32,
    },
    /// A caption option is out of its range.
    #[error(transparent)]
    Options(#[from] generate::Error),
}
