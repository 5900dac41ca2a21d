//! Writes a bundle atomically: the target folder holds the whole new bundle, or what it held before.
//!
//! Files go into a staging folder beside the target. It takes the target's name once the last byte is on the disk, and
//! is removed on an error or a signal. Only a bundle is ever replaced, and only by removing the files that its
//! `coca.json` lists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use coca_host::{folder_of, sync_folder};
use coca_model::bundle::{Config, FileEntry};
use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256};

use crate::staging::StagingDir;

/// The file that describes a bundle.
const CONFIG: &str = "coca.json";

/// A bundle could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target exists and is no bundle.
    #[error("{}: exists and is no model: choose another folder", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// The target is a bundle with files beside it that are not part of it.
    #[error(
        "{}: holds {entry}, which is no part of the model there and would be removed with it: choose another folder",
        path.display()
    )]
    ForeignEntry {
        /// The target.
        path: PathBuf,
        /// The first file or folder that `coca.json` does not list.
        entry: String,
    },
    /// The target is named from inside, as `.` is.
    #[error(
        "{}: the model takes the place of this folder, so name it from outside: {}",
        path.display(), outside.display()
    )]
    NamedFromInside {
        /// The target.
        path: PathBuf,
        /// Its absolute path.
        outside: PathBuf,
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
        /// The operating system's error.
        source: io::Error,
    },
}

/// A bundle that is being written.
pub struct BundleWriter {
    /// The target as the caller names it, for messages.
    named: PathBuf,
    /// The target with symbolic links followed.
    target: PathBuf,
    staging: StagingDir,
    files: BTreeMap<String, FileEntry>,
}

impl BundleWriter {
    /// Starts a bundle for the folder `target`. An older bundle there stays until [`BundleWriter::finish`].
    ///
    /// # Errors
    /// When `target` is neither an empty folder nor a bundle, when it holds files that are no part of the bundle, when it
    /// is named from inside, or when its parent cannot be written.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let fail = |e| failed(target, e);
        check_replaceable(target, target)?;
        if target.file_name().is_none() {
            let outside = fs::canonicalize(target).map_err(fail)?;
            return Err(Error::NamedFromInside { path: target.to_owned(), outside });
        }
        let resolved = match target.is_symlink() {
            true => fs::canonicalize(target).map_err(fail)?,
            false => target.to_owned(),
        };
        let staging = StagingDir::beside(&resolved, is_abandoned).map_err(fail)?;
        Ok(Self { named: target.to_owned(), target: resolved, staging, files: BTreeMap::new() })
    }

    /// Starts the file `name`; [`BundleWriter::add`] makes it part of the bundle.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn start(&self, name: &str) -> Result<BundleFile, Error> {
        let file =
            File::create(self.staging.path().join(name)).map_err(|e| failed(&self.named, e))?;
        Ok(BundleFile {
            target: self.named.clone(),
            name: name.to_owned(),
            file,
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Makes a complete file part of the bundle.
    ///
    /// # Errors
    /// When it does not reach the disk.
    pub fn add(&mut self, file: BundleFile) -> Result<(), Error> {
        file.file.sync_all().map_err(|e| failed(&self.named, e))?;
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

    /// Writes `coca.json`, which is `config` with the list of files, and puts the bundle in its place.
    ///
    /// # Errors
    /// When that fails, or when foreign files have appeared in the target; the older bundle is still there then.
    pub fn finish(mut self, mut config: Config) -> Result<Config, Error> {
        let fail = |e| failed(&self.named, e);
        config.files = std::mem::take(&mut self.files);
        let mut json = serde_json::to_vec_pretty(&config).map_err(|e| fail(e.into()))?;
        json.push(b'\n');
        let mut file = File::create(self.staging.path().join(CONFIG)).map_err(fail)?;
        file.write_all(&json).and_then(|()| file.sync_all()).map_err(fail)?;
        sync_folder(self.staging.path()).map_err(fail)?;
        let may_remove = |old: &Path| check_replaceable(old, &self.named);
        self.staging.publish(&self.target, may_remove, fail)?;
        sync_folder(folder_of(&self.target)).map_err(fail)?;
        Ok(config)
    }
}

/// A file of a bundle that is being written; its checksum is computed along the way.
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

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether no byte was written yet.
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

/// Refuses a `folder` that holds anything but a bundle; messages call it `named`.
fn check_replaceable(folder: &Path, named: &Path) -> Result<(), Error> {
    let occupied = || Error::Occupied { path: named.to_owned() };
    if !folder.exists() {
        return if folder.is_symlink() { Err(occupied()) } else { Ok(()) };
    }
    if !folder.is_dir() {
        return Err(occupied());
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|e| failed(named, e))?;
    if !entries.is_empty() && !folder.join(CONFIG).is_file() {
        return Err(occupied());
    }
    let listed = listed_files(folder).map_err(|e| failed(named, e))?;
    for entry in entries {
        let is_folder = entry.file_type().map_err(|e| failed(named, e))?.is_dir();
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_folder || (name != CONFIG && !listed.contains(&name)) {
            return Err(Error::ForeignEntry { path: named.to_owned(), entry: name });
        }
    }
    Ok(())
}

/// Whether a killed process left the staging folder `folder`: with a bundle that has no list of its files yet, or with
/// one that was replaced and to which nobody added a file meanwhile.
fn is_abandoned(folder: &Path) -> bool {
    listed_files(folder).is_ok_and(|files| files.is_empty())
        || check_replaceable(folder, folder).is_ok()
}

/// The files that the `coca.json` of `folder` lists; none if there is no such file, or one that lists none.
fn listed_files(folder: &Path) -> io::Result<BTreeSet<String>> {
    /// `coca.json` of any version.
    #[derive(Deserialize)]
    struct Listing {
        #[serde(default)]
        files: BTreeMap<String, IgnoredAny>,
    }
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(BTreeSet::new());
    }
    let listing = serde_json::from_slice::<Listing>(&fs::read(path)?);
    // Whatever is no listing owns no files: all that stand beside it are foreign.
    Ok(listing.map_or_else(|_| BTreeSet::new(), |listing| listing.files.into_keys().collect()))
}

fn failed(target: &Path, source: io::Error) -> Error {
    let path = target.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { path },
        _ => Error::Unwritable { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POCKET: &[u8] = include_bytes!("../../models/pocket/coca.json");

    #[test]
    fn a_file_put_into_the_older_model_while_the_new_one_is_written_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        fs::create_dir(&target).unwrap();
        fs::write(target.join(CONFIG), r#"{"files": {"text.bin": {}}}"#).unwrap();
        fs::write(target.join("text.bin"), "weights").unwrap();
        let mut writer = BundleWriter::create(&target).unwrap();
        writer.add_bytes("text.bin", b"new weights").unwrap();
        fs::write(target.join("thesis.txt"), "thesis").unwrap();
        let error = writer.finish(Config::parse(POCKET).unwrap()).unwrap_err();
        assert!(matches!(error, Error::ForeignEntry { entry, .. } if entry == "thesis.txt"));
        assert_eq!(fs::read(target.join("thesis.txt")).unwrap(), b"thesis");
        assert_eq!(fs::read(target.join("text.bin")).unwrap(), b"weights");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
