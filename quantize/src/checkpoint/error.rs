//! What can be wrong with a file of weights.

use std::{io, path::PathBuf};

/// A file of weights that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is neither safetensors nor a torch zip, or is cut off.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the file should be or hold.
        expected: &'static str,
        /// What it is or holds.
        found: String,
    },
    /// A tensor of the architecture is not in the file.
    #[error("{}: the checkpoint has no {key}, which this architecture needs", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
    },
    /// The file has tensors that the architecture has no place for.
    #[error("{}: {key} has no place in the architecture that the configuration describes ({others} more like it)", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The first of them.
        key: String,
        /// How many others there are.
        others: usize,
    },
    /// A tensor has another shape than the architecture says.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The architecture's shape.
        expected: String,
        /// The file's.
        found: String,
    },
    /// A tensor is stored in a way that is not read here.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// How it should be stored.
        expected: &'static str,
        /// How it is.
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
        /// The tensor.
        key: String,
    },
}
