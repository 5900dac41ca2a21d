//! Errors of caption searches.

/// A caption search that cannot run with the settings it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is out of its range.
    #[error("caption option {option}: expected {expected}; found {found}")]
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// The prompt is as long as the whole caption may be.
    #[error(
        "the prompt: expected fewer tokens than max_tokens, which is {max_tokens}; \
         found {found} with the start token"
    )]
    PromptTooLong {
        /// Value of `max_tokens`.
        max_tokens: usize,
        /// Tokens of the prompt, the start token included.
        found: usize,
    },
}
