//! What can keep two models from being compared.

use std::{io, path::PathBuf};

use coca_engine as engine;
use coca_model::bundle;
use coca_vision::ReadError;

/// Two models that were not compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of them is no model, or a damaged one.
    #[error(transparent)]
    Bundle(bundle::Error),
    /// The engine that both are to be run by cannot be made.
    #[error(transparent)]
    Engine(engine::Error),
    /// One of them stopped while it worked.
    #[error("{}: {source}", path.display())]
    Model {
        /// The model's folder.
        path: PathBuf,
        /// Why.
        source: Box<coca_model::Error>,
    },
    /// A part of one of them could not be run by itself.
    #[error("{}: {source}", path.display())]
    Part {
        /// The model's folder.
        path: PathBuf,
        /// Why.
        source: Box<engine::Error>,
    },
    /// The two are not versions of one model.
    #[error("{} and {} are not versions of one model: {what}: expected {expected}, found {found}", a.display(), b.display())]
    Unlike {
        /// The reference.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// In what they differ.
        what: &'static str,
        /// What the reference has.
        expected: String,
        /// What the other has.
        found: String,
    },
    /// A layer gives tensors of different shapes in the two models.
    #[error(
        "{part}: {layer} gives {expected:?} in the reference and {found:?} in the other model: they are not versions of one model"
    )]
    LayerShape {
        /// The part.
        part: &'static str,
        /// The name of the layer's weight.
        layer: String,
        /// The shape in the reference.
        expected: Vec<usize>,
        /// The shape in the other model.
        found: Vec<usize>,
    },
    /// There are no pictures.
    #[error(transparent)]
    NoPictures(ReadError),
    /// None of the pictures can be read.
    #[error("{}: none of {count} pictures can be read; the first: {first}", path.display())]
    NoneReadable {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// The list of labels cannot be read.
    #[error("{}: cannot be read as a list of labels: {source}", path.display())]
    LabelsFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The list of labels is empty.
    #[error("{}: expected one label a line, found none", path.display())]
    NoLabels {
        /// The file.
        path: PathBuf,
    },
}
