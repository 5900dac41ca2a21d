//! Errors of a watch.

use coca_model::tasks;

use crate::{camera, display};

/// A watch that cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source is not there, or ended with an error.
    #[error(transparent)]
    Camera(#[from] camera::Error),
    /// The model cannot do what the options ask for.
    #[error(transparent)]
    Task(#[from] tasks::Error),
    /// A display cannot be opened.
    #[error(transparent)]
    Display(#[from] display::Error),
    /// An option is out of its range.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// The option's field, such as `max_fps`; `action` for the text of an [`Action`](super::Action).
        option: &'static str,
        /// Values that can be used.
        expected: String,
        /// The value.
        found: String,
    },
    /// The system refused a thread.
    #[error("no thread for {work}: {error}")]
    Thread {
        /// Purpose of the thread.
        work: &'static str,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
}
