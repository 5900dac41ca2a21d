//! Captions of frames.

use std::time::SystemTime;

use serde::Serialize;

/// A caption of an earlier frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameCaption {
    /// The sentence.
    pub text: String,
    /// The number of the frame that it describes.
    pub frame: u64,
    /// Milliseconds from the capture of that frame to this caption.
    pub latency_ms: f64,
    /// Time of that frame's capture.
    #[serde(skip)]
    pub captured_at: SystemTime,
}
