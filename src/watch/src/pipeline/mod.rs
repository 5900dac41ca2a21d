//! A camera in, live labels and captions out.
//!
//! ```text
//! capture thread ── newest frame ──▶ Watch::step ── Report ──▶ lines, commands
//!                                        │  └── frame, View ──▶ displays' thread
//!                                        └── picture ──▶ captions' thread
//! ```
//!
//! Nothing waits for anything slower: capture never for the model, labels never for captions, displays or readers.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use std::sync::Arc;
//! use coca_model::Coca;
//! use coca_watch::camera::{Capture, Patience, SourceSettings, SourceSpec};
//! use coca_watch::pipeline::{Step, Watch, WatchOptions};
//!
//! let coca = Arc::new(Coca::pocket()?);
//! let labels = coca.labels(["cat", "dog"])?;
//! let source: SourceSpec = "../../tests/photos/cat.jpg".parse()?;
//! let capture = Capture::start("cat.jpg", Patience::default(), move || {
//!     source.open(&SourceSettings::default())
//! })?;
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
mod captions;
mod error;
mod lines;
mod relabel;
mod report;
mod run;
mod screens;
mod service;
mod steady;
mod thermal;

pub use actions::Action;
pub use captions::{CaptionTriggers, FrameCaption};
pub use error::Error;
pub use lines::Lines;
pub use report::{Report, Summary};
pub use run::{Step, Watch, WatchOptions};
pub use service::ServiceManager;
pub use steady::{Event, EventKind, Steady, SteadyLabel, SteadyOptions};
