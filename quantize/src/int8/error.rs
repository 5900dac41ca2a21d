//! What can keep a bundle from being quantised.

use std::path::PathBuf;

use crate::bundle_writer;

/// A bundle that was not quantised. Nothing of the new one was left behind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle cannot be opened, or a file of it is damaged.
    #[error(transparent)]
    Bundle(#[from] coca_model::bundle::Error),
    /// The new bundle cannot be written.
    #[error(transparent)]
    Write(#[from] bundle_writer::Error),
    /// The new bundle would take the old one's place.
    #[error("{}: this is the model to be quantised: choose another folder for the new one", path.display())]
    InPlace {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing left to do.
    #[error("{}: int8 already: every layer that can be is stored as 8-bit integers", path.display())]
    AlreadyInt8 {
        /// The bundle.
        path: PathBuf,
    },
    /// No layer can be stored as int8.
    #[error("{}: expected a layer to store as 8-bit integers, found none: {reason}", path.display())]
    NothingToDo {
        /// The bundle.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A part is no ONNX graph.
    #[error("{part}: expected an ONNX graph, found something else: {reason}")]
    NotOnnx {
        /// The part's file name.
        part: String,
        /// What the parser said.
        reason: String,
    },
    /// A tensor is not what its description says.
    #[error("{part}: {tensor}: expected {expected}, found {found}")]
    Tensor {
        /// The part's file name.
        part: String,
        /// The tensor's name.
        tensor: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// No picture to calibrate with can be read.
    #[error("--calibrate: {0}")]
    Picture(coca_vision::ReadError),
    /// The model cannot be run on pictures.
    #[error("--calibrate: {0}")]
    Run(#[from] coca_model::Error),
    /// A pattern of layers to keep is no pattern.
    #[error(
        "--keep-f32 {pattern}: expected a name with *, ? or [abc] in it, found one that is wrong: {reason}"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A pattern of layers to keep fits none.
    #[error("--keep-f32 {pattern}: no layer has such a name; the nearest are {near}")]
    NoSuchLayer {
        /// The pattern.
        pattern: String,
        /// Names that are like it, separated by commas.
        near: String,
    },
}
