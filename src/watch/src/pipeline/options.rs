//! Options of a watch.

use coca_model::CaptionOptions;
use coca_text::Templates;
use coca_vision::Orientation;

use super::{Action, CaptionTriggers, TrackerOptions};
use crate::display::DisplaySpec;

/// Options of a [`Watch`](super::Watch).
///
/// ```
/// use std::time::Duration;
/// use coca_watch::pipeline::{CaptionTriggers, WatchOptions};
///
/// let options = WatchOptions {
///     max_fps: Some(5.0),
///     captions: CaptionTriggers { every: Some(Duration::from_secs(60)), ..Default::default() },
///     displays: vec!["web:127.0.0.1:8080".parse()?],
///     ..WatchOptions::default()
/// };
/// assert_eq!(options.every, 1);
/// # Ok::<(), coca_watch::display::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Smoothing and selection of labels.
    pub tracker: TrackerOptions,
    /// One frame of this many is labelled, at least 1.
    pub every: u64,
    /// Highest rate in labelled frames a second, 0.001 to 1000.
    pub max_fps: Option<f32>,
    /// Temperature of the board in °C above which the rate is lowered.
    pub max_temperature: Option<f32>,
    /// Moments at which captions are due.
    pub captions: CaptionTriggers,
    /// Options of captions.
    pub caption_options: CaptionOptions,
    /// Templates for labels that a display's viewer asks for; `None` is the model's own.
    pub templates: Option<Templates>,
    /// Name by which a display's viewer asks for a label that stands for everything else; `None`: all labels are ordinary.
    pub none: Option<String>,
    /// Commands to run when labels enter.
    pub actions: Vec<Action>,
    /// Displays of the results.
    pub displays: Vec<DisplaySpec>,
    /// Orientation that makes the camera's frames upright.
    pub orientation: Orientation,
}

impl Default for WatchOptions {
    /// Every frame is labelled at the highest rate; no captions, commands or displays.
    fn default() -> Self {
        Self {
            tracker: TrackerOptions::default(),
            every: 1,
            max_fps: None,
            max_temperature: None,
            captions: CaptionTriggers::default(),
            caption_options: CaptionOptions::default(),
            templates: None,
            none: None,
            actions: Vec::new(),
            displays: Vec::new(),
            orientation: Orientation::default(),
        }
    }
}
