//! Writing an index.

mod compaction;

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
};

use coca_model::{Embedding, bundle::Fingerprint};

use self::compaction::Schedule;
use crate::{
    Error, Picture,
    database::{Change, Database, Facts, View},
    generations,
    location::Location,
    snapshot::Snapshot,
    vectors::VectorWriter,
};

/// File name of the database.
pub(crate) const DATABASE: &str = "index.redb";

/// An index, opened to be written: by one process at a time, while others [read](crate::Index) it.
///
/// Changes are staged and take effect together with [`commit`](Self::commit): embeddings go to the disk first, then one
/// transaction of the database says that they are there. A process that ends in between loses what was staged, and nothing else.
///
/// ```
/// use coca_index::{Index, IndexWriter, Picture, Query};
/// use coca_model::{Embedding, bundle::Fingerprint};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join(".coca");
/// let model = Fingerprint([7; 32]);
/// let embedding = |elements: [f32; 3]| Embedding::from_elements(elements.to_vec(), model).unwrap();
///
/// let mut writer = IndexWriter::open(&path, model, "made up", 3)?;
/// for (name, elements) in [("a.jpg", [1.0, 0.0, 0.2]), ("b.jpg", [0.0, 1.0, 0.0])] {
///     let picture = Picture { path: name.to_owned(), ..Picture::default() };
///     writer.add(picture, &embedding(elements))?;
/// }
/// writer.commit()?;
///
/// let answer = Index::open(&path)?.search(&Query::near(embedding([1.0, 0.0, 0.0])).top_k(1))?;
/// assert_eq!(answer.hits[0].picture.path, "a.jpg");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IndexWriter {
    folder: PathBuf,
    location: Location,
    database: Database,
    facts: Facts,
    vectors: VectorWriter,
    changes: Vec<Change>,
    embeddings: Vec<Embedding>,
    schedule: Schedule,
}

impl IndexWriter {
    /// Opens the index in the folder `path`, made if there is none, for embeddings of `width` elements of the model `model`, whose
    /// name is for messages.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an index of another model, [`Error::Busy`] while another process writes it,
    /// [`Error::NotAFolder`] where a file stands, [`Error::ForeignFiles`] where there is no index but files that are named as its
    /// own would be, [`Error::Damaged`] where a link stands in the place of one of its files, [`Error::Io`] and
    /// [`Error::Database`] when it cannot be written.
    pub fn open(
        path: impl AsRef<Path>,
        model: Fingerprint,
        name: &str,
        width: usize,
    ) -> Result<Self, Error> {
        let folder = path.as_ref().to_path_buf();
        let io_error = |source| Error::Io { path: folder.clone(), source };
        if folder.is_file() {
            return Err(Error::NotAFolder { path: folder });
        }
        fs::create_dir_all(&folder).map_err(io_error)?;
        let location = Location::of(&folder).map_err(io_error)?;
        let path = folder.join(DATABASE);
        if !is_index(&folder).map_err(io_error)? {
            // Another process may make an index here: its database comes first.
            if let Some(name) = generations::find(&folder).map_err(io_error)?
                && !is_index(&folder).map_err(io_error)?
            {
                return Err(Error::ForeignFiles { path: folder, name });
            }
            let model_name = name.to_owned();
            Database::create(&path, &Facts { model, model_name, width, rows: 0, generation: 0 })?;
        }
        let database = Database::open_for_writing(&path)?;
        let facts = database.view()?.facts()?;
        if facts.model != model || facts.width != width {
            return Err(facts.other_model(&folder, model));
        }
        let vectors = VectorWriter::open(&folder, facts.generation, width, facts.rows)?;
        generations::remove_others(&folder, facts.generation);
        let (changes, embeddings, schedule) = (Vec::new(), Vec::new(), Schedule::default());
        Ok(Self { folder, location, database, facts, vectors, changes, embeddings, schedule })
    }

    /// Stages a picture with its embedding. A picture of the same path is replaced.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for another model's embedding.
    pub fn add(&mut self, picture: Picture, embedding: &Embedding) -> Result<(), Error> {
        if embedding.model() != self.facts.model || embedding.as_slice().len() != self.facts.width {
            return Err(self.facts.other_model(&self.folder, embedding.model()));
        }
        self.changes.push(Change::Add(picture));
        self.embeddings.push(embedding.clone());
        Ok(())
    }

    /// Stages another description of the picture in a row.
    pub(crate) fn update(&mut self, row: u64, picture: Picture) {
        self.changes.push(Change::Update(row, picture));
    }

    /// Stages that the picture in a row is gone.
    pub(crate) fn remove(&mut self, row: u64) {
        self.changes.push(Change::Remove(row));
    }

    /// Changes that are staged.
    #[must_use]
    pub fn staged(&self) -> usize {
        self.changes.len()
    }

    /// Makes the staged changes last.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Database`] when the disk is full or fails; the index is then as it was before.
    pub fn commit(&mut self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let (changes, embeddings) = (mem::take(&mut self.changes), mem::take(&mut self.embeddings));
        let embeddings: Vec<&[f32]> = embeddings.iter().map(Embedding::as_slice).collect();
        if let Err(error) = self.vectors.append(&embeddings) {
            self.cut_off()?;
            return Err(error);
        }
        match self.database.apply(&self.facts, &changes) {
            Ok(rows) => self.facts.rows = rows,
            Err(error) => {
                // While a view of it is open, it stays closed: every later change is then refused.
                let _ = self.reopen();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens the index again after its database failed, which alone knows whether the last transaction is on the disk.
    fn reopen(&mut self) -> Result<(), Error> {
        self.database.reopen()?;
        self.cut_off()
    }

    /// Cuts off what the database does not know of, so that the next commit begins at the right row.
    fn cut_off(&mut self) -> Result<(), Error> {
        self.facts = self.view()?.facts()?;
        let Facts { generation, width, rows, .. } = self.facts;
        self.vectors = VectorWriter::open(&self.folder, generation, width, rows)?;
        generations::remove_others(&self.folder, generation);
        Ok(())
    }

    /// The folder of the index.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The contents of the index at this moment, without what is staged.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::open(&self.folder, self.view()?, self.facts.clone())
    }

    pub(crate) fn view(&self) -> Result<View, Error> {
        self.database.view()
    }
}

impl Facts {
    /// The error for an embedding or a query of another `model` than the index's.
    pub(crate) fn other_model(&self, index: &Path, model: Fingerprint) -> Error {
        Error::OtherModel {
            path: index.to_path_buf(),
            name: self.model_name.clone(),
            expected: model,
            found: self.model,
        }
    }
}

/// Whether the folder `path` holds an index.
pub(crate) fn is_index(path: &Path) -> io::Result<bool> {
    path.join(DATABASE).try_exists()
}
