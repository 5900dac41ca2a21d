//! Files: of the repository, to make seeds of, and inputs as files, for parsers that take a path.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// The path of a file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// The bytes of files in a folder of this repository.
pub(crate) fn read_all(folder: &str, names: &[&str]) -> io::Result<Vec<Vec<u8>>> {
    names.iter().map(|name| fs::read(repository(folder).join(name))).collect()
}

/// Calls `work` with the path of a file that holds `bytes`, and removes the file.
///
/// # Panics
/// When it cannot be written: the disk is full, which says nothing about a parser.
pub(crate) fn with_file(bytes: &[u8], work: impl FnOnce(&Path)) {
    let written = tempfile::NamedTempFile::new().and_then(|mut file| {
        file.write_all(bytes)?;
        Ok(file)
    });
    match written {
        Ok(file) => work(file.path()),
        Err(error) => panic!("an input cannot be written: {error}"),
    }
}
