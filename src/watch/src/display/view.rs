//! What is shown, and what its viewers may ask for.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use image::RgbImage;

use super::Error;

/// What a display shows of one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest picture, as the camera saw it (scaled down to at most 1280 wide), RGB.
    pub picture: Option<Arc<RgbImage>>,
    /// Steady labels, the best first.
    pub labels: Vec<ShownLabel>,
    /// The newest caption.
    pub caption: Option<ShownCaption>,
    /// How the camera and the board are doing.
    pub status: Status,
}

/// A label and how sure the model is of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownLabel {
    /// The label, as its user wrote it.
    pub name: String,
    /// 0 to 1.
    pub score: f32,
    /// Whether the label has entered and not left since.
    pub active: bool,
}

/// A caption and the picture that it describes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownCaption {
    /// The sentence.
    pub text: String,
    /// The number of the frame that it describes.
    pub frame: u64,
    /// When it was written.
    pub at: SystemTime,
}

/// How the camera and the board are doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Where the pictures come from.
    pub source: String,
    /// The number of the newest labelled frame.
    pub frame: u64,
    /// Frames that came.
    pub captured: u64,
    /// Frames that were labelled.
    pub labelled: u64,
    /// Frames that came and were replaced by a newer one before their turn.
    pub dropped: u64,
    /// Frames that were damaged.
    pub damaged: u64,
    /// How often the source was opened again.
    pub reopened: u64,
    /// Labelled frames a second.
    pub frames_per_second: f32,
    /// From the camera's picture to its labels.
    pub latency: Option<Duration>,
    /// The board's, in °C.
    pub temperature: Option<f32>,
    /// Threads that the model computes with.
    pub threads: usize,
    /// What a viewer should know: "camera lost, reopening".
    pub message: Option<String>,
}

/// Something that shows views.
pub trait Display: Send {
    /// Its spec, for messages; without secrets.
    fn name(&self) -> &str;

    /// Shows `view` in place of the one before it.
    ///
    /// # Errors
    /// When the view cannot be shown now. A later call may succeed: a display tries again what failed.
    fn show(&mut self, view: &View) -> Result<(), Error>;

    /// Tells the display which labels are looked for now, all of them, so that it can offer them for editing.
    /// Most displays don't.
    fn set_vocabulary(&mut self, _labels: &[String]) {}
}

/// What a display's viewer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Look for these labels from now on, instead of the ones before.
    Labels(Vec<String>),
    /// Write a caption of the next picture.
    Caption,
}
