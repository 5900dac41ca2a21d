//! Errors of model bundles.

use std::{io, path::PathBuf};

use super::MemoryHint;

/// A bundle that cannot be opened, or a part of it that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path is no folder with a `coca.json`.
    #[error("{}: not a model: expected a folder with coca.json in it", path.display())]
    NotABundle {
        /// The path.
        path: PathBuf,
    },
    /// A file of the model is missing.
    #[error("{}: missing: the model's coca.json lists it with {bytes} bytes", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its length according to coca.json.
        bytes: u64,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// `coca.json` is invalid.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Key, expected and found value.
        source: super::ConfigError,
    },
    /// A file that is parsed as a whole is too large for that.
    #[error("{}: expected at most {limit} bytes, found {found}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// Its length, or the part of it that was read.
        found: u64,
    },
    /// A file has another length than `coca.json` says: it was cut off or replaced.
    #[error("{}: expected {expected} bytes, found {found}: copy or import the model again", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// According to coca.json.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// A file has the right length and other contents than `coca.json` says.
    #[error("{}: expected SHA-256 {expected}, found {found}: copy or import the model again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// According to coca.json.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// `coca.json` does not list a file that the model needs.
    #[error("{}: its \"files\" lists no {name}, which {needed_for} needs", path.display())]
    NotListed {
        /// coca.json.
        path: PathBuf,
        /// The file that is not listed.
        name: String,
        /// Purpose of the file.
        needed_for: &'static str,
    },
    /// Mean and covariance of image embeddings are not this model's.
    #[error("{}: expected {reason}", path.display())]
    Background {
        /// The file.
        path: PathBuf,
        /// Expected and found contents.
        reason: String,
    },
    /// int8 arithmetic is asked of a model whose weights are not quantized.
    #[error("{}: expected int8 weights, found {precision}", path.display())]
    NotQuantized {
        /// coca.json.
        path: PathBuf,
        /// Storage type of the weights.
        precision: super::Precision,
    },
    /// A part needs more memory than is free; nothing of it was loaded.
    #[error(
        "{}: too little memory for {needed_for}: about {} MB are needed, {} MB are free",
        path.display(), needed / 1_000_000, available / 1_000_000
    )]
    TooLittleMemory {
        /// The model.
        path: PathBuf,
        /// Purpose of the memory.
        needed_for: &'static str,
        /// Bytes, about.
        needed: u64,
        /// Bytes that are free, swap space included.
        available: u64,
        /// Ways out, the best first.
        hints: Vec<MemoryHint>,
    },
    /// The system refused memory for a part although some was free: a limit of the process, or other programs.
    #[error("{}: too little memory for {needed_for}: {source}", path.display())]
    MemoryRefused {
        /// The model.
        path: PathBuf,
        /// Purpose of the memory.
        needed_for: &'static str,
        /// The part, and the bytes that it asked for.
        source: Box<coca_engine::Error>,
        /// Ways out, the best first.
        hints: Vec<MemoryHint>,
    },
    /// A part is no ONNX graph, or lacks an input or output that it must have.
    #[error(transparent)]
    Graph(#[from] coca_engine::Error),
}
