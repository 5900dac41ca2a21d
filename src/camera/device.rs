//! Cameras of this machine, without the feature `camera`.

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

/// The cameras of this machine.
///
/// # Errors
/// [`Error::NoCameras`]: this program was built without them.
pub fn cameras() -> Result<Vec<CameraInfo>, Error> {
    Err(Error::NoCameras { source_name: "--list".to_owned() })
}

pub(super) fn open(
    spec: &SourceSpec,
    _settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    Err(Error::NoCameras { source_name: spec.to_string() })
}
