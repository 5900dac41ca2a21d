//! Live labels and captions of a camera.
//!
//! ```text
//! capture's thread ── newest frame ──▶ Watch::step ── Report ──▶ lines, commands
//!                                          │  └── frame, View ──▶ displays' thread
//!                                          └── encoded image ──▶ captions' thread
//! ```
//!
//! Nothing waits for anything slower: capture never for the model, labels never for captions, displays or readers.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use std::sync::Arc;
//! use coca_model::Coca;
//! use coca_watch::camera::{Capture, RetryPolicy, SourceSettings, SourceSpec};
//! use coca_watch::pipeline::{Step, Watch, WatchOptions};
//!
//! let coca = Arc::new(Coca::pocket()?);
//! let labels = coca.labels(["cat", "dog"])?;
//! let source: SourceSpec = "../../tests/photos/cat.jpg".parse()?;
//! let open = move || source.open(&SourceSettings::default());
//! let capture = Capture::start("cat.jpg", RetryPolicy::default(), open)?;
//! let mut watch = Watch::start(coca, Some(labels), "cat.jpg", capture, WatchOptions::default())?;
//! let report = loop {
//!     if let Step::Report(report) = watch.step()? {
//!         break report;
//!     }
//! };
//! assert_eq!(report.labels[0].label, "cat");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod actions;
mod caption_writer;
mod displays;
mod error;
mod label_loader;
mod line_writer;
mod live_labels;
mod options;
mod pacer;
mod report;
mod service;
mod statistics;
mod throttle;
mod tracker;
mod watch;

pub use actions::Action;
pub use caption_writer::CaptionTriggers;
pub use error::Error;
pub use line_writer::LineWriter;
pub use options::WatchOptions;
pub use report::{Report, Summary};
pub use service::ServiceManager;
pub use tracker::{Event, EventKind, LabelTracker, TrackerOptions};
pub use watch::{Step, Watch};
