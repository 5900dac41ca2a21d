//! What ends a watch.

use coca_model::tasks;

use crate::{camera, display};

/// A watch that cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source is not there, or ended with an error.
    #[error(transparent)]
    Camera(#[from] camera::Error),
    /// The model cannot do what is asked.
    #[error(transparent)]
    Task(#[from] tasks::Error),
    /// A display cannot be opened.
    #[error(transparent)]
    Display(#[from] display::Error),
    /// An option is out of its range.
    #[error("--{option}: expected {expected}, found {found}")]
    Option {
        /// The option's name on the command line.
        option: &'static str,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The system refused a thread.
    #[error("no thread for {work}: {error}")]
    Thread {
        /// What it was for.
        work: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}
