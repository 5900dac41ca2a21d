//! Sources of frames, and the newest frame of one.
//!
//! ```text
//! SourceSpec ── open ──▶ dyn FrameSource ◀── read ── Capture (thread, watchdog) ── take ──▶ newest Frame
//! ```
//!
//! A [`Capture`] opens the source that a [`SourceSpec`] describes, reads it in the background and opens it again when it
//! fails. A new kind of source is a file with a type that can be parsed and opened, and a line in `source_spec.rs`.

mod capture;
mod device;
mod error;
mod folder;
mod frame;
mod frames;
mod http;
mod mjpeg;
mod pace;
mod pattern;
mod pipe;
mod slot;
mod source;
mod source_kind;
mod source_spec;
mod stream_format;
mod wait;

pub use capture::{Capture, CaptureStatus, RetryPolicy};
pub use device::{CameraInfo, CameraSpec, cameras};
pub use error::Error;
pub use folder::{FileSpec, FolderSpec};
pub use frame::Frame;
pub(crate) use frames::read_stream;
pub use http::HttpSpec;
pub(crate) use http::read_answer;
pub use pattern::PatternSpec;
pub use pipe::{PipeInput, PipeSpec};
pub use slot::{NewestFrame, Taken};
pub use source::{FrameSource, Interrupt, Read, SourceSettings};
pub use source_spec::SourceSpec;
pub use stream_format::{RawFormat, StreamFormat, UnknownFormat, parse_size};
