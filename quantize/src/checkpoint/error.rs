//! Errors of reading a checkpoint.

use std::{io, path::PathBuf};

use super::Contents;

/// A file of weights that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is neither safetensors nor a torch zip, or is cut off.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The expected format or content.
        expected: &'static str,
        /// The content that was found.
        found: String,
    },
    /// A tensor of the architecture is not in the file.
    #[error("{}: the checkpoint has no {key}, which this architecture needs{contents}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// The file's contents.
        contents: Contents,
    },
    /// The file has tensors that do not belong to the architecture.
    #[error("{}: {key} has no place in the architecture that the configuration describes ({others} more like it)", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The first of them.
        key: String,
        /// The number of others.
        others: usize,
    },
    /// Two tensors have one key once the prefixes of wrappers are removed.
    #[error("{}: expected one tensor {key}, found two: {} and {}", path.display(), found[0], found[1])]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The key without prefixes.
        key: String,
        /// Both keys as they stand in the file.
        found: [String; 2],
    },
    /// A tensor has another shape than the architecture says.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// The architecture's shape.
        expected: String,
        /// The file's.
        found: String,
    },
    /// A tensor's type, layout or value is not supported.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
        /// The supported type, layout or value.
        expected: &'static str,
        /// The file's.
        found: String,
    },
    /// A tensor holds NaN or infinity.
    #[error(
        "{}: {key}: expected finite numbers, found NaN or infinity: the checkpoint is damaged",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's key.
        key: String,
    },
}
