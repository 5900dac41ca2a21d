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

use super::{
    Error, SourceSpec,
    source::{FrameSource, SourceSettings},
};

/// A camera as `coca watch --list` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraInfo {
    /// Its device, as in `/dev/video0`.
    pub device: String,
    /// Its name, for people.
    pub name: String,
    /// A line for each format and size, with the rates.
    pub formats: Vec<String>,
}

/// The cameras of this machine, by the number of their device.
///
/// # Errors
/// [`Error::NoCameras`] when this program was built without them.
pub fn cameras() -> Result<Vec<CameraInfo>, Error> {
    backend::cameras()
}

pub(super) fn open(
    spec: &SourceSpec,
    settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    backend::open(spec, settings)
}
