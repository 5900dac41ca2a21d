//! Errors of the index and of search.

use std::{ffi::OsString, path::PathBuf};

use coca_model::bundle::Fingerprint;

/// An index that cannot be made, read or searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no index in the folder.
    #[error("{}: there is no index here", path.display())]
    NotAnIndex {
        /// The folder.
        path: PathBuf,
    },
    /// A file stands where the folder of an index belongs.
    #[error("{}: not a folder, but a file", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a database holds a file that is named as one of an index.
    #[error(
        "{}: holds {} but no index.redb: the rest of an index, or somebody else's", path.display(), name.display()
    )]
    ForeignFiles {
        /// The folder.
        path: PathBuf,
        /// The name of the file.
        name: OsString,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The system refuses a thread.
    #[error("no thread to read pictures with: {source}")]
    Threads {
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The database of the index cannot be read or written.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Error of the database.
        source: Box<redb::Error>,
    },
    /// Another process writes the index.
    #[error("{}: another process is writing this index", path.display())]
    Busy {
        /// The index.
        path: PathBuf,
    },
    /// The index was not closed by its last writer, and cannot be mended where it may not be written.
    #[error(
        "{}: its last writer was interrupted, and it cannot be mended here: {source}", path.display()
    )]
    Interrupted {
        /// The index.
        path: PathBuf,
        /// Why it cannot be opened for writing.
        source: Box<Error>,
    },
    /// The contents of the index contradict each other.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// Name of the entry or file.
        key: String,
        /// The value that belongs there.
        expected: String,
        /// The value that is there.
        found: String,
    },
    /// The index holds another model's embeddings.
    #[error(
        "{}: made with another model, {name}: expected {expected}, found {found}", path.display()
    )]
    OtherModel {
        /// The index.
        path: PathBuf,
        /// Name of the model that made the index.
        name: String,
        /// The model in use, or of the query.
        expected: Fingerprint,
        /// The model that made the index.
        found: Fingerprint,
    },
    /// A pattern of paths cannot be understood.
    #[error("{pattern:?}: not a pattern of paths: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason why it cannot be understood.
        source: globset::Error,
    },
    /// A query cannot be understood.
    #[error("{query:?}: {reason}")]
    Query {
        /// The query, or the part of it that is wrong.
        query: String,
        /// The reason why it cannot be understood.
        reason: &'static str,
    },
    /// A picture of a query cannot be decoded.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Error of the decoder.
        source: coca_vision::Error,
    },
    /// The model cannot encode a picture or a text.
    #[error(transparent)]
    Model(#[from] coca_model::Error),
    /// Changes of a folder cannot be followed.
    #[error("{}: cannot be followed: {source}", path.display())]
    Follow {
        /// The folder.
        path: PathBuf,
        /// Error of the operating system.
        source: notify::Error,
    },
}
