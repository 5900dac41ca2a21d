//! What can be wrong with a model bundle.

use std::{io, path::PathBuf};

/// A model that cannot be opened, or a part of it that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no model where one was said to be.
    #[error("{}: not a model: expected a folder with coca.json in it", path.display())]
    NotABundle {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of the model is missing.
    #[error("{}: missing: the model's coca.json lists it with {bytes} bytes", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its length, from coca.json.
        bytes: u64,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `coca.json` is not what it must be.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, what was expected and what was found.
        reason: String,
    },
    /// A file has another length than `coca.json` says: it was cut off or replaced.
    #[error("{}: expected {expected} bytes, found {found}: copy or import the model again", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// From coca.json.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// A file has the right length and other contents than `coca.json` says.
    #[error("{}: expected SHA-256 {expected}, found {found}: copy or import the model again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// From coca.json.
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
        /// What it is needed for.
        needed_for: &'static str,
    },
    /// int8 is asked of a model whose weights are not.
    #[error("{}: its weights are {precision}: make an int8 model of it with coca-quantize int8 MODEL OUT", path.display())]
    NotQuantized {
        /// coca.json.
        path: PathBuf,
        /// What the weights are.
        precision: super::Precision,
    },
    /// A part needs more memory than there is; nothing of it was loaded.
    #[error(
        "{}: too little memory for {needed_for}: about {} MB are needed, {} MB are free: {way_out}",
        path.display(), needed / 1_000_000, available / 1_000_000
    )]
    TooLittleMemory {
        /// The model.
        path: PathBuf,
        /// What it is needed for.
        needed_for: &'static str,
        /// Bytes, about.
        needed: u64,
        /// Bytes that are free, swap space included.
        available: u64,
        /// What can be done.
        way_out: String,
    },
    /// A part is no graph, or not the one that it must be.
    #[error(transparent)]
    Graph(#[from] coca_engine::Error),
}
