//! Temporary files and folders beside what they are to replace, of which a killed process leaves none for long.
//!
//! A process that is killed removes nothing. What it wrote therefore has a name that follows from its target's, and is
//! locked as long as the process lives: the next writer of the same target finds it, sees by the lock that nobody
//! writes it, and removes it. Where another process writes the same target, or the file system has no locks, names are
//! random.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// Beginning of every temporary name.
const PREFIX: &str = ".coca-";
/// Ending of the names that follow from a target's.
const SUFFIX: &str = ".partial";
/// Random characters of the other names.
const RANDOM: usize = 6;

/// A temporary file, removed on drop unless it was put in its place.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    file: NamedTempFile,
    /// Held until the file has its last name.
    _lock: Option<File>,
}

impl TemporaryFile {
    /// Creates a file for the target `path` in the same folder, with the permissions that the umask leaves.
    pub(crate) fn for_target(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        if let Some(name) = name_for(path) {
            remove_abandoned(&folder.join(&name), |file| fs::remove_file(file));
            if let Ok(file) = builder(&name, 0, 0o666).tempfile_in(folder) {
                match claim(file.path()) {
                    Claim::Held(lock) => return Ok(Self { file, _lock: Some(lock) }),
                    Claim::Unknown => return Ok(Self { file, _lock: None }),
                    // Taken for abandoned before it was locked: the name is another writer's.
                    Claim::Others => drop(file.into_temp_path().keep()),
                }
            }
        }
        let file = builder(OsStr::new(PREFIX), RANDOM, 0o666).tempfile_in(folder)?;
        Ok(Self { file, _lock: None })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file the name `path`, in the place of any file that has it.
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        let Self { file, _lock } = self;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Gives the file the name `path` unless another file has it; tells whether it did.
    pub(crate) fn place(self, path: &Path) -> io::Result<bool> {
        let Self { file, _lock } = self;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // The file system may have neither hard links nor a rename that replaces nothing.
            Err(_) if path.try_exists()? => Ok(false),
            Err(error) => error.file.persist(path).map(|_| true).map_err(|error| error.error),
        }
    }
}

/// A temporary folder, which stays until its owner removes or renames it.
///
/// One that a killed process left for the same target is removed before. While this value lives no other process takes
/// the folder for abandoned, on file systems with locks.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    locks: Vec<File>,
}

impl TemporaryFolder {
    /// Creates a folder for the target `path` in the same folder, with the permissions that the umask leaves. An
    /// abandoned one is removed if `may_remove` approves it.
    ///
    /// # Errors
    /// When the folder of `path` cannot be written.
    pub fn for_target(path: &Path, may_remove: impl FnOnce(&Path) -> bool) -> io::Result<Self> {
        let parent = folder_of(path);
        if let Some(name) = name_for(path) {
            let remove = |folder: &Path| match may_remove(folder) {
                true => fs::remove_dir_all(folder),
                false => Ok(()),
            };
            remove_abandoned(&parent.join(&name), remove);
            if let Ok(folder) = builder(&name, 0, 0o777).tempdir_in(parent) {
                let mut folder = Self { path: folder.keep(), locks: Vec::new() };
                if folder.hold() {
                    return Ok(folder);
                }
            }
        }
        let folder = builder(OsStr::new(PREFIX), RANDOM, 0o777).tempdir_in(parent)?;
        Ok(Self { path: folder.keep(), locks: Vec::new() })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Locks the folder that stands at the path, as after an exchange of names; `false` if another process has it, which
    /// removes it.
    pub fn hold(&mut self) -> bool {
        match claim(&self.path) {
            Claim::Held(lock) => self.locks.push(lock),
            Claim::Unknown => {}
            Claim::Others => return false,
        }
        true
    }
}

/// Whose a temporary file or folder is.
enum Claim {
    /// This process's, as long as the lock lives.
    #[cfg_attr(not(unix), expect(dead_code, reason = "identities of files are Unix's"))]
    Held(File),
    /// There are no locks.
    Unknown,
    /// Another process's, or gone.
    #[cfg_attr(not(unix), expect(dead_code, reason = "identities of files are Unix's"))]
    Others,
}

/// Locks the file or folder at `path`. It is this process's only if it still stands there once it is locked: who removes
/// it holds the lock.
#[cfg(unix)]
fn claim(path: &Path) -> Claim {
    use std::{fs::TryLockError, os::unix::fs::MetadataExt};
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() || found.is_dir() => {}
        // Nothing of ours; and opening a FIFO would wait.
        _ => return Claim::Others,
    }
    let Ok(file) = File::open(path) else { return Claim::Unknown };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Claim::Others,
        Err(TryLockError::Error(_)) => return Claim::Unknown,
    }
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata().map(identity), fs::symlink_metadata(path).map(identity)) {
        (Ok(locked), Ok(found)) if locked == found => Claim::Held(file),
        _ => Claim::Others,
    }
}

#[cfg(not(unix))]
fn claim(_: &Path) -> Claim {
    Claim::Unknown
}

/// Removes what a process that is gone left at `path`. What cannot be removed stays: the next name is a random one.
fn remove_abandoned(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) {
    if let Claim::Held(_lock) = claim(path) {
        let _ = remove(path);
    }
}

/// The name of what is temporary for the target `path`, if that has a name.
fn name_for(path: &Path) -> Option<OsString> {
    let mut name = OsString::from(PREFIX);
    name.push(path.file_name()?);
    name.push(SUFFIX);
    Some(name)
}

/// The folder that `path` is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Puts the names of new, renamed and removed files of a folder on the disk, where the system can be asked to.
///
/// # Errors
/// The system's, when the folder cannot be opened or its disk fails.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// As on Unix; elsewhere folders cannot be synced.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What is temporary is its owner's alone by default: here the umask decides.
fn builder(prefix: &OsStr, random: usize, mode: u32) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(prefix).rand_bytes(random);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        fs::write(folder.path().join(".coca-table.partial"), "half").unwrap();
        let mut file = TemporaryFile::for_target(&path).unwrap();
        assert_eq!(names(folder.path()), [".coca-table.partial"]);
        assert_eq!(file.file().metadata().unwrap().len(), 0);
        drop(file);
        assert!(names(folder.path()).is_empty());

        fs::create_dir(folder.path().join(".coca-table.partial")).unwrap();
        fs::write(folder.path().join(".coca-table.partial/half"), "").unwrap();
        let made = TemporaryFolder::for_target(&path, |_| true).unwrap();
        assert_eq!(names(folder.path()), [".coca-table.partial"]);
        assert!(names(made.path()).is_empty());
    }

    #[test]
    fn two_writers_of_one_target_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let files = [0; 3].map(|_| TemporaryFile::for_target(&path).unwrap());
        let folders = [0; 3].map(|_| TemporaryFolder::for_target(&path, |_| true).unwrap());
        assert_eq!(names(folder.path()).len(), 6);
        assert!(files.iter().all(|file| file.file.path().is_file()));
        assert!(folders.iter().all(|folder| folder.path().is_dir()));
    }

    #[test]
    fn what_may_not_be_removed_or_is_nothing_of_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at(".coca-model.partial")).unwrap();
        let made = TemporaryFolder::for_target(&at("model"), |_| false).unwrap();
        assert!(made.path() != at(".coca-model.partial") && at(".coca-model.partial").is_dir());

        fs::write(at("thesis"), "thesis").unwrap();
        symlink("thesis", at(".coca-link.partial")).unwrap();
        drop(TemporaryFile::for_target(&at("link")).unwrap());
        assert!(at(".coca-link.partial").is_symlink());
        assert_eq!(fs::read_to_string(at("thesis")).unwrap(), "thesis");
    }

    #[test]
    fn a_name_that_grows_too_long_has_a_random_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(250));
        assert!(TemporaryFile::for_target(&path).is_ok());
        assert!(TemporaryFolder::for_target(&path, |_| true).is_ok());
    }
}
