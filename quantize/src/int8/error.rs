//! Errors of quantising a bundle.

use std::path::PathBuf;

use crate::{bundle_writer, import, onnx};

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
    /// The checkpoint cannot be opened.
    #[error(transparent)]
    Import(#[from] import::Error),
    /// A weight cannot be made from the checkpoint.
    #[error(transparent)]
    Weight(#[from] onnx::Error),
    /// A graph refers to a file that the model does not have.
    #[error("{name}: expected a file of the model, found none")]
    MissingFile {
        /// The file.
        name: String,
    },
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
    /// Convolutions are to be quantised statically, without pictures.
    #[error(
        "expected pictures to measure the ranges of activations on, found none: convolutions cannot be quantised \
         statically without"
    )]
    NoPictures,
    /// Convolutions are to be quantised statically, and there are none.
    #[error(
        "{}: expected an image encoder with convolutions in floating point, found none to quantise statically: its \
         layers are linear, or static int8 already",
        path.display()
    )]
    NoConvolutions {
        /// The bundle.
        path: PathBuf,
    },
    /// A part is no ONNX file, or refers to its external data in a wrong way.
    #[error("{part}: {source}")]
    Onnx {
        /// The part's file name.
        part: String,
        /// The parser's error.
        source: coca_onnx::Error,
    },
    /// A part is written in operators that cannot hold int8 weights.
    #[error(
        "{part}: expected ONNX operators of version {expected} or newer, found version {found}: older ones have one \
         scale for a whole weight"
    )]
    OldOpset {
        /// The part's file name.
        part: String,
        /// The oldest version with a scale for each channel.
        expected: i64,
        /// The part's version; 0 if it states none.
        found: i64,
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
        /// The syntax error.
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
