//! The contents of an index at one moment.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use coca_model::Embedding;

use crate::{
    Error,
    database::{Facts, View},
    rows::RowSet,
    vectors::Vectors,
};

/// Facts, embeddings and descriptions of an index at one moment.
pub(crate) struct Snapshot {
    pub(crate) view: View,
    pub(crate) facts: Facts,
    pub(crate) vectors: Vectors,
}

impl Snapshot {
    /// Opens the embeddings that `view` knows of in the index `folder`.
    pub(crate) fn open(folder: &Path, view: View, facts: Facts) -> Result<Self, Error> {
        let vectors = Vectors::open(folder, facts.generation, facts.width, facts.rows)?;
        Ok(Self { view, facts, vectors })
    }

    /// The rows of pictures.
    pub(crate) fn live(&self) -> Result<RowSet, Error> {
        let mut live = RowSet::all(self.vectors.rows());
        self.view.holes()?.into_iter().for_each(|hole| live.remove(hole as usize));
        Ok(live)
    }

    /// The embedding of a file with this content.
    pub(crate) fn embedding_of(&self, content: u128) -> Result<Option<Embedding>, Error> {
        let Some(&row) = self.view.with_content(content)?.first() else { return Ok(None) };
        self.embedding(row).map(Some)
    }

    /// The embedding in a row.
    pub(crate) fn embedding(&self, row: u64) -> Result<Embedding, Error> {
        let mut elements = Vec::new();
        self.vectors.read(row, &mut elements)?;
        Embedding::from_elements(elements, self.facts.model).ok_or_else(|| Error::Damaged {
            path: self.vectors.path().to_path_buf(),
            key: format!("row {row}"),
            expected: "an embedding of length 1".to_owned(),
            found: "something else".to_owned(),
        })
    }
}

/// The snapshot after the newest commit, for threads that read while another commits.
///
/// The database uses no page again that a snapshot may still read: one that is kept through a long run makes the file grow with
/// every commit.
pub(crate) struct NewestSnapshot(Mutex<Arc<Snapshot>>);

impl NewestSnapshot {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(Mutex::new(Arc::new(snapshot)))
    }

    pub(crate) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, snapshot: Snapshot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}
