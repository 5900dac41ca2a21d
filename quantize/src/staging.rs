//! Staging folders: a folder is filled beside its target and then takes the target's name, or it is removed. What a killed
//! process leaves is removed when the same target is next written.
//!
//! A signal ends a process without running a destructor, wherever its threads stand. The process therefore keeps a
//! list of its staging folders, and the signal handler calls [`remove_all`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use coca_host::{TemporaryFolder, folder_of};

/// Every staging folder of this process.
static ALL: Mutex<Vec<Leftovers>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Leftovers>> {
    // The list stays usable when a thread panics: each change to it is a single push or removal.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every staging folder. Creating, publishing or dropping one afterwards blocks for ever: call this only at
/// the end of the process.
pub fn remove_all() {
    let all = all();
    all.iter().for_each(Leftovers::remove);
    std::mem::forget(all);
}

/// A folder with a temporary name, removed on drop unless it was published.
pub(crate) struct StagingDir {
    folder: TemporaryFolder,
}

impl StagingDir {
    /// Creates a folder beside `target`, and the parents of `target` that do not exist. One that a killed process left for
    /// the same target is removed if `may_remove` approves it.
    pub(crate) fn beside(
        target: &Path,
        may_remove: impl FnOnce(&Path) -> bool,
    ) -> io::Result<Self> {
        let parent = folder_of(target);
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut all = all();
        let parents = parent.ancestors().take_while(missing).map(Path::to_owned).collect();
        let mut leftovers = Leftovers { folder: None, parents };
        let create = || TemporaryFolder::for_target(target, may_remove);
        match fs::create_dir_all(parent).and_then(|()| create()) {
            Ok(folder) => {
                leftovers.folder = Some(folder.path().to_owned());
                all.push(leftovers);
                Ok(Self { folder })
            }
            Err(error) => {
                leftovers.remove();
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder the name `target`. A folder that has the name already is moved to where nobody else writes,
    /// shown to `may_remove`, and removed; on an error it gets its name back.
    ///
    /// On Linux `target` names the older or the new folder at every moment, on most file systems.
    pub(crate) fn publish<E>(
        mut self,
        target: &Path,
        may_remove: impl FnOnce(&Path) -> Result<(), E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<(), E> {
        // A signal removes nothing while the names are exchanged.
        let mut all = all();
        if !target.exists() {
            fs::rename(self.path(), target).map_err(failed)?;
            all.retain(|leftovers| !leftovers.are_of(self.path()));
            return Ok(());
        }
        if exchange(self.path(), target).is_err() {
            drop(all);
            return self.publish_in_two_steps(target, may_remove, failed);
        }
        // The older folder has the staging folder's name, and is removed under it.
        let is_held = self.folder.hold();
        let approved = may_remove(self.path());
        let is_back = approved.is_err() && exchange(self.path(), target).is_ok();
        // Better a folder with a strange name than none. One that another process holds is removed by that.
        if !is_back && (approved.is_err() || !is_held) {
            all.retain(|leftovers| !leftovers.are_of(self.path()));
        }
        approved
    }

    fn publish_in_two_steps<E>(
        self,
        target: &Path,
        may_remove: impl FnOnce(&Path) -> Result<(), E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<(), E> {
        let replaced = Self::beside(target, |_| false).map_err(&failed)?;
        let old = replaced.path().join("old");
        let mut all = all();
        fs::rename(target, &old).map_err(&failed)?;
        let published =
            may_remove(&old).and_then(|()| fs::rename(self.path(), target).map_err(&failed));
        match &published {
            Ok(()) => all.retain(|leftovers| !leftovers.are_of(self.path())),
            // Better a folder with a strange name than none.
            Err(_) if fs::rename(&old, target).is_err() => {
                all.retain(|leftovers| !leftovers.are_of(replaced.path()));
            }
            Err(_) => {}
        }
        published
    }
}

/// Exchanges the names of two folders in one step.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for StagingDir {
    fn drop(&mut self) {
        let mut all = all();
        if let Some(at) = all.iter().position(|leftovers| leftovers.are_of(self.path())) {
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

#[cfg(test)]
mod tests {
    use super::*;

    type Publish = fn(StagingDir, &Path, bool) -> Result<(), String>;

    fn answer(approves: bool) -> Result<(), String> {
        if approves { Ok(()) } else { Err("refused".to_owned()) }
    }

    #[test]
    fn an_older_folder_is_replaced_or_keeps_its_name() {
        let ways: [Publish; 2] = [
            |staging, target, approves| {
                staging.publish(target, |_| answer(approves), |e| e.to_string())
            },
            |staging, target, approves| {
                staging.publish_in_two_steps(target, |_| answer(approves), |e| e.to_string())
            },
        ];
        for publish in ways {
            for (approves, expected) in [(true, "new"), (false, "old")] {
                let folder = tempfile::tempdir().unwrap();
                let target = folder.path().join("target");
                fs::create_dir(&target).unwrap();
                fs::write(target.join("file"), "old").unwrap();
                let staging = StagingDir::beside(&target, |_| true).unwrap();
                fs::write(staging.path().join("file"), "new").unwrap();
                assert_eq!(publish(staging, &target, approves).is_ok(), approves);
                assert_eq!(fs::read_to_string(target.join("file")).unwrap(), expected);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }
        }
    }
}
