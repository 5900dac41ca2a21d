//! What can go wrong when a picture is labelled or captioned.

use std::path::PathBuf;

use coca_engine as engine;
use coca_text as text;
use coca_vision as vision;

use crate::{bundle, bundle::Fingerprint, generate};

/// A task that could not be done.
#[derive(Debug, thiserror::Error)]
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
    /// A picture could not be used.
    #[error(transparent)]
    Vision(#[from] vision::Error),
    /// The model has no decoder.
    #[error("{model}: this model has no decoder: it labels and embeds, but cannot caption")]
    CannotCaption {
        /// The model's name.
        model: String,
    },
    /// A picture and labels, or a picture and a decoder, come from different models.
    #[error("this picture was encoded by another model: expected {expected}, found {found}")]
    OtherModel {
        /// The model that was expected.
        expected: Fingerprint,
        /// The model that encoded the picture.
        found: Fingerprint,
    },
    /// A label table comes from another model.
    #[error("{}: made with another model: expected {expected}, found {found}: build it again with `coca labels build`", path.display())]
    OtherTable {
        /// The table.
        path: PathBuf,
        /// The fingerprint of the model in use.
        expected: String,
        /// The fingerprint in the table.
        found: String,
    },
    /// There is nothing to choose from.
    #[error("no labels: at least one is needed")]
    NoLabels,
    /// A file is not a label table, or not a whole one.
    #[error("{}: not a label table: {reason}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A label table cannot be read or written.
    #[error("{}: {source}", path.display())]
    TableFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A part answered with another shape than `coca.json` says.
    #[error("{part}: expected {expected}, found {found}: the model's parts do not belong together")]
    Shape {
        /// The part.
        part: &'static str,
        /// What coca.json says.
        expected: String,
        /// What the part gave.
        found: String,
    },
    /// A caption option is out of its range.
    #[error(transparent)]
    Options(#[from] generate::Error),
}
