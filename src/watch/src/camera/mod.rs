//! Cameras and what stands in for them: sources of frames, and the newest frame of one.
//!
//! ```
//! use std::time::Duration;
//! use coca_watch::camera::{Capture, Frame, Patience, SourceSettings, SourceSpec, Taken};
//!
//! let source: SourceSpec = "test".parse()?;
//! let capture = Capture::start("test", Patience::default(), move || {
//!     source.open(&SourceSettings::default())
//! })?;
//! let mut frame = Frame::default();
//! assert_eq!(capture.take(&mut frame, Duration::from_secs(5))?, Taken::Frame);
//! assert_eq!(frame.size, (640, 480));
//! # Ok::<(), coca_watch::camera::Error>(())
//! ```

mod capture;
mod device;
mod error;
mod folder;
mod frame;
mod http;
mod mjpeg;
mod pattern;
mod pipe;
mod slot;
mod source;
mod spec;

pub use capture::{Capture, CaptureStatus, Patience};
pub use device::{CameraInfo, cameras};
pub use error::Error;
pub use frame::Frame;
pub use slot::{NewestFrame, Taken};
pub use source::{FrameSource, Interrupt, Read, SourceSettings};
pub use spec::{SourceSpec, StreamFormat, parse_size};
