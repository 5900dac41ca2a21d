//! Kinds of sources: the trait.

use std::fmt;

use super::{Error, FrameSource, SourceSettings};

/// A kind of source with its options. Its [`Display`](fmt::Display) text is what a user writes, without secrets.
pub(super) trait SourceKind: fmt::Display + Sized {
    /// Reads `text`; `None` if it is written as another kind of source.
    fn parse(text: &str) -> Option<Result<Self, Error>>;

    /// Opens the source. Cameras, connections and pipes may take a while.
    fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error>;
}
