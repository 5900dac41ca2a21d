//! The file of a database, in which no page claims to be longer than the file.
//!
//! redb reserves the memory of a page before it reads it, and how long a page is stands where another points at it: a damaged pointer
//! asks for up to four gigabytes. So what a page points at is looked at as the page comes from the file, before redb follows it. In
//! version 3 of redb's file format (`docs/design.md` there), pages are pointed at by the header, by branches and by definitions of
//! tables. Values point at pages in multimap tables and in savepoints, of which an index has none.

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io,
    ops::Bound,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, DatabaseError, StorageBackend, backends::FileBackend};

const PAGE: u64 = 4096;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;

// Positions in the header, and in its commit slots: whether there is a tree, and where its root is.
const REGION_HEADER_PAGES: usize = 16;
const REGION_PAGES: usize = 20;
const SLOTS: [usize; 2] = [64, 192];
const ROOTS: [(usize, usize); 2] = [(1, 8), (2, 40)];
/// The same positions in the definition of a table.
const TABLE_ROOT: (usize, usize) = (9, 10);
/// A table of the kind whose values are trees.
const MULTIMAP: u8 = 4;
const SAVEPOINTS: &[u8] = b"persistent_savepoints";

/// A file of a database that is read with its pointers checked.
#[derive(Debug)]
pub(super) struct BoundedFile {
    file: FileBackend,
    /// Offsets of the roots of the trees of tables, which the header names.
    roots: Mutex<HashSet<u64>>,
}

impl BoundedFile {
    /// Opens a file that is not empty: redb would make a database of an empty one.
    pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Self, DatabaseError> {
        let file = options.open(path)?;
        if file.metadata()?.len() == 0 {
            return Err(damaged("the file is empty".to_owned()).into());
        }
        Ok(Self { file: FileBackend::new(file)?, roots: Mutex::default() })
    }

    fn roots(&self) -> MutexGuard<'_, HashSet<u64>> {
        // Whoever panicked did so in redb: the set is whole.
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset == 0 {
            return self.check_header(bytes);
        }
        match (bytes.first(), self.roots().contains(&offset)) {
            (Some(&BRANCH), true) => Err(damaged("its tables take more than a page".to_owned())),
            (Some(&BRANCH), false) => {
                children(bytes).try_for_each(|child| self.check_length(child))
            }
            (Some(&LEAF), true) => tables(bytes).try_for_each(|table| self.check_table(&table)),
            _ => Ok(()),
        }
    }

    fn check_table(&self, table: &Table<'_>) -> io::Result<()> {
        let Some(root) = table.root else { return Ok(()) };
        if table.kind == MULTIMAP || table.name == SAVEPOINTS {
            let name = String::from_utf8_lossy(table.name).into_owned();
            return Err(damaged(format!("{name:?} is not a table of an index")));
        }
        self.check_length(root)
    }

    fn check_header(&self, header: &[u8]) -> io::Result<()> {
        let pages = |at| u32_at(header, at).map(u64::from);
        let (Some(region_header), Some(region)) = (pages(REGION_HEADER_PAGES), pages(REGION_PAGES))
        else {
            return Ok(());
        };
        let mut offsets = HashSet::new();
        for slot in SLOTS.iter().filter_map(|slot| header.get(*slot..)) {
            for root in ROOTS.iter().filter_map(|root| present_pointer(slot, *root)) {
                self.check_length(root)?;
                offsets.insert(root.offset(region_header, region));
            }
        }
        *self.roots() = offsets;
        Ok(())
    }

    fn check_length(&self, pointer: Pointer) -> io::Result<()> {
        let length = pointer.length();
        // Nearly all pages have the least length, which no file falls short of.
        if length == PAGE {
            return Ok(());
        }
        let most = self.file.len()?;
        if length > most {
            return Err(damaged(format!("a page of {length} bytes in a file of {most}")));
        }
        Ok(())
    }
}

/// The place and length of a page, as redb writes them.
#[derive(Debug, Clone, Copy)]
struct Pointer(u64);

impl Pointer {
    fn order(self) -> u64 {
        self.0 >> 59
    }

    /// Bytes of the page.
    fn length(self) -> u64 {
        PAGE << self.order()
    }

    /// Bytes of the file in front of the page, in regions of so many pages behind their headers.
    fn offset(self, region_header: u64, region: u64) -> u64 {
        let (in_region, number) = (self.0 & (0xF_FFFF >> self.order()), self.0 >> 20 & 0xF_FFFF);
        let pages = 1 + number * (region_header + region) + region_header;
        // Past every file, where the header says that regions are longer than they can be.
        PAGE.saturating_mul(pages).saturating_add(in_region * self.length())
    }
}

/// The definition of a table.
struct Table<'a> {
    name: &'a [u8],
    kind: u8,
    root: Option<Pointer>,
}

/// The children of a branch: behind eight bytes and a checksum of sixteen for each.
fn children(branch: &[u8]) -> impl Iterator<Item = Pointer> {
    let children = 1 + u16_at(branch, 2).map_or(0, usize::from);
    (0..children).map_while(move |child| pointer_at(branch, 8 + 16 * children + 8 * child))
}

/// The tables that a leaf defines: where each name ends, where each definition ends, the names, the definitions.
fn tables(leaf: &[u8]) -> impl Iterator<Item = Table<'_>> {
    let count = u16_at(leaf, 2).map_or(0, usize::from);
    let end = move |entry: usize| match entry.checked_sub(1) {
        Some(entry) => u32_at(leaf, 4 + 4 * entry).map(|end| end as usize),
        None => Some(4 + 8 * count),
    };
    (0..count).filter_map(move |table| {
        let definition = leaf.get(end(count + table)?..end(count + table + 1)?)?;
        Some(Table {
            name: leaf.get(end(table)?..end(table + 1)?)?,
            kind: *definition.first()?,
            root: present_pointer(definition, TABLE_ROOT),
        })
    })
}

fn present_pointer(bytes: &[u8], (present, at): (usize, usize)) -> Option<Pointer> {
    if *bytes.get(present)? == 0 { None } else { pointer_at(bytes, at) }
}

fn pointer_at(bytes: &[u8], at: usize) -> Option<Pointer> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(Pointer(u64::from_le_bytes(*bytes)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl StorageBackend for BoundedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
        self.check(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Whatever stood there, this process writes something else now.
        self.roots().remove(&offset);
        self.file.write(offset, bytes)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests;
