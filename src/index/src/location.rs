//! Paths of pictures as an index stores them, and where they are now.

use std::path::{Path, PathBuf};

/// Name of the folder that an index stands in beside the pictures.
pub const FOLDER_NAME: &str = ".coca";

/// The place of an index: paths below the folder that holds it are relative to that folder, so that it moves with the pictures.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The folder that holds the index, as the user named it.
    shown: PathBuf,
    /// The same, absolute and without links.
    real: PathBuf,
}

impl Location {
    /// The place of the index in the folder `index`, which exists.
    pub(crate) fn of(index: &Path) -> std::io::Result<Self> {
        let real = index.canonicalize()?;
        let parent = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
        let shown = match index.file_name() {
            Some(_) => parent(index),
            None => parent(&real),
        };
        Ok(Self { shown, real: parent(&real) })
    }

    /// The stored form of an absolute path without links; `None` if it is no UTF-8.
    pub(crate) fn stored(&self, path: &Path) -> Option<String> {
        let path = path.strip_prefix(&self.real).unwrap_or(path);
        let text = path.to_str()?;
        Some(if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() })
    }

    /// Where the picture of a stored path is.
    pub(crate) fn file(&self, stored: &str) -> PathBuf {
        self.shown.join(stored)
    }

    /// As [`Location::file`], absolute.
    pub(crate) fn real_file(&self, stored: &str) -> PathBuf {
        self.real.join(stored)
    }
}

/// The nearest index of the folder `from`, which is the current one if it is empty, or of one above it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let photos = folder.path();
/// std::fs::create_dir_all(photos.join("2026/summer"))?;
/// std::fs::create_dir(photos.join(".coca"))?;
/// assert_eq!(coca_index::nearest(&photos.join("2026/summer")), Some(photos.join("2026/summer/../../.coca")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn nearest(from: &Path) -> Option<PathBuf> {
    let here = if from.as_os_str().is_empty() { Path::new(".") } else { from };
    let depth = here.canonicalize().ok()?.components().count();
    let mut folder = from.to_path_buf();
    for _ in 0..depth {
        let index = folder.join(FOLDER_NAME);
        if index.is_dir() {
            return Some(index);
        }
        folder.push("..");
    }
    None
}
