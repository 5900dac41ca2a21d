//! Errors of quantising a bundle.

use std::path::PathBuf;

use crate::bundle_writer;

/// A bundle was not quantised. Nothing of the new one was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// Every layer that can be int8 is int8 already.
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
        /// The reason.
        reason: String,
    },
    /// A part is no ONNX graph.
    #[error("{part}: expected an ONNX graph, found something else: {reason}")]
    NotOnnx {
        /// The part's file name.
        part: String,
        /// The parser's reason.
        reason: String,
    },
    /// A tensor does not fit its description.
    #[error("{part}: {tensor}: expected {expected}, found {found}")]
    Tensor {
        /// The part's file name.
        part: String,
        /// The tensor's name.
        tensor: String,
        /// The expected size, shape or elements.
        expected: String,
        /// Those found.
        found: String,
    },
    /// No image to calibrate with can be read.
    #[error(transparent)]
    Picture(coca_vision::ReadError),
    /// The model cannot be run for its calibration.
    #[error(transparent)]
    Run(#[from] coca_model::Error),
    /// A pattern of layers to keep is no pattern.
    #[error(
        "{pattern}: expected a name with *, ? or [abc] in it, found one that is wrong: {reason}"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern of layers to keep fits none.
    #[error("{pattern}: no layer has such a name; the nearest are {near}")]
    NoSuchLayer {
        /// The pattern.
        pattern: String,
        /// Names that are like it, separated by commas.
        near: String,
    },
}
