//! Writes a bundle so that it is there whole or not at all.
//!
//! Everything goes into a folder beside the target, which gets the target's name when the last byte is
//! on the disk, and vanishes if anything fails before, or a signal ends the process.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use coca_model::bundle::{Config, FileEntry};
use sha2::{Digest, Sha256};

use crate::unfinished::{Unfinished, parent};

/// A bundle that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target exists and is no bundle.
    #[error("{}: exists and is no model: choose another folder", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("{}: no space left on the disk", path.display())]
    NoSpace {
        /// The target.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable {
        /// The target.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A bundle in the making.
pub struct BundleWriter {
    target: PathBuf,
    folder: Unfinished,
    files: BTreeMap<String, FileEntry>,
}

impl BundleWriter {
    /// Starts a bundle that will be the folder `target`. An older bundle there stays until [`BundleWriter::finish`].
    ///
    /// # Errors
    /// When `target` is something else than a bundle or an empty folder, or its parent cannot be written.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let empty = || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
        if target.exists() && !target.join("coca.json").is_file() && !empty() {
            return Err(Error::Occupied { path: target.to_owned() });
        }
        let folder = Unfinished::beside(target).map_err(|e| failed(target, e))?;
        Ok(Self { target: target.to_owned(), folder, files: BTreeMap::new() })
    }

    /// Starts the file `name`; [`BundleWriter::add`] makes it part of the bundle.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn start(&self, name: &str) -> Result<BundleFile, Error> {
        let file =
            File::create(self.folder.path().join(name)).map_err(|e| failed(&self.target, e))?;
        Ok(BundleFile {
            target: self.target.clone(),
            name: name.to_owned(),
            file,
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Makes a file that is complete part of the bundle.
    ///
    /// # Errors
    /// When it does not reach the disk.
    pub fn add(&mut self, file: BundleFile) -> Result<(), Error> {
        file.file.sync_all().map_err(|e| failed(&self.target, e))?;
        let digest = file.hash.finalize();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.files.insert(file.name, FileEntry { bytes: file.bytes, sha256 });
        Ok(())
    }

    /// Adds the file `name` with these bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut file = self.start(name)?;
        file.write(bytes)?;
        self.add(file)
    }

    /// Writes `coca.json`, `config` with the list of files, and puts the bundle in its place.
    ///
    /// # Errors
    /// When that fails; the older bundle is still there then.
    pub fn finish(mut self, mut config: Config) -> Result<Config, Error> {
        let fail = |e| failed(&self.target, e);
        config.files = std::mem::take(&mut self.files);
        let mut json = serde_json::to_vec_pretty(&config).map_err(|e| fail(e.into()))?;
        json.push(b'\n');
        let mut file = File::create(self.folder.path().join("coca.json")).map_err(fail)?;
        file.write_all(&json).and_then(|()| file.sync_all()).map_err(fail)?;
        sync_folder(self.folder.path()).map_err(fail)?;
        readable_by_all(self.folder.path()).map_err(fail)?;
        self.folder
            .put_in_place(&self.target)
            .and_then(|()| sync_folder(&parent(&self.target)))
            .map_err(fail)?;
        Ok(config)
    }
}

/// A file of a bundle in the making; its checksum is computed as it is written.
pub struct BundleFile {
    target: PathBuf,
    name: String,
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl BundleFile {
    /// Its name in the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has by now.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// When the disk is full or the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| failed(&self.target, e))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn failed(target: &Path, source: io::Error) -> Error {
    let path = target.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { path },
        _ => Error::Unwritable { path, source },
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Temporary folders are private; a model is not.
#[cfg(unix)]
fn readable_by_all(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable_by_all(_: &Path) -> io::Result<()> {
    Ok(())
}
