//! Folders that are being filled: whole in the end, or gone.
//!
//! A signal ends a process without running a destructor, wherever its threads stand. So the process keeps a list of
//! these folders, and whoever handles signals calls [`remove_all`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Every folder of this process that is not finished.
static ALL: Mutex<Vec<Traces>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Traces>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every unfinished folder. Whatever wants to make, finish or remove one later waits for ever: call this at
/// the end of the process alone.
pub fn remove_all() {
    let all = all();
    all.iter().for_each(Traces::remove);
    std::mem::forget(all);
}

/// A folder without a name of its own, which is removed unless it gets one.
pub(crate) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Makes a folder beside `target`, and the folders above it that do not exist.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let parent = parent(target);
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut all = all();
        let above = parent.ancestors().take_while(missing).map(Path::to_owned).collect();
        let mut traces = Traces { folder: None, above };
        let folder = fs::create_dir_all(&parent)
            .and_then(|()| tempfile::Builder::new().prefix(".coca-").tempdir_in(&parent));
        match folder {
            Ok(folder) => {
                let path = folder.keep();
                traces.folder = Some(path.clone());
                all.push(traces);
                Ok(Self { path })
            }
            Err(error) => {
                traces.remove();
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder the name `target`. What had it before is removed; if that fails it keeps it.
    pub(crate) fn put_in_place(self, target: &Path) -> io::Result<()> {
        let replaced = Self::beside(target)?;
        let old = replaced.path.join("old");
        let mut all = all();
        if target.exists() {
            fs::rename(target, &old)?;
        }
        if let Err(error) = fs::rename(&self.path, target) {
            // Best effort: the error that matters is the one reported.
            let _ = fs::rename(&old, target);
            return Err(error);
        }
        all.retain(|traces| !traces.are_of(&self.path));
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut all = all();
        if let Some(at) = all.iter().position(|traces| traces.are_of(&self.path)) {
            all.swap_remove(at).remove();
        }
    }
}

/// What has to go when a folder is given up.
struct Traces {
    folder: Option<PathBuf>,
    /// The folders that were made for it, innermost first.
    above: Vec<PathBuf>,
}

impl Traces {
    fn are_of(&self, folder: &Path) -> bool {
        self.folder.as_deref() == Some(folder)
    }

    fn remove(&self) {
        // Another thread may still write: a new file in a folder that is being emptied keeps it there.
        const ATTEMPTS: usize = 10;
        if let Some(folder) = &self.folder {
            let _ = (0..ATTEMPTS).find(|_| fs::remove_dir_all(folder).is_ok() || !folder.exists());
        }
        for folder in &self.above {
            // Someone else's files may be in it by now: then it stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folder that `target` stands in.
pub(crate) fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
