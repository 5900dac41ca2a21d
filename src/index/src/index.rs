//! Reading an index.

use std::path::{Path, PathBuf};

use coca_kernels::{Cpu, Pool};
use coca_model::{Coca, Embedding, bundle::Fingerprint};
use coca_vision::{Limits, decode, read_file};

use crate::{
    Error, Picture, Subject, Term,
    content::content_of,
    database::{Database, Facts},
    location::Location,
    snapshot::Snapshot,
    writer::{DATABASE, is_index},
};

/// The most attempts of a search, which begins anew because the index was compacted in between.
const ATTEMPTS: usize = 5;

/// An index, opened to be searched. Another process may write it meanwhile: each search sees the last commit.
///
/// See [`IndexWriter`](crate::IndexWriter) for an example.
pub struct Index {
    folder: PathBuf,
    location: Location,
    database: Database,
    pub(crate) cpu: Cpu,
    pub(crate) pool: Option<Pool>,
}

impl Index {
    /// Opens the index in the folder `path`.
    ///
    /// # Errors
    /// [`Error::NotAnIndex`] where there is none, [`Error::Interrupted`] when its last writer was interrupted and the disk is
    /// read-only, [`Error::Database`] when it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = path.as_ref().to_path_buf();
        let io_error = |source| Error::Io { path: folder.clone(), source };
        if !is_index(&folder).map_err(io_error)? {
            return Err(Error::NotAnIndex { path: folder });
        }
        let location = Location::of(&folder).map_err(io_error)?;
        let database = Database::open(&folder.join(DATABASE))?;
        let index = Self { folder, location, database, cpu: Cpu::best(), pool: None };
        index.database.view()?.facts()?;
        Ok(index)
    }

    /// Searches with so many threads, one by default.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to start them.
    pub fn with_threads(mut self, threads: usize) -> Result<Self, Error> {
        let started = (threads > 1).then(|| Pool::start(threads)).transpose();
        self.pool = started.map_err(|source| Error::Io { path: self.folder.clone(), source })?;
        Ok(self)
    }

    /// The folder of the index.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The model whose embeddings it holds.
    ///
    /// # Errors
    /// [`Error::Database`] when the disk fails.
    pub fn model(&self) -> Result<Fingerprint, Error> {
        Ok(self.database.view()?.facts()?.model)
    }

    /// The pictures, in the order that they were added.
    ///
    /// # Errors
    /// [`Error::Database`] when the disk fails.
    pub fn pictures(&self) -> Result<Vec<Picture>, Error> {
        let mut pictures = Vec::new();
        self.database.view()?.for_each(|_, picture| pictures.push(picture))?;
        Ok(pictures)
    }

    /// Where a picture of the index is.
    #[must_use]
    pub fn file(&self, picture: &Picture) -> PathBuf {
        self.location.file(&picture.path)
    }

    /// The weighted sum of the terms of a query, and the contents of the pictures among them.
    ///
    /// A picture that the index holds is not encoded: its embedding is there.
    ///
    /// # Errors
    /// [`Error::Model`] when a text cannot be encoded, [`Error::Picture`] for a file that is no picture, [`Error::Query`] when
    /// terms cancel each other out, [`Error::OtherModel`] if `coca` is not the model of the index.
    pub fn embed(&self, coca: &Coca, terms: &[Term]) -> Result<(Embedding, Vec<u128>), Error> {
        let snapshot = self.snapshot()?;
        self.require_model(&snapshot.facts, coca.bundle().fingerprint())?;
        let (mut parts, mut contents) = (Vec::new(), Vec::new());
        for Term { weight, subject } in terms {
            let embedding = match subject {
                Subject::Text(text) => coca.encode_text(text)?,
                Subject::File(path) => {
                    let limits = Limits::of_process(1);
                    let bytes = read_file(path, &limits).map_err(picture_error(path))?;
                    let content = content_of(&bytes);
                    contents.push(content);
                    match snapshot.embedding_of(content)? {
                        Some(embedding) => embedding,
                        None => encode(coca, path, &bytes, &limits)?,
                    }
                }
            };
            parts.push((*weight, embedding));
        }
        let query = format!("{} terms", terms.len());
        let reason = "the terms cancel each other out";
        let sum = Embedding::weighted_sum(&parts).ok_or(Error::Query { query, reason })?;
        Ok((sum, contents))
    }

    pub(crate) fn require_model(&self, facts: &Facts, model: Fingerprint) -> Result<(), Error> {
        if facts.model == model { Ok(()) } else { Err(facts.other_model(&self.folder, model)) }
    }

    /// Its contents at this moment.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let view = self.database.view()?;
            let facts = view.facts()?;
            match Snapshot::open(&self.folder, view, facts) {
                Err(Error::Io { .. }) if attempts < ATTEMPTS => {}
                snapshot => return snapshot,
            }
        }
    }
}

/// Encodes a picture that the index does not hold.
fn encode(coca: &Coca, path: &Path, bytes: &[u8], limits: &Limits) -> Result<Embedding, Error> {
    let image = decode(bytes, limits, coca.preprocessor().detail()).map_err(picture_error(path))?;
    Ok(coca.encode_image(image)?.embedding().clone())
}

fn picture_error(path: &Path) -> impl Fn(coca_vision::Error) -> Error + '_ {
    |error| match error {
        coca_vision::Error::Read(source) => Error::Io { path: path.to_path_buf(), source },
        source => Error::Picture { path: path.to_path_buf(), source },
    }
}
