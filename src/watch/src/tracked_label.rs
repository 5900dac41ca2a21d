//! Labels with a smoothed score.

use serde::Serialize;

/// A label whose score is smoothed over frames.
///
/// Made by a [`LabelTracker`](crate::pipeline::LabelTracker), shown by every [`Display`](crate::display::Display), and
/// part of each [`Report`](crate::pipeline::Report).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackedLabel {
    /// The label, as its user wrote it.
    pub label: String,
    /// Its smoothed score, 0 to 1.
    pub score: f32,
    /// Whether it has entered and not left.
    pub active: bool,
}
