//! Errors of comparing two models.

use std::path::PathBuf;

use coca_engine as engine;
use coca_model::bundle;
use coca_vision::ReadError;

/// Two models were not compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
        /// The reason.
        source: Box<coca_model::Error>,
    },
    /// A part of one of them could not be run by itself.
    #[error("{}: {source}", path.display())]
    Part {
        /// The model's folder.
        path: PathBuf,
        /// The reason.
        source: Box<engine::Error>,
    },
    /// The two are not versions of one model.
    #[error("{} and {} are not versions of one model: {what}: expected {expected}, found {found}", a.display(), b.display())]
    Unlike {
        /// The reference.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// The property in which they differ.
        what: &'static str,
        /// The reference's.
        expected: String,
        /// The other's.
        found: String,
    },
    /// A part of one of them is no ONNX file.
    #[error("{}: {part}: {source}", path.display())]
    Onnx {
        /// The model's folder.
        path: PathBuf,
        /// The part.
        part: &'static str,
        /// The parser's error.
        source: coca_onnx::Error,
    },
    /// A part of one of them did not compute a tensor.
    #[error("{part}: expected the tensor {tensor}, found none")]
    MissingTensor {
        /// The part.
        part: &'static str,
        /// The tensor.
        tensor: String,
    },
    /// There is nothing to compare the models on.
    #[error("expected at least one {what} to compare the models on, found none")]
    NothingToCompare {
        /// `image` or `label`.
        what: &'static str,
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
    /// There are no images.
    #[error(transparent)]
    NoPictures(ReadError),
    /// None of the images can be read.
    #[error("{}: none of {count} pictures can be read; the first: {first}", path.display())]
    NoneReadable {
        /// The folder.
        path: PathBuf,
        /// The number of images.
        count: usize,
        /// The error of the first.
        first: String,
    },
    /// The list of labels cannot be read, or is empty.
    #[error(transparent)]
    Labels(coca_text::Error),
}
