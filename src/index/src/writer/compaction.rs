//! Compaction: the index written anew without the rows of pictures that are gone.
//!
//! ```text
//! codes-G, scales-G, vectors-G ──▶ those of G+1, on the disk ──▶ a transaction: rows, generation ──▶ those of G are removed
//! ```
//!
//! The files of the generation that the database names are whole at every moment. A writer that is interrupted before the
//! transaction leaves some of the next generation, after it some of the last; the next writer removes either. A reader that has
//! the old files open goes on with them, and one that knows of them from the database and finds them gone asks it again.

#[cfg(test)]
mod tests;

use super::IndexWriter;
use crate::{Error, database::Facts, generations, rows::Renumbering};

/// The fewest rows of pictures that are gone for which an index is written anew. At a width of 512 they take 10 MB of the disk, and
/// each search reads 2 MB in vain, which takes a Raspberry Pi 4 half a millisecond.
const MIN_HOLES: u64 = 4096;
/// An index is written anew when more than one row of so many is of a picture that is gone: then at most two rows are copied for
/// each that is left out, however often that happens.
const SHARE: u64 = 3;

/// The decision when to compact, which waits after attempts that failed.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The fewest rows of pictures that are gone.
    min_holes: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { min_holes: MIN_HOLES }
    }
}

impl Schedule {
    fn is_due(&self, holes: u64, rows: u64) -> bool {
        holes >= self.min_holes && holes > rows / SHARE
    }

    /// Waits for twice as many as there were: a full disk stays full for a while.
    fn postpone(&mut self, holes: u64) {
        self.min_holes = holes.saturating_mul(2).max(MIN_HOLES);
    }
}

impl IndexWriter {
    /// Commits what is staged, and writes the index anew without the rows of pictures that were replaced or are gone. Their
    /// embeddings take space on the disk, and time in each search, until then. An [`Indexer`](crate::Indexer) does this by itself
    /// once such rows are more than a third of all, and 4096 at least.
    ///
    /// The new embeddings are written beside the old ones, which takes as much of the disk as they do until it is done.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Database`] when the disk is full or fails; the index is then as it was before.
    pub fn compact(&mut self) -> Result<(), Error> {
        self.commit()?;
        if self.view()?.hole_count()? == 0 {
            return Ok(());
        }
        self.write_anew()
    }

    /// Compacts the index if many of its rows are of pictures that are gone. Where that fails, it stays as it is.
    pub(crate) fn compact_when_due(&mut self) -> Result<(), Error> {
        let holes = self.view()?.hole_count()?;
        if !self.schedule.is_due(holes, self.facts.rows) {
            return Ok(());
        }
        let done = self.write_anew();
        let index = self.folder.display();
        match done {
            Ok(()) => log::info!("{index}: written anew without {holes} pictures that are gone"),
            // It could not be opened again.
            Err(error) if self.view().is_err() => return Err(error),
            Err(error) => {
                log::warn!("{index}: the rows of {holes} pictures that are gone stay: {error}");
                self.schedule.postpone(holes);
            }
        }
        Ok(())
    }

    fn write_anew(&mut self) -> Result<(), Error> {
        let rows = self.facts.rows as usize;
        let renumbering = Renumbering::new(self.view()?.picture_rows(rows)?);
        let generation = self.facts.generation.wrapping_add(1);
        let copied = self.vectors.copy(&self.folder, generation, rows, renumbering.kept());
        let vectors = copied.inspect_err(|_| {
            generations::remove_others(&self.folder, self.facts.generation);
        })?;
        let facts = Facts { rows: renumbering.count(), generation, ..self.facts.clone() };
        if let Err(error) = self.database.renumber(&facts, &renumbering) {
            drop(vectors);
            self.reopen()?;
            return Err(error);
        }
        (self.facts, self.vectors) = (facts, vectors);
        self.schedule = Schedule::default();
        generations::remove_others(&self.folder, generation);
        Ok(())
    }
}
