//! Filling an index from folders.
//!
//! ```text
//! walk (a thread) ──▶ jobs ──▶ read, hash, decode, encode (a thread each core) ──▶ outcomes ──▶ stage, commit (the caller)
//! ```
//!
//! Every channel is bounded: memory does not grow with the number of pictures. Each thread decodes and encodes pictures of its own,
//! so that no core waits for another.

pub(crate) mod exif_data;
mod walk;
mod worker;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, Builder},
    time::{Duration, Instant},
};

use coca_model::{Coca, Labels};
use coca_vision::{Limits, ReadError, extension_of};
use globset::GlobSet;

use self::{
    walk::{Entry, Root},
    worker::{Outcome, Worker},
};
use crate::{Background, Error, IndexWriter, filter::patterns, snapshot::NewestSnapshot};

/// Changes that are committed together, at most.
const BATCH: usize = 256;
/// Time between commits, at most.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// Outcomes that may wait for the index.
const OUTCOMES: usize = 64;

/// The pictures to index, and the descriptions to make of them.
#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// Patterns of paths to leave out, relative to the folders given; one without `/` names files and folders anywhere.
    pub exclude: Vec<String>,
    /// Whether files and folders whose names begin with a point are indexed.
    pub include_hidden: bool,
    /// Whether captions are written.
    pub captions: bool,
    /// Labels to choose from.
    pub labels: Option<Labels>,
    /// Pictures that are decoded and encoded side by side, at least 1.
    pub threads: usize,
}

impl Default for IndexOptions {
    /// Every picture that is not hidden, embeddings alone, on one thread.
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            include_hidden: false,
            captions: false,
            labels: None,
            threads: 1,
        }
    }
}

/// News of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The folders hold so many pictures.
    Found(usize),
    /// The folders hold so many other files with these extensions, in lower case; told if there are any.
    Skipped(&'a BTreeMap<String, usize>),
    /// One more picture is done.
    Done,
    /// One more picture is done, and could not be read.
    Failed(&'a ReadError),
}

/// The work of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Pictures that were encoded.
    pub encoded: usize,
    /// Pictures that were known by their content: moved, copied or written again.
    pub recognised: usize,
    /// Pictures that were as the index had them.
    pub unchanged: usize,
    /// Pictures that could not be read.
    pub failed: usize,
}

/// Brings an index up to date with folders of pictures.
///
/// A file of the size and time that the index knows is not read; one of a content that it knows, because it was moved or copied,
/// is not encoded.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use coca_engine::Engine;
/// use coca_index::{Index, IndexOptions, IndexWriter, Indexer, Query};
/// use coca_model::Coca;
///
/// # let folder = tempfile::tempdir()?;
/// # let photos = std::path::PathBuf::from("../../tests/photos");
/// # let index = folder.path().join("index");
/// // One thread an engine: pictures are encoded side by side.
/// let coca = Coca::pocket_with(&Engine::builder().threads(1).build()?)?;
/// let indexer = Indexer::new(&coca, IndexOptions { threads: 2, ..IndexOptions::default() })?;
/// let mut writer = IndexWriter::open_for(&index, &coca)?;
/// let summary = indexer.run(&mut writer, &[photos], |_| ())?;
/// assert_eq!(summary.encoded, 4);
///
/// let index = Index::open(&index)?;
/// let answer = index.search(&Query::near(coca.encode_text("a cat")?).top_k(1))?;
/// assert!(answer.hits[0].picture.path.ends_with("cat.jpg"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Indexer<'a> {
    coca: &'a Coca,
    options: IndexOptions,
    exclude: GlobSet,
}

impl IndexWriter {
    /// Opens the index in the folder `path`, made if there is none, for embeddings of `coca`.
    ///
    /// # Errors
    /// As [`IndexWriter::open`].
    pub fn open_for(path: impl AsRef<Path>, coca: &Coca) -> Result<Self, Error> {
        let (bundle, config) = (coca.bundle(), coca.bundle().config());
        Self::open(path, bundle.fingerprint(), &config.name, config.dimensions.embedding)
    }
}

impl<'a> Indexer<'a> {
    /// An indexer that encodes with `coca`.
    ///
    /// # Errors
    /// [`Error::Pattern`] when a pattern to leave out cannot be understood.
    pub fn new(coca: &'a Coca, options: IndexOptions) -> Result<Self, Error> {
        let exclude = patterns(options.exclude.iter().map(String::as_str))?;
        Ok(Self { coca, options, exclude })
    }

    /// Brings `writer`'s index up to date with the pictures in `folders`; `progress` hears of each.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read, [`Error::Model`] when the model cannot encode, [`Error::Io`] and
    /// [`Error::Database`] when the index cannot be written. What was committed before stays.
    pub fn run(
        &self,
        writer: &mut IndexWriter,
        folders: &[PathBuf],
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<Summary, Error> {
        let roots = Root::open_all(folders)?;
        let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
        let mut count = |root: &Root| {
            let skip = |file: &Path| *skipped.entry(extension_of(file)).or_default() += 1;
            self.entries(root, skip).count()
        };
        progress(Progress::Found(roots.iter().map(&mut count).sum()));
        if !skipped.is_empty() {
            progress(Progress::Skipped(&skipped));
        }
        Background::keep(self.coca, writer.folder())?;
        self.coca.load_image_encoder()?;

        let newest = NewestSnapshot::new(writer.snapshot()?);
        let location = writer.location().clone();
        let threads = self.options.threads.max(1);
        let (jobs, queue) = sync_channel(2 * threads);
        let (answers, outcomes) = sync_channel(OUTCOMES);
        let queue = Mutex::new(queue);
        let worker = Worker {
            coca: self.coca,
            options: &self.options,
            newest: &newest,
            location: &location,
            limits: Limits::of_process(threads),
        };
        let walk = move || {
            // Ends when all was taken, or when nobody takes any more.
            let entries = roots.iter().flat_map(|root| self.entries(root, |_| ()));
            entries.map_while(|entry| jobs.send(entry).ok()).for_each(drop);
        };
        let summary = thread::scope(|scope| {
            let start = || {
                Builder::new().spawn_scoped(scope, walk)?;
                for number in 0..threads {
                    let (answers, queue, worker) = (answers.clone(), &queue, &worker);
                    let work = move || {
                        while let Some(entry) = take(queue) {
                            if answers.send(worker.work(entry)).is_err() {
                                return;
                            }
                        }
                    };
                    match Builder::new().spawn_scoped(scope, work) {
                        Err(error) if number == 0 => return Err(error),
                        // Those that are there do the work of those that the system refuses.
                        _ => {}
                    }
                }
                drop(answers);
                Ok(())
            };
            let started = start().map_err(|source| Error::Threads { source });
            let result = started.and_then(|()| store(writer, &newest, outcomes, &mut progress));
            if result.is_err() {
                // Threads that wait to take or to give end with their channels.
                drop(std::mem::replace(&mut *lock(&queue), sync_channel(0).1));
            }
            result
        })?;
        // Its rows are not those that a compaction leaves.
        drop(newest);
        writer.compact_when_due()?;
        Ok(summary)
    }

    /// Forgets the pictures below `folders` whose files are gone; returns their number.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read, so that a disk that is not there is not forgotten; else as
    /// [`Indexer::run`].
    pub fn prune(&self, writer: &mut IndexWriter, folders: &[PathBuf]) -> Result<usize, Error> {
        let roots = Root::open_all(folders)?;
        let location = writer.location();
        let mut gone = Vec::new();
        writer.view()?.for_each(|row, picture| {
            let file = location.real_file(&picture.path);
            let below = roots.iter().any(|root| file.starts_with(root.real()));
            if below && matches!(file.try_exists(), Ok(false)) {
                gone.push(row);
            }
        })?;
        gone.iter().for_each(|&row| writer.remove(row));
        writer.commit()?;
        writer.compact_when_due()?;
        Ok(gone.len())
    }

    fn entries<'r>(
        &'r self,
        root: &'r Root,
        skip: impl FnMut(&Path) + 'r,
    ) -> impl Iterator<Item = Entry> + 'r {
        root.entries(self.options.include_hidden, &self.exclude, skip)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn take(queue: &Mutex<Receiver<Entry>>) -> Option<Entry> {
    lock(queue).recv().ok()
}

/// Stages and commits outcomes as they come.
fn store(
    writer: &mut IndexWriter,
    newest: &NewestSnapshot,
    outcomes: Receiver<Result<Outcome, Error>>,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    let mut moved = HashSet::new();
    let mut committed = Instant::now();
    for outcome in outcomes {
        match outcome? {
            Outcome::Unchanged => summary.unchanged += 1,
            Outcome::Encoded(picture, embedding) => {
                writer.add(picture, &embedding)?;
                summary.encoded += 1;
            }
            // The first of several copies takes the row of a file that is gone.
            Outcome::Moved(row, picture, _) if moved.insert(row) => {
                writer.update(row, picture);
                summary.recognised += 1;
            }
            Outcome::Moved(_, picture, embedding) | Outcome::Copied(picture, embedding) => {
                writer.add(picture, &embedding)?;
                summary.recognised += 1;
            }
            Outcome::Described { row, picture, encoded } => {
                writer.update(row, picture);
                *(if encoded { &mut summary.encoded } else { &mut summary.recognised }) += 1;
            }
            Outcome::Failed(error) => {
                summary.failed += 1;
                progress(Progress::Failed(&error));
                continue;
            }
        }
        progress(Progress::Done);
        if writer.staged() >= BATCH || committed.elapsed() >= COMMIT_INTERVAL {
            writer.commit()?;
            newest.replace(writer.snapshot()?);
            committed = Instant::now();
        }
    }
    writer.commit()?;
    Ok(summary)
}
