//! Errors of texts, templates and tokenizers.

use std::{io, path::PathBuf};

use crate::ListItem;

/// A text, a template or a tokenizer that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the `text` object of `coca.json` is out of range.
    #[error("{key}: expected {expected}, found {found}")]
    Spec {
        /// The key in coca.json's `text`.
        key: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// `tokenizer.json` is not in the Hugging Face tokenizers format, or not byte-pair encoding.
    #[error("tokenizer.json: expected a byte-pair encoding by Hugging Face tokenizers: {0}")]
    Tokenizer(#[source] serde_json::Error),
    /// `tokenizer.json` belongs to another model than `coca.json`.
    #[error("tokenizer.json: expected {expected}, found {found}")]
    Vocabulary {
        /// Requirement of coca.json.
        expected: String,
        /// Content of the tokenizer.
        found: String,
    },
    /// The tokenizer has no token for a part of a text.
    #[error("{text:?} cannot be turned into tokens: {source}")]
    Encode {
        /// The text.
        text: String,
        /// Error of the tokenizers library.
        source: tokenizers::Error,
    },
    /// Token ids cannot be turned into text.
    #[error("tokenizer.json: its decoder failed: {0}")]
    Decode(#[source] tokenizers::Error),
    /// A file of templates cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A template does not say where the label goes.
    #[error("{place}: expected {{}} where the label goes, found {template:?}")]
    NoLabel {
        /// The file and line, or "template".
        place: String,
        /// The template.
        template: String,
    },
    /// A file of templates has too many.
    #[error("{place}: expected at most {limit} templates, found {found}")]
    TooManyTemplates {
        /// The file.
        place: String,
        /// The limit.
        limit: usize,
        /// Their number.
        found: usize,
    },
    /// A file of templates has none.
    #[error("{place}: expected one template a line, found none")]
    NoTemplates {
        /// The file.
        place: String,
    },
    /// A list cannot be read.
    #[error("{}: cannot be read as a list of {item}s: {source}", path.display())]
    UnreadableList {
        /// The file.
        path: PathBuf,
        /// The kind of its texts.
        item: ListItem,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A list is too large.
    #[error("{place}: expected a list of {item}s of {} MB at most", limit / 1_000_000)]
    LargeList {
        /// The file.
        place: String,
        /// The kind of its texts.
        item: ListItem,
        /// Most bytes.
        limit: u64,
    },
    /// A list is no text.
    #[error("{place}: expected one {item} a line in UTF-8, found other bytes")]
    ForeignList {
        /// The file.
        place: String,
        /// The kind of its texts.
        item: ListItem,
    },
    /// A list has no text in it.
    #[error("{place}: expected one {item} a line, found none")]
    EmptyList {
        /// The file.
        place: String,
        /// The kind of its texts.
        item: ListItem,
    },
}
