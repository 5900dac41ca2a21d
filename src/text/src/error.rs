//! What can be wrong with texts, templates and tokenizers.

use std::{io, path::PathBuf};

/// A text, a template or a tokenizer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `coca.json` describes texts in a way that cannot be.
    #[error("{key}: expected {expected}, found {found}")]
    Spec {
        /// The key in coca.json's `text`.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// `tokenizer.json` is not in the Hugging Face tokenizers format, or not byte-pair encoding.
    #[error("tokenizer.json: expected a byte-pair encoding by Hugging Face tokenizers: {reason}")]
    Tokenizer {
        /// What the tokenizers library said.
        reason: String,
    },
    /// `tokenizer.json` belongs to another model than `coca.json`.
    #[error("tokenizer.json: expected {expected}, found {found}")]
    Vocabulary {
        /// What coca.json says.
        expected: String,
        /// What the tokenizer has.
        found: String,
    },
    /// The tokenizer has no token for a part of a text.
    #[error("{text:?} cannot be turned into tokens: {reason}")]
    Encode {
        /// The text.
        text: String,
        /// What the tokenizers library said.
        reason: String,
    },
    /// A file of templates cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
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
    /// A file of templates has none.
    #[error("{place}: expected one template a line, found none")]
    NoTemplates {
        /// The file.
        place: String,
    },
}
