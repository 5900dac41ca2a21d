//! Progress of quantising.

/// Progress of the current step.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The step, in a few words.
    pub doing: &'a str,
    /// Units of it that are done.
    pub done: u64,
    /// All units.
    pub total: u64,
}
