//! A database that is made in memory and written to the disk in one piece.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use coca_host::OutputFile;
use redb::{StorageBackend, backends::InMemoryBackend};

/// Storage of a database, which outlives it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<InMemoryBackend>);

impl Memory {
    /// Writes its contents to a new file. One that has come to `path` meanwhile stays.
    pub(crate) fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut bytes = vec![0; self.len()? as usize];
        self.read(0, &mut bytes)?;
        let mut file = OutputFile::create(path)?;
        file.write_all(&bytes)?;
        file.sync()?;
        file.commit_new().map(drop)
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(offset, bytes)
    }
}
