//! What a program without cameras answers.

use super::{CameraInfo, Error, FrameSource, SourceSettings, SourceSpec};

pub(super) fn cameras() -> Result<Vec<CameraInfo>, Error> {
    Err(Error::NoCameras { source_name: "--list".to_owned() })
}

pub(super) fn open(
    spec: &SourceSpec,
    _settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    Err(Error::NoCameras { source_name: spec.to_string() })
}
