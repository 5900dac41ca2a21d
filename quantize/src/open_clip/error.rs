//! Errors of reading a configuration.

/// A configuration is broken or describes a model that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{key}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// The key, with the object that it stands in.
    pub key: String,
    /// The expected value.
    pub expected: String,
    /// The value found.
    pub found: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, expected: &str, found: &str) -> Self {
        Self { key: key.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
    }
}
