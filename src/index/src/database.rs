//! The metadata of an index: a redb database that one process writes while others read.

mod bounded_file;
mod renumbering;
mod view;

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use coca_host::catch_panic;
use coca_model::bundle::Fingerprint;
use redb::{
    AccessGuard, Builder, ConcurrencyMode, DatabaseError, ReadOnlyDatabase, ReadableDatabase,
    ReadableTable, StorageError, TableDefinition, WriteTransaction,
};

use self::bounded_file::BoundedFile;
pub(crate) use self::view::View;
use crate::{Error, Picture, memory::Memory};

/// The format that this version reads and writes.
const FORMAT: &str = "coca-index-3";
/// Bytes of the database that are kept in memory.
const CACHE: usize = 8 << 20;
/// Attempts to open a database that another process mends, and the time between them.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Facts about the whole index: format, model, rows.
const FACTS: TableDefinition<'_, &str, &str> = TableDefinition::new("facts");
/// Row of the embeddings → picture; rows of pictures that are gone have none.
const PICTURES: TableDefinition<'_, u64, Columns<'_>> = TableDefinition::new("pictures");
/// Path → row.
const PATHS: TableDefinition<'_, &str, u64> = TableDefinition::new("paths");
/// Hash of a file's content, and a row that has it.
const CONTENTS: TableDefinition<'_, (u128, u64), ()> = TableDefinition::new("contents");
/// Rows of pictures that are gone.
const HOLES: TableDefinition<'_, u64, ()> = TableDefinition::new("holes");

/// Path, size, modified, taken, content, camera, labels, caption; what is absent is an empty text.
///
/// Labels stand in one text, a line each: of a list, redb would reserve memory for as many as a damaged length says.
type Columns<'a> = (&'a str, u64, i64, Option<i64>, u128, &'a str, &'a str, &'a str);

/// The facts about an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) model: Fingerprint,
    pub(crate) model_name: String,
    /// Elements of an embedding.
    pub(crate) width: usize,
    /// Embeddings, those of pictures that are gone included.
    pub(crate) rows: u64,
    /// The set of vector files that the rows stand in.
    pub(crate) generation: u64,
}

/// A change of the metadata.
#[derive(Debug)]
pub(crate) enum Change {
    /// A picture at the next row; one of the same path is gone.
    Add(Picture),
    /// Another description of a row.
    Update(u64, Picture),
    /// A picture is gone.
    Remove(u64),
}

/// An opened database.
pub(crate) struct Database {
    path: PathBuf,
    opened: Opened,
}

enum Opened {
    ForReading(ReadOnlyDatabase),
    ForWriting(redb::Database),
    /// It could not be opened again.
    Closed,
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Puts the database's path before its error.
fn failed<E: Into<redb::Error>>(path: &Path) -> impl Fn(E) -> Error + '_ {
    |error| Error::Database { path: path.to_path_buf(), source: Box::new(error.into()) }
}

/// Runs `work` in redb, which panics at some databases that are damaged.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_panic(work).unwrap_or_else(|panic| {
        Err(Error::Damaged {
            path: path.to_path_buf(),
            key: "database".to_owned(),
            expected: "a whole one".to_owned(),
            found: panic,
        })
    })
}

impl Database {
    /// Opens the database at `path` for reading, beside a process that writes it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        guarded(path, || Self::open_for_reading(path))
    }

    fn open_for_reading(path: &Path) -> Result<Self, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let file = BoundedFile::open(path, OpenOptions::new().read(true));
            let opened = match file.and_then(|file| builder().open_read_only_with_backend(file)) {
                Err(DatabaseError::RepairAborted) => match Self::try_open_for_writing(path) {
                    Err(Error::Busy { .. }) if attempts < ATTEMPTS => {
                        thread::sleep(PAUSE);
                        continue;
                    }
                    Err(error) => {
                        let path = path.to_path_buf();
                        return Err(Error::Interrupted { path, source: Box::new(error) });
                    }
                    Ok(_mended) if attempts < ATTEMPTS => continue,
                    Ok(_mended) => Err(DatabaseError::RepairAborted),
                },
                opened => opened,
            };
            let opened = Opened::ForReading(opened.map_err(failed(path))?);
            return Ok(Self { path: path.to_path_buf(), opened });
        }
    }

    /// Opens the database at `path` for writing: other processes can read it, not write.
    ///
    /// A reader that finds a database whose writer was interrupted mends it, as a writer of a
    /// moment: that moment is waited for.
    pub(crate) fn open_for_writing(path: &Path) -> Result<Self, Error> {
        for _ in 1..ATTEMPTS {
            match Self::try_open_for_writing(path) {
                Err(Error::Busy { .. }) => thread::sleep(PAUSE),
                opened => return opened,
            }
        }
        Self::try_open_for_writing(path)
    }

    fn try_open_for_writing(path: &Path) -> Result<Self, Error> {
        let mut builder = builder();
        // In the middle of a commit redb would panic at a damaged page where nothing can catch it.
        builder.set_check_integrity_on_open(true);
        let open = || {
            let file = BoundedFile::open(path, OpenOptions::new().read(true).write(true))?;
            builder.create_with_backend(file)
        };
        let opened = guarded(path, || match open() {
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                Err(Error::Busy { path: path.to_path_buf() })
            }
            opened => opened.map_err(failed(path)),
        });
        Ok(Self { path: path.to_path_buf(), opened: Opened::ForWriting(opened?) })
    }

    /// Closes it and opens it for writing again, which redb asks for after an error of the disk.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        self.opened = Opened::Closed;
        *self = Self::open_for_writing(&self.path)?;
        Ok(())
    }

    /// Its contents at this moment.
    pub(crate) fn view(&self) -> Result<View, Error> {
        let begin = || match &self.opened {
            Opened::ForReading(database) => database.begin_read(),
            Opened::ForWriting(database) => database.begin_read(),
            Opened::Closed => Err(StorageError::DatabaseClosed.into()),
        };
        let transaction = guarded(&self.path, || begin().map_err(failed(&self.path)))?;
        Ok(View::new(&self.path, transaction))
    }

    /// Writes the database of a new index to `path`, unless another process has by then.
    ///
    /// Made in place, it could not be opened for a while, and for ever if the process ended in it.
    pub(crate) fn create(path: &Path, facts: &Facts) -> Result<(), Error> {
        let memory = Memory::default();
        let opened = Builder::new().create_with_backend(memory.clone()).map_err(failed(path))?;
        let database = Self { path: path.to_path_buf(), opened: Opened::ForWriting(opened) };
        database.write(|transaction| {
            transaction.open_table(PICTURES)?;
            transaction.open_table(PATHS)?;
            transaction.open_table(CONTENTS)?;
            transaction.open_table(HOLES)?;
            write_facts(transaction, facts)
        })?;
        drop(database);
        memory.write_to(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })
    }

    /// Applies `changes` in order, all or none; returns the number of rows after them.
    pub(crate) fn apply(&self, facts: &Facts, changes: &[Change]) -> Result<u64, Error> {
        self.write(|transaction| {
            let mut rows = facts.rows;
            for change in changes {
                match change {
                    Change::Add(picture) => {
                        let old = row_at(transaction, &picture.path)?;
                        if let Some(old) = old {
                            remove(transaction, old)?;
                        }
                        insert(transaction, rows, picture)?;
                        rows += 1;
                    }
                    Change::Update(row, picture) => {
                        let other = row_at(transaction, &picture.path)?;
                        if let Some(other) = other.filter(|other| other != row) {
                            remove(transaction, other)?;
                        }
                        forget(transaction, *row)?;
                        insert(transaction, *row, picture)?;
                        // Its picture may have gone since the caller saw it; the embedding is still there.
                        transaction.open_table(HOLES)?.remove(row)?;
                    }
                    Change::Remove(row) => remove(transaction, *row)?,
                }
            }
            write_facts(transaction, &Facts { rows, ..facts.clone() })?;
            Ok(rows)
        })
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let database = match &self.opened {
            Opened::ForWriting(database) => database,
            Opened::ForReading(_) => {
                return Err(failed(&self.path)(DatabaseError::DatabaseAlreadyOpen));
            }
            Opened::Closed => return Err(failed(&self.path)(StorageError::DatabaseClosed)),
        };
        let transact = || {
            let mut transaction = database.begin_write()?;
            // A reader can then open what an interrupted writer left.
            transaction.set_quick_repair(true);
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok::<T, redb::Error>(result)
        };
        guarded(&self.path, || transact().map_err(failed(&self.path)))
    }
}

fn write_facts(transaction: &WriteTransaction, facts: &Facts) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(FACTS)?;
    table.insert("format", FORMAT)?;
    table.insert("model", facts.model.to_string().as_str())?;
    table.insert("model_name", facts.model_name.as_str())?;
    table.insert("width", facts.width.to_string().as_str())?;
    table.insert("rows", facts.rows.to_string().as_str())?;
    table.insert("generation", facts.generation.to_string().as_str())?;
    Ok(())
}

fn row_at(transaction: &WriteTransaction, path: &str) -> Result<Option<u64>, redb::Error> {
    Ok(transaction.open_table(PATHS)?.get(path)?.map(|row| row.value()))
}

fn insert(transaction: &WriteTransaction, row: u64, picture: &Picture) -> Result<(), redb::Error> {
    let labels = picture.labels.join("\n");
    let columns = (
        picture.path.as_str(),
        picture.size,
        picture.modified,
        picture.taken,
        picture.content,
        picture.camera.as_deref().unwrap_or_default(),
        labels.as_str(),
        picture.caption.as_deref().unwrap_or_default(),
    );
    transaction.open_table(PICTURES)?.insert(row, columns)?;
    transaction.open_table(PATHS)?.insert(picture.path.as_str(), row)?;
    transaction.open_table(CONTENTS)?.insert((picture.content, row), ())?;
    Ok(())
}

/// Takes the description of `row` away.
fn forget(transaction: &WriteTransaction, row: u64) -> Result<(), redb::Error> {
    let mut pictures = transaction.open_table(PICTURES)?;
    let Some(old) = pictures.remove(row)?.map(|old| picture(&old)) else { return Ok(()) };
    transaction.open_table(PATHS)?.remove(old.path.as_str())?;
    transaction.open_table(CONTENTS)?.remove((old.content, row))?;
    Ok(())
}

fn remove(transaction: &WriteTransaction, row: u64) -> Result<(), redb::Error> {
    forget(transaction, row)?;
    transaction.open_table(HOLES)?.insert(row, ())?;
    Ok(())
}

fn picture(columns: &AccessGuard<'_, Columns<'static>>) -> Picture {
    let (path, size, modified, taken, content, camera, labels, caption) = columns.value();
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Picture {
        path: path.to_owned(),
        size,
        modified,
        taken,
        content,
        camera: present(camera),
        labels: labels.lines().map(str::to_owned).collect(),
        caption: present(caption),
    }
}
