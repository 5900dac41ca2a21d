//! Cameras of this machine, behind the feature `camera`.

#[cfg(not(all(feature = "camera", target_os = "linux")))]
mod absent;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod choice;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod rows;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod video4linux;

#[cfg(not(all(feature = "camera", target_os = "linux")))]
use absent as backend;
#[cfg(all(feature = "camera", target_os = "linux"))]
use video4linux as backend;

use std::{fmt, path::PathBuf};

use super::{Error, FrameSource, SourceSettings, source_kind::SourceKind};

/// A camera of this machine: `auto`, `/dev/video0`, `camera:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraSpec {
    /// The first camera.
    Auto,
    /// A camera by its device.
    Device(PathBuf),
    /// A camera by a part of its name, in either case.
    Name(String),
}

impl SourceKind for CameraSpec {
    fn parse(text: &str) -> Option<Result<Self, Error>> {
        Some(Ok(if text == "auto" {
            Self::Auto
        } else if text.starts_with("/dev/") {
            Self::Device(text.into())
        } else {
            Self::Name(text.strip_prefix("camera:")?.to_owned())
        }))
    }

    fn open(&self, settings: &SourceSettings) -> Result<Box<dyn FrameSource>, Error> {
        backend::open(self, settings)
    }
}

impl fmt::Display for CameraSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device(path) => path.display().fmt(f),
            Self::Name(name) => write!(f, "camera:{name}"),
        }
    }
}

/// A camera and what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraInfo {
    /// Its device, such as `/dev/video0`.
    pub device: String,
    /// Its name, for people.
    pub name: String,
    /// A line for each format and size, with the highest rate.
    pub formats: Vec<String>,
}

/// The cameras of this machine, by the number of their device.
///
/// # Errors
/// [`Error::NoCameras`] when this program was built without them.
pub fn cameras() -> Result<Vec<CameraInfo>, Error> {
    backend::cameras()
}
