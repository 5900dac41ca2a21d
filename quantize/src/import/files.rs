//! The files of a checkpoint, wherever they are.

use std::path::{Path, PathBuf};

use super::error::Error;

/// The files of a checkpoint.
pub(super) trait Files {
    /// Whether the file `name` is on the disk already.
    fn is_at_hand(&self, name: &str) -> bool;

    /// The path of the file `name` on the disk, where it is put if need be; `None` if the checkpoint has no such file.
    fn find(&self, name: &str) -> Result<Option<PathBuf>, Error>;

    /// The error that the checkpoint lacks `expected`.
    fn incomplete(&self, expected: String) -> Error;
}

/// The first of `names` that there is, and its path. One at hand goes before any that would have to be fetched.
pub(super) fn first<'n>(
    files: &dyn Files,
    names: &[&'n str],
) -> Result<Option<(&'n str, PathBuf)>, Error> {
    let at_hand = names.iter().filter(|name| files.is_at_hand(name));
    for name in at_hand.chain(names) {
        if let Some(path) = files.find(name)? {
            return Ok(Some((*name, path)));
        }
    }
    Ok(None)
}

/// A checkpoint in a folder.
pub(super) struct Folder<'a>(pub(super) &'a Path);

impl Files for Folder<'_> {
    fn is_at_hand(&self, name: &str) -> bool {
        self.0.join(name).is_file()
    }

    fn find(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.is_at_hand(name).then(|| self.0.join(name)))
    }

    fn incomplete(&self, expected: String) -> Error {
        Error::Incomplete { path: self.0.to_owned(), expected }
    }
}
