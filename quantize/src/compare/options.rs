//! Options and progress of a comparison.

use std::path::PathBuf;

/// Options of a comparison.
#[derive(Debug, Clone)]
pub struct Options {
    /// An image, or a folder of images.
    pub images: PathBuf,
    /// Labels to choose from; `None` stands for a short list of everyday things.
    pub labels: Option<Vec<String>>,
    /// Number of images to take, the first of the folder; `None` takes all.
    pub max_images: Option<usize>,
}

/// Progress of the current step.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The step, in a few words.
    pub doing: &'static str,
    /// Units of it that are done.
    pub done: usize,
    /// All units.
    pub total: usize,
}
