//! An entry for the workspace's `fuzz`.
//!
//! Not for others: there is no promise that it stays.

use crate::indexing::exif_data;

/// Reads the EXIF data of a file: when it was taken, in seconds since 1970, and by which camera.
#[must_use]
pub fn read_exif(bytes: &[u8]) -> (Option<i64>, Option<String>) {
    let exif = exif_data::read(bytes);
    (exif.taken, exif.camera)
}
