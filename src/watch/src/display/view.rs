//! Displays and what they show.

use std::{sync::Arc, time::Duration};

use image::RgbImage;

use super::Error;
use crate::{Counters, FrameCaption, TrackedLabel};

/// A moment to show: picture, labels, caption, status.
///
/// ```
/// use coca_watch::{TrackedLabel, display::{Canvas, View}};
///
/// let view = View {
///     labels: vec![TrackedLabel { label: "cat".into(), score: 0.9, active: true }],
///     ..View::default()
/// };
/// let mut canvas = Canvas::new(320, 240);
/// canvas.paint(&view);
/// ```
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest frame, upright, at most 1280 columns, RGB.
    pub picture: Option<Arc<RgbImage>>,
    /// Labels, the best first.
    pub labels: Vec<TrackedLabel>,
    /// The newest caption.
    pub caption: Option<FrameCaption>,
    /// State of camera and board.
    pub status: Status,
}

/// State of camera and board.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Name of the source.
    pub source: String,
    /// Number of the newest labelled frame.
    pub frame: u64,
    /// Totals since the start.
    pub counters: Counters,
    /// Frames labelled a second.
    pub frames_per_second: f32,
    /// Time from capture to labels of the newest labelled frame.
    pub latency: Option<Duration>,
    /// Temperature of the board in °C, where it has a sensor.
    pub temperature: Option<f32>,
    /// Threads that the model computes with.
    pub threads: usize,
    /// A message for viewers: "camera lost, opening it again".
    pub message: Option<String>,
}

/// Something that shows views.
///
/// ```
/// use coca_watch::display::{Display, Error, View};
///
/// /// Prints the best label.
/// struct Terminal;
///
/// impl Display for Terminal {
///     fn name(&self) -> &str {
///         "terminal"
///     }
///
///     fn show(&mut self, view: &View) -> Result<(), Error> {
///         if let Some(best) = view.labels.first() {
///             println!("{} {:.2}", best.label, best.score);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Display: Send {
    /// Its spec for messages, without secrets.
    fn name(&self) -> &str;

    /// Shows `view` in place of the one before.
    ///
    /// # Errors
    /// When the view cannot be shown. A later call may succeed: a display retries what failed.
    fn show(&mut self, view: &View) -> Result<(), Error>;

    /// Tells the display all labels that are looked for, so that it can offer them for editing. Does nothing by default.
    fn set_vocabulary(&mut self, _labels: &[String]) {}
}

/// A wish of a display's viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Look for these labels instead of the present ones.
    Labels(Vec<String>),
    /// Write a caption of the next frame.
    Caption,
}
