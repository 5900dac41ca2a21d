//! Staging folders: a folder is filled beside its target and then takes the target's name, or it is removed.
//!
//! A signal ends a process without running a destructor, wherever its threads stand. The process therefore keeps a
//! list of its staging folders, and the signal handler calls [`remove_all`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Every staging folder of this process.
static ALL: Mutex<Vec<Leftovers>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Leftovers>> {
    // The list stays usable when a thread panics: each change to it is a single push or removal.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every staging folder. Whoever creates, publishes or drops one afterwards blocks for ever: call this only
/// at the end of the process.
pub fn remove_all() {
    let all = all();
    all.iter().for_each(Leftovers::remove);
    std::mem::forget(all);
}

/// A folder with a temporary name, removed on drop unless it was published.
pub(crate) struct StagingDir {
    path: PathBuf,
}

impl StagingDir {
    /// Creates a folder beside `target`, and the parents of `target` that do not exist.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let parent = parent(target);
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut all = all();
        let parents = parent.ancestors().take_while(missing).map(Path::to_owned).collect();
        let mut leftovers = Leftovers { folder: None, parents };
        match fs::create_dir_all(&parent).and_then(|()| create_hidden(&parent)) {
            Ok(path) => {
                leftovers.folder = Some(path.clone());
                all.push(leftovers);
                Ok(Self { path })
            }
            Err(error) => {
                leftovers.remove();
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder the name `target`. A folder that has the name already is moved to where nobody else writes,
    /// shown to `may_remove`, and removed; on an error it gets its name back.
    pub(crate) fn publish<E>(
        self,
        target: &Path,
        may_remove: impl FnOnce(&Path) -> Result<(), E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<(), E> {
        let replaced = Self::beside(target).map_err(&failed)?;
        let old = replaced.path.join("old");
        let mut all = all();
        let mut published = Ok(());
        if target.exists() {
            fs::rename(target, &old).map_err(&failed)?;
            published = may_remove(&old);
        }
        let published = published.and_then(|()| fs::rename(&self.path, target).map_err(&failed));
        if published.is_err() {
            if old.exists() && fs::rename(&old, target).is_err() {
                // The old folder stays where it is: better a folder with a strange name than none.
                all.retain(|leftovers| !leftovers.are_of(&replaced.path));
            }
            return published;
        }
        all.retain(|leftovers| !leftovers.are_of(&self.path));
        Ok(())
    }
}

impl Drop for StagingDir {
    fn drop(&mut self) {
        let mut all = all();
        if let Some(at) = all.iter().position(|leftovers| leftovers.are_of(&self.path)) {
            all.swap_remove(at).remove();
        }
    }
}

/// Everything to remove when a staging folder is given up.
struct Leftovers {
    folder: Option<PathBuf>,
    /// The parents that were created for it, innermost first.
    parents: Vec<PathBuf>,
}

impl Leftovers {
    fn are_of(&self, folder: &Path) -> bool {
        self.folder.as_deref() == Some(folder)
    }

    /// Removes what can be removed: this runs while a process ends or an error is reported, which nothing here may
    /// replace.
    fn remove(&self) {
        // Another thread may still write: a new file in a folder that is being emptied keeps it there.
        const ATTEMPTS: usize = 10;
        if let Some(folder) = &self.folder {
            let _ = (0..ATTEMPTS).find(|_| fs::remove_dir_all(folder).is_ok() || !folder.exists());
        }
        for parent in &self.parents {
            // It stays if someone else's files are in it by then.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// Creates a folder with a temporary name in `parent`, with the permissions that the umask gives every folder.
fn create_hidden(parent: &Path) -> io::Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".coca-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    Ok(builder.tempdir_in(parent)?.keep())
}

/// The folder that `target` is in.
pub(crate) fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
