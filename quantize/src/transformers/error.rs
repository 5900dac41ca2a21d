//! Errors of reading a tokenizer.

use coca_text as text;

/// A `tokenizer.json` is not that of a CLIP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON.
    #[error("expected JSON, found {0}")]
    Json(#[from] serde_json::Error),
    /// It lacks the token that begins or ends every text.
    #[error(
        "expected a token {token} below {vocabulary}, the configuration's vocab_size, found {found}"
    )]
    Special {
        /// The token.
        token: &'static str,
        /// Rows of the token embedding.
        vocabulary: usize,
        /// Its id, or that there is none.
        found: String,
    },
    /// It asks for something that no tokenizer of a CLIP has.
    #[error(transparent)]
    Text(#[from] text::Error),
}
