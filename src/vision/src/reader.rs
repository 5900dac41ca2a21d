//! Pictures from files, folders and standard input, decoded ahead of the model.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use crate::{Error, Limits, Pixels, Preprocessor, decode};

/// Pictures that may wait, decoded and resized, for the model.
const AHEAD: usize = 4;

/// File name endings of the formats that can be decoded: what counts as a picture in a folder.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input, written `-`.
    Stdin,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// A picture that cannot be read; the sentence names it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or folder cannot be read.
    #[error("{source_name}: {error}")]
    Io {
        /// The source.
        source_name: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The folder holds no picture.
    #[error("{}: no picture in this folder: expected files that end in {}", path.display(), ENDINGS.join(", "))]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The bytes are no picture, or a broken one.
    #[error("{source_name}: {error}")]
    Image {
        /// The source.
        source_name: String,
        /// Why.
        error: Error,
    },
}

/// Expands what a user names: a file, a folder (every picture in it, sorted by name) or `-`.
///
/// Whatever cannot be expanded stays in its place as an error.
#[must_use]
pub fn sources(names: &[PathBuf]) -> Vec<(Source, Option<ReadError>)> {
    names.iter().flat_map(|name| expand(name)).collect()
}

fn expand(name: &Path) -> Vec<(Source, Option<ReadError>)> {
    if name.as_os_str() == "-" {
        return vec![(Source::Stdin, None)];
    }
    let source = Source::File(name.to_path_buf());
    if !name.is_dir() {
        return vec![(source, None)];
    }
    match pictures_in(name) {
        Ok(pictures) if pictures.is_empty() => {
            vec![(source, Some(ReadError::EmptyFolder { path: name.to_path_buf() }))]
        }
        Ok(pictures) => pictures.into_iter().map(|path| (Source::File(path), None)).collect(),
        Err(error) => {
            let source_name = source.to_string();
            vec![(source, Some(ReadError::Io { source_name, error }))]
        }
    }
}

fn pictures_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) && path.is_file() {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// Reads pictures in a thread of its own, a few ahead of the model, and gives them in order.
pub struct ImageReader {
    pictures: Receiver<(Source, Result<Pixels, ReadError>)>,
}

impl ImageReader {
    /// Starts reading; each picture is decoded and made ready for `preprocessor`'s model.
    #[must_use]
    pub fn start(sources: Vec<(Source, Option<ReadError>)>, preprocessor: Preprocessor) -> Self {
        let (sender, pictures) = sync_channel(AHEAD);
        thread::spawn(move || {
            for (source, error) in sources {
                let pixels = match error {
                    Some(error) => Err(error),
                    None => read(&source, &preprocessor),
                };
                if sender.send((source, pixels)).is_err() {
                    return;
                }
            }
        });
        Self { pictures }
    }
}

impl Iterator for ImageReader {
    type Item = (Source, Result<Pixels, ReadError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.pictures.recv().ok()
    }
}

fn read(source: &Source, preprocessor: &Preprocessor) -> Result<Pixels, ReadError> {
    let bytes = match source {
        Source::File(path) => std::fs::read(path),
        Source::Stdin => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    let bytes = bytes.map_err(|error| ReadError::Io { source_name: source.to_string(), error })?;
    decode(&bytes, &Limits::default(), preprocessor.detail())
        .and_then(|picture| preprocessor.preprocess(&picture))
        .map_err(|error| ReadError::Image { source_name: source.to_string(), error })
}
