//! Live labels and captions of a camera: sources of frames, displays, a web page, and a look at the board.
//!
//! ```text
//!  camera                      pipeline                         display
//!  SourceSpec ─▶ Capture ─▶ newest Frame ─▶ Watch::step ─▶ View ─▶ framebuffer, panel,
//!  (watchdog)                                 │    │              window, PNG file,
//!                                             │    │              web page (http)
//!                                captions ◀───┘    └──▶ Report ─▶ lines, commands
//!
//!  doctor: what on this board stands in the way of all that
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`camera`] | sources of frames, the newest frame of one |
//! | [`display`] | live views on a framebuffer, a panel, a PNG file, a window, a web page |
//! | [`pipeline`] | frames through the model, to displays, lines and commands |
//! | [`doctor`] | a look at the board, with advice |
//!
//! An example that labels a picture as if a camera saw it is in [`pipeline`].

#![forbid(unsafe_code)]

pub mod camera;
mod child_process;
mod counters;
pub mod display;
pub mod doctor;
mod frame_caption;
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod pipeline;
mod redact;
mod tracked_label;

pub use coca_vision as vision;
pub use counters::Counters;
pub use frame_caption::FrameCaption;
pub use redact::redact;
pub use tracked_label::TrackedLabel;

/// README's example, compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
