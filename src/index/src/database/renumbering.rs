//! New rows for all pictures, once the embeddings were written anew without those of pictures that are gone.

use redb::{Key, ReadableTable, TableDefinition, Value, WriteTransaction};

use super::{CONTENTS, Columns, Database, Facts, HOLES, PATHS, PICTURES, write_facts};
use crate::{Error, rows::Renumbering};

// The tables while they are written.
const NEW_PICTURES: TableDefinition<'_, u64, Columns<'_>> = TableDefinition::new("new pictures");
const NEW_PATHS: TableDefinition<'_, &str, u64> = TableDefinition::new("new paths");
const NEW_CONTENTS: TableDefinition<'_, (u128, u64), ()> = TableDefinition::new("new contents");

impl Database {
    /// Gives every picture its new row and the index new facts, in one transaction. Entries that name no picture are left out.
    ///
    /// Each table is copied in the order of its keys. To change rows in place, every path and content would have to be searched for.
    pub(crate) fn renumber(&self, facts: &Facts, rows: &Renumbering) -> Result<(), Error> {
        self.write(|transaction| {
            let renumber = |row: &mut u64| match rows.new_row(*row) {
                Some(new) => {
                    *row = new;
                    true
                }
                None => false,
            };
            copy(transaction, PICTURES, NEW_PICTURES, |row, _| renumber(row))?;
            copy(transaction, PATHS, NEW_PATHS, |_, row| renumber(row))?;
            copy(transaction, CONTENTS, NEW_CONTENTS, |(_, row), ()| renumber(row))?;
            transaction.delete_table(HOLES)?;
            transaction.open_table(HOLES)?;
            write_facts(transaction, facts)
        })
    }
}

/// Puts the entries that `renumber` keeps, as it changes them, in the place of those of `old`, by way of `new`.
fn copy<K: Key, V: Value>(
    transaction: &WriteTransaction,
    old: TableDefinition<'_, K, V>,
    new: TableDefinition<'_, K, V>,
    renumber: impl Fn(&mut K::SelfType<'_>, &mut V::SelfType<'_>) -> bool,
) -> Result<(), redb::Error> {
    {
        let mut copied = transaction.open_table(new)?;
        for entry in transaction.open_table(old)?.iter()? {
            let (key, value) = entry?;
            let (mut key, mut value) = (key.value(), value.value());
            if renumber(&mut key, &mut value) {
                copied.insert(key, value)?;
            }
        }
    }
    transaction.delete_table(old)?;
    Ok(transaction.rename_table(new, old)?)
}
