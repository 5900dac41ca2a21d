//! Pictures in files, shown over and over as if a camera saw them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use coca_vision::{self as vision, Detail, Limits, PixelFormat, Source, sources};

use super::{
    Error, Frame,
    source::{FrameSource, Pace, Read},
};

/// Large photos are decoded no larger than a camera's frames.
const DETAIL: Detail = Detail::AtLeast { width: 960, height: 720 };

/// A folder or a file.
pub(super) struct Folder {
    path: PathBuf,
    pictures: Vec<PathBuf>,
    next: usize,
    /// Pictures that could not be read since the last one that could.
    unreadable: usize,
    pace: Pace,
}

impl Folder {
    /// The pictures in the folder `path`, sorted by name: 5 a second unless stated otherwise.
    pub(super) fn open(path: &Path, fps: Option<f32>) -> Result<Self, Error> {
        std::fs::read_dir(path).map_err(Error::io(path.display()))?;
        let mut folder = Self::new(path, fps);
        folder.list();
        if folder.pictures.is_empty() {
            return Err(Error::NoPictures { path: path.to_owned() });
        }
        Ok(folder)
    }

    pub(super) fn open_file(path: &Path, fps: Option<f32>) -> Result<Self, Error> {
        std::fs::File::open(path).map_err(Error::io(path.display()))?;
        vision::open(path, &Limits::default(), DETAIL)
            .map_err(|error| Error::Picture { path: path.to_owned(), error })?;
        let mut file = Self::new(path, fps);
        file.list();
        Ok(file)
    }

    fn new(path: &Path, fps: Option<f32>) -> Self {
        let pace = Pace::new(fps.unwrap_or(5.0));
        Self { path: path.to_owned(), pictures: Vec::new(), next: 0, unreadable: 0, pace }
    }

    /// Lists the folder anew, for what came and went since.
    fn list(&mut self) {
        let found = sources(std::slice::from_ref(&self.path));
        self.pictures.clear();
        self.pictures.extend(found.into_iter().filter_map(|source| match source {
            (Source::File(path), None) => Some(path),
            _ => None,
        }));
        self.next = 0;
    }
}

impl FrameSource for Folder {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        self.pace.wait();
        loop {
            if self.next >= self.pictures.len() {
                self.list();
            }
            if self.unreadable > self.pictures.len() || self.pictures.is_empty() {
                return Err(Error::NoPictures { path: self.path.clone() });
            }
            let path = &self.pictures[self.next];
            self.next += 1;
            let picture = match vision::open(path, &Limits::default(), DETAIL) {
                Ok(picture) => picture,
                Err(error) => {
                    log::warn!("{}: {error}", path.display());
                    self.unreadable += 1;
                    continue;
                }
            };
            self.unreadable = 0;
            let rgb = picture.rgb();
            frame.format = PixelFormat::Rgb;
            frame.size = rgb.dimensions();
            frame.bytes.clear();
            frame.bytes.extend_from_slice(rgb);
            frame.stamp();
            return Ok(Read::Frame);
        }
    }

    fn interval(&self) -> Duration {
        self.pace.interval()
    }
}
