//! Stand-in for cameras in a program that was built without them.

use super::{CameraInfo, CameraSpec, Error, FrameSource, SourceSettings};

pub(super) fn cameras() -> Result<Vec<CameraInfo>, Error> {
    Err(Error::NoCameras { source_name: "cameras".to_owned() })
}

pub(super) fn open(
    spec: &CameraSpec,
    _settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    Err(Error::NoCameras { source_name: spec.to_string() })
}
