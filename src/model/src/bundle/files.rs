//! Reading the files of a bundle, each compared with its entry in `coca.json`.
//!
//! The bytes that are hashed are the bytes that are parsed: graphs, tokenizer and `coca.json` are copied first,
//! since another process may rewrite a mapped file between the two. Large files stay mapped, so that weights are paged in once
//! and shared between processes; their bytes are plain numbers whatever happens to the file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use coca_engine::FileBytes;
use coca_kernels::MappedFile;
use sha2::{Digest, Sha256};

use super::{Bundle, Error, FileEntry, fingerprint::hexadecimal};

/// The bytes of a file of a bundle.
pub type CheckedBytes = Arc<dyn FileBytes>;

/// Files up to this size are copied rather than mapped; `coca.json` and `tokenizer.json`, which are parsed whole into several
/// times their size, have no more.
const MAX_COPIED_BYTES: u64 = 16 << 20;

const TOKENIZER: &str = "tokenizer.json";

/// Bytes that are hashed before their pages are given back.
const HASHED_AT_ONCE: usize = 1 << 22;

/// Where a bundle's files are.
#[derive(Debug)]
pub(super) enum Files {
    Folder(PathBuf),
    /// Inside the program: the bytes of a file by its name. A program that opens no such bundle is linked without them.
    #[cfg(feature = "pocket")]
    Embedded(fn(&str) -> Option<&'static [u8]>),
}

impl Files {
    pub(super) fn is_embedded(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// The model's name for messages.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            #[cfg(feature = "pocket")]
            Self::Embedded(_) => Path::new("embedded model"),
        }
    }

    /// A file's name for messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The bytes of `coca.json`, which has no entry of its own.
    pub(super) fn config(&self) -> Result<CheckedBytes, Error> {
        let name = "coca.json";
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let bytes = copy(&path, MAX_COPIED_BYTES)?;
                check_size(&path, bytes.len() as u64)?;
                Ok(Arc::new(bytes))
            }
            #[cfg(feature = "pocket")]
            Self::Embedded(file) => self.embedded(file(name), name, 0),
        }
    }

    /// The bytes of a file that `coca.json` lists with `bytes` bytes: mapped, or those inside the program.
    fn map(&self, name: &str, bytes: u64) -> Result<CheckedBytes, Error> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let failed = |source| unreadable(&path, source, bytes);
                // An empty file cannot be mapped everywhere.
                if std::fs::metadata(&path).map_err(failed)?.len() == 0 {
                    return Ok(Arc::new(Vec::new()));
                }
                Ok(Arc::new(MappedFile::open(&path).map_err(failed)?))
            }
            #[cfg(feature = "pocket")]
            Self::Embedded(file) => self.embedded(file(name), name, bytes),
        }
    }

    #[cfg(feature = "pocket")]
    fn embedded(
        &self,
        file: Option<&'static [u8]>,
        name: &str,
        bytes: u64,
    ) -> Result<CheckedBytes, Error> {
        file.map(|file| Arc::new(file) as CheckedBytes)
            .ok_or_else(|| Error::Missing { path: self.path(name), bytes })
    }
}

impl Bundle {
    /// Reads the file `name`, with the length and checksum that `coca.json` gives.
    ///
    /// A file of up to 16 MiB is copied; a larger one is mapped, and hashed once. `tokenizer.json` has 16 MiB at most.
    ///
    /// # Errors
    /// When the file is not listed, too large, missing, of another length or altered.
    pub fn read(&self, name: &str, needed_for: &'static str) -> Result<CheckedBytes, Error> {
        let entry = self.entry(name, needed_for)?;
        if name == TOKENIZER {
            check_size(&self.files.path(name), entry.bytes)?;
        }
        if let Files::Folder(folder) = &self.files
            && entry.bytes <= MAX_COPIED_BYTES
        {
            let path = folder.join(name);
            let metadata = std::fs::metadata(&path);
            let length = metadata.map_err(|source| unreadable(&path, source, entry.bytes))?.len();
            check_length(&path, entry, length)?;
            let bytes = copy(&path, entry.bytes)?;
            check_length(&path, entry, bytes.len() as u64)?;
            check_hash(&path, entry, &bytes)?;
            return Ok(Arc::new(bytes));
        }
        let bytes = self.map(name, needed_for)?;
        self.verify_once(name, &bytes, needed_for)?;
        Ok(bytes)
    }

    /// Maps the file `name`, with the length that `coca.json` gives; its checksum is still to be compared.
    pub(super) fn map(&self, name: &str, needed_for: &'static str) -> Result<CheckedBytes, Error> {
        let entry = self.entry(name, needed_for)?;
        let bytes = self.files.map(name, entry.bytes)?;
        check_length(&self.files.path(name), entry, (*bytes).as_ref().len() as u64)?;
        Ok(bytes)
    }

    /// Compares a mapped file's SHA-256 with that of `coca.json`, once in the life of the bundle.
    pub(super) fn verify_once(
        &self,
        name: &str,
        bytes: &CheckedBytes,
        needed_for: &'static str,
    ) -> Result<(), Error> {
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !checked().contains(name) {
            check_hash(&self.files.path(name), self.entry(name, needed_for)?, &**bytes)?;
            checked().insert(name.to_owned());
        }
        Ok(())
    }

    fn entry(&self, name: &str, needed_for: &'static str) -> Result<&FileEntry, Error> {
        self.config.files.get(name).ok_or_else(|| Error::NotListed {
            path: self.files.path("coca.json"),
            name: name.to_owned(),
            needed_for,
        })
    }
}

/// Refuses what is too large to be parsed whole.
fn check_size(path: &Path, found: u64) -> Result<(), Error> {
    if found <= MAX_COPIED_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge { path: path.to_path_buf(), limit: MAX_COPIED_BYTES, found })
}

fn check_length(path: &Path, entry: &FileEntry, found: u64) -> Result<(), Error> {
    if entry.bytes == found {
        return Ok(());
    }
    Err(Error::Length { path: path.to_path_buf(), expected: entry.bytes, found })
}

fn check_hash(path: &Path, entry: &FileEntry, bytes: &dyn FileBytes) -> Result<(), Error> {
    let mut hash = Sha256::new();
    for piece in bytes.as_ref().chunks(HASHED_AT_ONCE) {
        hash.update(piece);
        bytes.release();
    }
    let (expected, found) = (&entry.sha256, hexadecimal(&hash.finalize()));
    if *expected == found {
        return Ok(());
    }
    Err(Error::Checksum { path: path.to_path_buf(), expected: expected.clone(), found })
}

/// Copies a file of about `bytes` bytes; of a longer one, no more than one byte beyond.
fn copy(path: &Path, bytes: u64) -> Result<Vec<u8>, Error> {
    let mut copy = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes + 1).read_to_end(&mut copy))
        .map_err(|source| unreadable(path, source, bytes))?;
    Ok(copy)
}

fn unreadable(path: &Path, source: io::Error, bytes: u64) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::Missing { path: path.to_path_buf(), bytes },
        _ => Error::Unreadable { path: path.to_path_buf(), source },
    }
}
