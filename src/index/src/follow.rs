//! Folders that change.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

use crate::{Error, FOLDER_NAME};

/// Time without a change after which a folder is looked at: cameras and copies write a file in many pieces.
const SETTLE: Duration = Duration::from_secs(1);
/// The longest time that changes wait for others to end.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Tells which folders have changed.
///
/// Messages of the operating system only say where to look: what is true is what a new [run](crate::Indexer::run) over those folders
/// finds. Where messages were lost, all folders are to be looked at.
///
/// ```no_run
/// # fn index(folders: &[std::path::PathBuf]) -> Result<(), coca_index::Error> { Ok(()) }
/// use std::time::Duration;
/// use coca_index::Follower;
///
/// let photos = vec!["photos".into()];
/// let follower = Follower::start(&photos)?; // before the first run, so that nothing is missed
/// index(&photos)?;
/// loop {
///     index(&follower.changed(Duration::from_secs(600)))?;
/// }
/// # Ok::<(), coca_index::Error>(())
/// ```
pub struct Follower {
    roots: Vec<PathBuf>,
    events: Receiver<notify::Result<Event>>,
    /// Ends with the follower.
    _watcher: RecommendedWatcher,
}

impl Follower {
    /// Begins to follow `folders` and all folders in them.
    ///
    /// # Errors
    /// [`Error::Follow`] when the system refuses: on Linux a user may follow so many folders only.
    pub fn start(folders: &[PathBuf]) -> Result<Self, Error> {
        let (sender, events) = channel();
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Follow { path, source }
        };
        let mut watcher =
            notify::recommended_watcher(sender).map_err(failed(Path::new("folders")))?;
        for folder in folders {
            watcher.watch(folder, RecursiveMode::Recursive).map_err(failed(folder))?;
        }
        Ok(Self { roots: folders.to_vec(), events, _watcher: watcher })
    }

    /// Waits until something has changed and then been still for a second; returns the folders to look at. After `longest`
    /// without a change these are all.
    #[must_use]
    pub fn changed(&self, longest: Duration) -> Vec<PathBuf> {
        let deadline = Instant::now() + longest;
        let mut folders = BTreeSet::new();
        let mut first = None;
        loop {
            let timeout = match first {
                None => deadline.saturating_duration_since(Instant::now()),
                Some(_) => SETTLE,
            };
            match self.events.recv_timeout(timeout) {
                Ok(Ok(event)) if event.need_rescan() => return self.roots.clone(),
                Ok(Ok(event)) if is_change(&event.kind) => {
                    folders.extend(event.paths.iter().filter_map(|path| folder_of(path)));
                }
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return self.roots.clone(),
                Err(RecvTimeoutError::Timeout) if folders.is_empty() => return self.roots.clone(),
                Err(RecvTimeoutError::Timeout) => return outermost(folders),
            }
            if !folders.is_empty() {
                let since = *first.get_or_insert_with(Instant::now);
                if since.elapsed() >= MAX_WAIT {
                    return outermost(folders);
                }
            }
        }
    }
}

/// Reading a file is no change.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => *kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// The folder that still is there around a path that has changed; none for the index itself.
fn folder_of(path: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part.as_os_str() == FOLDER_NAME) {
        return None;
    }
    path.ancestors()
        .skip(usize::from(!path.is_dir()))
        .find(|folder| folder.is_dir())
        .map(Path::to_path_buf)
}

/// Folders that are in no other one.
fn outermost(folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let inside = |folder: &Path| folder.ancestors().skip(1).any(|outer| folders.contains(outer));
    folders.iter().filter(|folder| !inside(folder)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_new_file_names_its_folder_and_the_index_does_not() {
        let photos = tempfile::tempdir().unwrap();
        let (inner, index) = (photos.path().join("inner"), photos.path().join(FOLDER_NAME));
        std::fs::create_dir(&inner).unwrap();
        std::fs::create_dir(&index).unwrap();
        let follower = Follower::start(&[photos.path().to_path_buf()]).unwrap();
        std::fs::write(index.join("codes-0"), "written by ourselves").unwrap();
        std::fs::write(inner.join("a.jpg"), "new").unwrap();
        assert_eq!(follower.changed(LONG), std::slice::from_ref(&inner));
        std::fs::remove_file(inner.join("a.jpg")).unwrap();
        assert_eq!(follower.changed(LONG), [inner]);
    }

    #[test]
    fn without_a_change_everything_is_looked_at() {
        let photos = tempfile::tempdir().unwrap();
        let roots = [photos.path().to_path_buf()];
        let follower = Follower::start(&roots).unwrap();
        assert_eq!(follower.changed(Duration::from_millis(1)), roots);
    }

    #[test]
    fn a_folder_stands_for_those_in_it() {
        let folders = ["a", "a/b", "ab", "c/d"].map(PathBuf::from);
        let outer = outermost(folders.into_iter().collect());
        assert_eq!(outer, ["a", "ab", "c/d"].map(PathBuf::from));
    }
}
