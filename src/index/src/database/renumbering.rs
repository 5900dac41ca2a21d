//! New rows for all pictures, once the embeddings were written anew without those of pictures that are gone.

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::{CONTENTS, Columns, Database, Facts, HOLES, PATHS, PICTURES, View, write_facts};
use crate::{
    Error,
    rows::{Renumbering, RowSet},
};

// The tables while they are written.
const NEW_PICTURES: TableDefinition<'_, u64, Columns<'_>> = TableDefinition::new("new pictures");
const NEW_PATHS: TableDefinition<'_, &str, u64> = TableDefinition::new("new paths");
const NEW_CONTENTS: TableDefinition<'_, (u128, u64), ()> = TableDefinition::new("new contents");

impl View {
    /// The number of rows of pictures that are gone.
    pub(crate) fn hole_count(&self) -> Result<u64, Error> {
        self.read(|transaction| Ok(transaction.open_table(HOLES)?.len()?))
    }

    /// The rows of pictures, out of `rows`.
    pub(crate) fn picture_rows(&self, rows: usize) -> Result<RowSet, Error> {
        let mut found = RowSet::none(rows);
        let beyond = self.read(|transaction| {
            for entry in transaction.open_table(PICTURES)?.iter()? {
                let row = entry?.0.value();
                match usize::try_from(row).ok().filter(|row| *row < rows) {
                    Some(row) => found.insert(row),
                    None => return Ok(Some(row)),
                }
            }
            Ok(None)
        })?;
        let Some(row) = beyond else { return Ok(found) };
        Err(self.damaged("pictures", &format!("rows below {rows}"), &row.to_string()))
    }
}

impl Database {
    /// Gives every picture its new row and the index new facts, in one transaction. Entries that name no picture are left out.
    ///
    /// Each table is copied in the order of its keys. To change rows in place, every path and content would have to be searched for.
    pub(crate) fn renumber(&self, facts: &Facts, rows: &Renumbering) -> Result<(), Error> {
        self.write(|transaction| {
            renumber_pictures(transaction, rows)?;
            renumber_paths(transaction, rows)?;
            renumber_contents(transaction, rows)?;
            transaction.delete_table(HOLES)?;
            transaction.open_table(HOLES)?;
            write_facts(transaction, facts)
        })
    }
}

fn renumber_pictures(
    transaction: &WriteTransaction,
    rows: &Renumbering,
) -> Result<(), redb::Error> {
    {
        let mut new = transaction.open_table(NEW_PICTURES)?;
        for entry in transaction.open_table(PICTURES)?.iter()? {
            let (row, columns) = entry?;
            if let Some(row) = rows.new_row(row.value()) {
                new.insert(row, columns.value())?;
            }
        }
    }
    transaction.delete_table(PICTURES)?;
    Ok(transaction.rename_table(NEW_PICTURES, PICTURES)?)
}

fn renumber_paths(transaction: &WriteTransaction, rows: &Renumbering) -> Result<(), redb::Error> {
    {
        let mut new = transaction.open_table(NEW_PATHS)?;
        for entry in transaction.open_table(PATHS)?.iter()? {
            let (path, row) = entry?;
            if let Some(row) = rows.new_row(row.value()) {
                new.insert(path.value(), row)?;
            }
        }
    }
    transaction.delete_table(PATHS)?;
    Ok(transaction.rename_table(NEW_PATHS, PATHS)?)
}

fn renumber_contents(
    transaction: &WriteTransaction,
    rows: &Renumbering,
) -> Result<(), redb::Error> {
    {
        let mut new = transaction.open_table(NEW_CONTENTS)?;
        for entry in transaction.open_table(CONTENTS)?.iter()? {
            let (content, row) = entry?.0.value();
            if let Some(row) = rows.new_row(row) {
                new.insert((content, row), ())?;
            }
        }
    }
    transaction.delete_table(CONTENTS)?;
    Ok(transaction.rename_table(NEW_CONTENTS, CONTENTS)?)
}
