//! Reading the metadata of an index.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use coca_model::bundle::Fingerprint;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::{CONTENTS, FACTS, FORMAT, Facts, HOLES, PATHS, PICTURES, failed, guarded, picture};
use crate::{Error, Picture, rows::RowSet};

/// Most elements of an embedding, and most rows: a quarter of a billion pictures.
const MAX_WIDTH: u64 = 1 << 16;
const MAX_ROWS: u64 = 1 << 28;

/// The contents of a database at one moment.
pub(crate) struct View {
    path: PathBuf,
    transaction: ReadTransaction,
}

impl View {
    pub(super) fn new(path: &Path, transaction: ReadTransaction) -> Self {
        Self { path: path.to_path_buf(), transaction }
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        guarded(&self.path, || work(&self.transaction).map_err(failed(&self.path)))
    }

    pub(crate) fn facts(&self) -> Result<Facts, Error> {
        guarded(&self.path, || self.read_facts())
    }

    fn read_facts(&self) -> Result<Facts, Error> {
        let table = match self.transaction.open_table(FACTS) {
            Err(redb::TableError::TableDoesNotExist(_)) => {
                return Err(self.damaged("format", FORMAT, ""));
            }
            table => table.map_err(failed(&self.path))?,
        };
        let text = |key: &str| -> Result<String, Error> {
            let value = table.get(key).map_err(failed(&self.path))?;
            let value = value.map(|value| value.value().to_owned());
            value.ok_or_else(|| self.damaged(key, "an entry", ""))
        };
        let number = |key: &str, max: u64| {
            let text = text(key)?;
            let number = text.parse().ok().filter(|number| *number <= max);
            number.ok_or_else(|| self.damaged(key, &format!("a number up to {max}"), &text))
        };
        let format = text("format")?;
        if format != FORMAT {
            return Err(self.damaged("format", FORMAT, &format));
        }
        let model = text("model")?;
        Ok(Facts {
            model: fingerprint(&model)
                .ok_or_else(|| self.damaged("model", "64 hexadecimal digits", &model))?,
            model_name: text("model_name")?,
            width: number("width", MAX_WIDTH)? as usize,
            rows: number("rows", MAX_ROWS)?,
            generation: number("generation", u64::MAX)?,
        })
    }

    fn damaged(&self, key: &str, expected: &str, found: &str) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: format!("{found:?}"),
        }
    }

    /// The picture of a row; `None` if it is gone.
    pub(crate) fn picture(&self, row: u64) -> Result<Option<Picture>, Error> {
        self.read(|transaction| {
            Ok(transaction.open_table(PICTURES)?.get(row)?.map(|found| picture(&found)))
        })
    }

    /// The picture at a path, and its row.
    pub(crate) fn at_path(&self, path: &str) -> Result<Option<(u64, Picture)>, Error> {
        let row = self.read(|transaction| {
            Ok(transaction.open_table(PATHS)?.get(path)?.map(|row| row.value()))
        })?;
        let Some(row) = row else { return Ok(None) };
        Ok(self.picture(row)?.map(|picture| (row, picture)))
    }

    /// The rows of files with this content.
    pub(crate) fn with_content(&self, content: u128) -> Result<Vec<u64>, Error> {
        self.read(|transaction| {
            let table = transaction.open_table(CONTENTS)?;
            let entries = table.range((content, 0)..=(content, u64::MAX))?;
            let rows: Result<Vec<_>, _> =
                entries.map(|entry| entry.map(|(key, _)| key.value().1)).collect();
            Ok(rows?)
        })
    }

    /// Calls `visit` with every picture and its row, in the order of rows.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u64, Picture)) -> Result<(), Error> {
        self.read(|transaction| {
            for entry in transaction.open_table(PICTURES)?.iter()? {
                let (row, columns) = entry?;
                visit(row.value(), picture(&columns));
            }
            Ok(())
        })
    }

    /// The rows of pictures that are gone.
    pub(crate) fn holes(&self) -> Result<BTreeSet<u64>, Error> {
        self.read(|transaction| {
            let table = transaction.open_table(HOLES)?;
            let rows: Result<BTreeSet<u64>, _> =
                table.iter()?.map(|entry| entry.map(|(row, _)| row.value())).collect();
            Ok(rows?)
        })
    }

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

fn fingerprint(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Fingerprint(bytes))
}
