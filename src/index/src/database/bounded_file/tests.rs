//! Every pointer of a database, lengthened.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use coca_host::catch_panic;
use coca_model::bundle::Fingerprint;
use redb::{
    Builder, DatabaseError, Key, MultimapTableDefinition, ReadTransaction, ReadableDatabase,
    ReadableTable, StorageBackend, TableDefinition, Value,
};

use super::{BRANCH, BoundedFile, PAGE};
use crate::{
    Picture,
    database::{CONTENTS, Change, Database, FACTS, Facts, PATHS, PICTURES},
};

/// A file that notes how many bytes the longest of its reads asked for.
#[derive(Debug)]
struct Noted {
    file: BoundedFile,
    longest: Arc<AtomicU64>,
}

impl StorageBackend for Noted {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.longest.fetch_max(out.len() as u64, Ordering::Relaxed);
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write(offset, bytes)
    }
}

/// A database whose larger tables have branches.
fn database(path: &Path) {
    let facts = Facts {
        model: Fingerprint([7; 32]),
        model_name: "made up".to_owned(),
        width: 2,
        rows: 0,
        generation: 0,
    };
    Database::create(path, &facts).unwrap();
    let picture = |row: u64| Picture {
        path: format!("{row}.jpg"),
        content: row.into(),
        ..Picture::default()
    };
    let changes: Vec<_> = (0..100).map(|row| Change::Add(picture(row))).collect();
    Database::open_for_writing(path).unwrap().apply(&facts, &changes).unwrap();
}

fn read<K: Key, V: Value>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    for entry in transaction.open_table(table)?.iter()? {
        entry?;
    }
    Ok(())
}

/// Reads every table, and whatever redb looks at when it checks a database.
fn read_all(path: &Path, longest: &Arc<AtomicU64>) -> Result<(), redb::Error> {
    let noted = |options: &OpenOptions| {
        let file = BoundedFile::open(path, options)?;
        Ok::<_, DatabaseError>(Noted { file, longest: longest.clone() })
    };
    let file = noted(OpenOptions::new().read(true))?;
    let database = Builder::new().open_read_only_with_backend(file)?;
    let transaction = database.begin_read()?;
    read(&transaction, FACTS)?;
    read(&transaction, PICTURES)?;
    read(&transaction, PATHS)?;
    read(&transaction, CONTENTS)?;
    transaction.close()?;
    drop(database);
    let file = noted(OpenOptions::new().read(true).write(true))?;
    Builder::new().set_check_integrity_on_open(true).create_with_backend(file)?;
    Ok(())
}

#[test]
fn however_long_pages_claim_to_be_no_read_is_longer_than_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.redb");
    database(&path);
    let whole = fs::read(&path).unwrap();
    assert!(whole.chunks(PAGE as usize).any(|page| page.first() == Some(&BRANCH)));
    let longest = Arc::new(AtomicU64::new(0));
    read_all(&path, &longest).unwrap();
    let mut refused = 0;
    // Definitions of tables are not aligned, so pointers stand anywhere.
    for (at, bytes) in whole.windows(8).enumerate() {
        let pointer = u64::from_le_bytes(*bytes.first_chunk().expect("a window of eight"));
        if !(1..whole.len() as u64 / PAGE).contains(&pointer) {
            continue;
        }
        let mut damaged = whole.clone();
        // The upper five bits: a page of 2^13 times the least length.
        damaged[at + 7] |= 13 << 3;
        fs::write(&path, damaged).unwrap();
        refused += usize::from(catch_panic(|| read_all(&path, &longest).is_err()) != Ok(false));
    }
    assert!(refused > 0);
    assert!(longest.load(Ordering::Relaxed) <= whole.len() as u64);
}

#[test]
fn a_database_with_a_table_whose_values_are_trees_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = MultimapTableDefinition::<u64, u64>::new("trees");
    transaction.open_multimap_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Database::open(&path).and_then(|database| database.view()?.facts()).unwrap_err();
    assert!(error.to_string().contains("\"trees\" is not a table of an index"), "{error}");
}

#[test]
fn an_empty_file_is_not_made_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.redb");
    File::create(&path).unwrap();
    assert!(Database::open(&path).is_err());
    assert!(Database::open_for_writing(&path).is_err());
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}
