//! From a file to what the index should hold of it.

use std::{
    fs::{self, Metadata},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::UNIX_EPOCH,
};

use coca_model::{CaptionOptions, Coca, Embedding, EncodedImage};
use coca_vision::{Limits, ReadError, Source, decode, read_file};

use super::{
    IndexOptions, exif_data,
    walk::{Entry, FoundFile},
};
use crate::{Error, Picture, content::content_of, location::Location, snapshot::NewestSnapshot};

/// The least share of a label that a picture is given.
const MIN_SHARE: f32 = 0.25;

/// The fate of a file.
pub(super) enum Outcome {
    /// The index knows it as it is.
    Unchanged,
    /// A new or changed picture.
    Encoded(Picture, Embedding),
    /// A picture whose old file, in this row, is gone.
    Moved(u64, Picture, Embedding),
    /// Another file of a known content.
    Copied(Picture, Embedding),
    /// The picture of this row, of which something else is known.
    Described { row: u64, picture: Picture, encoded: bool },
    /// It cannot be read.
    Failed(ReadError),
}

/// Works on files, on any number of threads.
pub(super) struct Worker<'a> {
    pub(super) coca: &'a Coca,
    pub(super) options: &'a IndexOptions,
    /// The index before the run, or after the newest commit: rows stay what they are.
    pub(super) newest: &'a NewestSnapshot,
    pub(super) location: &'a Location,
    /// Those of one of the threads.
    pub(super) limits: Limits,
}

impl Worker<'_> {
    /// Finds out what the index should hold of a file.
    pub(super) fn work(&self, entry: Entry) -> Result<Outcome, Error> {
        let outcome = match entry {
            Err(error) => Err(Stop::Unreadable(error)),
            // One picture that a decoder trips over does not end the work on all others.
            Ok(file) => catch_unwind(AssertUnwindSafe(|| self.look_at(&file)))
                .unwrap_or_else(|_| Err(Stop::Unreadable(panicked(&file)))),
        };
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Unreadable(error)) => Ok(Outcome::Failed(error)),
            Err(Stop::Fatal(error)) => Err(error),
        }
    }

    fn look_at(&self, file: &FoundFile) -> Result<Outcome, Stop> {
        let input = || Source::File(file.shown.clone());
        let io_error = |source| ReadError::Io { input: input(), source };
        let path = self.location.stored(&file.real).ok_or_else(|| {
            io_error(io::Error::new(io::ErrorKind::InvalidData, "its name is no UTF-8"))
        })?;
        let metadata = fs::metadata(&file.real).map_err(io_error)?;
        let (size, modified) = (metadata.len(), modified(&metadata));

        let known = self.newest.get().view.at_path(&path)?;
        if let Some((row, known)) = &known
            && (known.size, known.modified) == (size, modified)
            && !self.lacks_caption(known)
        {
            return self.label_again(*row, known);
        }
        let (limits, failed) = (&self.limits, |error| ReadError::of(input(), error));
        let bytes = read_file(&file.real, limits).map_err(failed)?;
        let content = content_of(&bytes);
        let here =
            |picture: &Picture| Picture { path: path.clone(), size, modified, ..picture.clone() };
        if let Some(outcome) = self.recognise(content, &path, here)? {
            return Ok(outcome);
        }
        let image = decode(&bytes, limits, self.coca.preprocessor().detail()).map_err(failed)?;
        let exif = exif_data::read(&bytes);
        drop(bytes);
        let encoded = self.coca.encode_image(image)?;
        let picture = Picture {
            path,
            size,
            modified,
            taken: exif.taken,
            content,
            camera: exif.camera,
            labels: self.labels_of(encoded.embedding())?.unwrap_or_default(),
            caption: self.caption_of(&encoded)?,
        };
        match known {
            Some((row, known)) if known.content == content => {
                Ok(Outcome::Described { row, picture, encoded: true })
            }
            _ => Ok(Outcome::Encoded(picture, encoded.embedding().clone())),
        }
    }

    /// The outcome of a known content; `None` if it is new, or its caption is missing.
    fn recognise(
        &self,
        content: u128,
        path: &str,
        here: impl Fn(&Picture) -> Picture,
    ) -> Result<Option<Outcome>, Stop> {
        let mut copy = None;
        for row in self.newest.get().view.with_content(content)? {
            let Some(known) = self.newest.get().view.picture(row)? else { continue };
            if self.lacks_caption(&known) {
                continue;
            }
            let picture = self.labelled(row, here(&known))?;
            if known.path == path {
                return Ok(Some(Outcome::Described { row, picture, encoded: false }));
            }
            let embedding = self.newest.get().embedding(row)?;
            if matches!(self.location.real_file(&known.path).try_exists(), Ok(false)) {
                return Ok(Some(Outcome::Moved(row, picture, embedding)));
            }
            copy = Some(Outcome::Copied(picture, embedding));
        }
        Ok(copy)
    }

    fn lacks_caption(&self, known: &Picture) -> bool {
        self.options.captions && known.caption.is_none()
    }

    fn label_again(&self, row: u64, known: &Picture) -> Result<Outcome, Stop> {
        let picture = self.labelled(row, known.clone())?;
        Ok(match picture.labels == known.labels {
            true => Outcome::Unchanged,
            false => Outcome::Described { row, picture, encoded: false },
        })
    }

    /// The picture of a row with the labels that this run asks for.
    fn labelled(&self, row: u64, picture: Picture) -> Result<Picture, Stop> {
        if self.options.labels.is_none() {
            return Ok(picture);
        }
        let labels = self.labels_of(&self.newest.get().embedding(row)?)?;
        Ok(Picture { labels: labels.unwrap_or_default(), ..picture })
    }

    fn labels_of(&self, embedding: &Embedding) -> Result<Option<Vec<String>>, Error> {
        let Some(labels) = &self.options.labels else { return Ok(None) };
        // Shares add up to 1.
        let best = labels.classify(embedding, (1.0 / MIN_SHARE) as usize)?;
        let fitting = best.into_iter().filter(|label| label.score >= MIN_SHARE);
        Ok(Some(fitting.map(|label| label.label).collect()))
    }

    fn caption_of(&self, encoded: &EncodedImage) -> Result<Option<String>, Error> {
        if !self.options.captions {
            return Ok(None);
        }
        Ok(Some(self.coca.caption(encoded, &CaptionOptions::default())?.text))
    }
}

fn panicked(file: &FoundFile) -> ReadError {
    let source = io::Error::other("a decoder panicked: please report this picture");
    ReadError::Io { input: Source::File(file.shown.clone()), source }
}

/// Why there is no outcome.
enum Stop {
    /// This file alone.
    Unreadable(ReadError),
    /// All of them.
    Fatal(Error),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl From<coca_model::Error> for Stop {
    fn from(error: coca_model::Error) -> Self {
        Self::Fatal(error.into())
    }
}

/// When a file was last written, in nanoseconds since 1970; 0 where the system does not say.
fn modified(metadata: &Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}
