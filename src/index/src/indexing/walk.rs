//! Pictures in folders and their subfolders.

use std::path::{Path, PathBuf};

use coca_vision::{ReadError, Source, has_image_extension};
use globset::GlobSet;
use walkdir::{DirEntry, WalkDir};

use crate::{Error, FOLDER_NAME};

/// A folder, or a single file, to be indexed.
#[derive(Debug)]
pub(crate) struct Root {
    shown: PathBuf,
    real: PathBuf,
}

/// A picture's file.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// As the user would name it.
    pub(crate) shown: PathBuf,
    /// Absolute; the folder it was found in has no links in its path.
    pub(crate) real: PathBuf,
}

/// A picture, or a folder that cannot be read.
pub(crate) type Entry = Result<FoundFile, ReadError>;

impl Root {
    pub(crate) fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, Error> {
        paths.iter().map(|path| Self::open(path)).collect()
    }

    fn open(path: &Path) -> Result<Self, Error> {
        let io_error = |source| Error::Io { path: path.to_path_buf(), source };
        let real = path.canonicalize().map_err(io_error)?;
        Ok(Self { shown: path.to_path_buf(), real })
    }

    pub(crate) fn real(&self) -> &Path {
        &self.real
    }

    /// The pictures, sorted within each folder. Links to files are followed, links to folders are not. `skip` hears of each other
    /// file.
    pub(crate) fn entries<'a>(
        &'a self,
        include_hidden: bool,
        exclude: &'a GlobSet,
        mut skip: impl FnMut(&Path) + 'a,
    ) -> impl Iterator<Item = Entry> + 'a {
        let wanted = move |entry: &DirEntry| {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let index = entry.file_name() == FOLDER_NAME;
            let relative = entry.path().strip_prefix(&self.real).unwrap_or(entry.path());
            entry.depth() == 0
                || !index && (include_hidden || !hidden) && !exclude.is_match(relative)
        };
        let entries = WalkDir::new(&self.real).sort_by_file_name().into_iter();
        entries.filter_entry(wanted).filter_map(move |entry| match entry {
            Err(error) => Some(Err(self.failed(error))),
            Ok(entry) if !is_file(&entry) => None,
            // A file that was named itself is taken for a picture whatever its name.
            Ok(entry) if entry.depth() > 0 && !has_image_extension(entry.path()) => {
                skip(entry.path());
                None
            }
            Ok(entry) => {
                let relative = entry.path().strip_prefix(&self.real).unwrap_or(Path::new(""));
                let shown = match relative.as_os_str().is_empty() {
                    true => self.shown.clone(),
                    false => self.shown.join(relative),
                };
                Some(Ok(FoundFile { shown, real: entry.into_path() }))
            }
        })
    }

    fn failed(&self, error: walkdir::Error) -> ReadError {
        let path = error.path().unwrap_or(&self.real).to_path_buf();
        ReadError::Io { input: Source::File(path), source: error.into() }
    }
}

/// Whether an entry is a file, or a link to one.
fn is_file(entry: &DirEntry) -> bool {
    match entry.file_type() {
        kind if kind.is_symlink() => entry.path().is_file(),
        kind => kind.is_file(),
    }
}
