//! The pictures that a calibration runs on, read anew in every pass but for a few.

use std::path::Path;

use coca_vision::{ImageReader, PixelSpec, Preprocessor, ReadError, Source, sources};
use ndarray::ArrayD;

use super::super::{error::Error, progress::Progress};

/// Pictures that a calibration asks for: with fewer, ranges may not hold for others.
pub const ASKED_PICTURES: usize = 128;
/// Pictures that are taken from a larger folder, at even distances.
const MOST: usize = 256;
/// Pictures that are kept in memory, for passes over single layers.
const KEPT: usize = 32;

/// The pictures of a folder.
pub(super) struct Pictures<'a> {
    folder: &'a Path,
    preprocessor: Preprocessor,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(folder: &'a Path, spec: PixelSpec) -> Result<Self, Error> {
        let preprocessor = Preprocessor::new(spec).map_err(coca_model::Error::from)?;
        Ok(Self { folder, preprocessor })
    }

    fn sources(&self, most: usize) -> Vec<(Source, Option<ReadError>)> {
        let all = sources(&[self.folder.to_owned()]);
        let step = all.len().div_ceil(most).max(1);
        all.into_iter().step_by(step).collect()
    }

    /// Gives every picture `[1, 3, H, W]` to `take`; returns their number.
    pub(super) fn each(
        &self,
        doing: &str,
        progress: &dyn Fn(Progress),
        mut take: impl FnMut(ArrayD<f32>) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        self.some(MOST, |pixels, done, total| {
            progress(Progress { doing, done: done as u64, total: total as u64 });
            take(pixels)
        })
    }

    /// Some of the pictures.
    pub(super) fn kept(&self) -> Result<Vec<ArrayD<f32>>, Error> {
        let mut kept = Vec::new();
        self.some(KEPT, |pixels, _, _| {
            kept.push(pixels);
            Ok(())
        })?;
        Ok(kept)
    }

    fn some(
        &self,
        most: usize,
        mut take: impl FnMut(ArrayD<f32>, usize, usize) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let sources = self.sources(most);
        let total = sources.len();
        let (mut read, mut unreadable) = (0, None);
        let reader = ImageReader::start(sources, self.preprocessor.clone());
        for (done, (_, pixels)) in reader.enumerate() {
            match pixels {
                Ok(pixels) => take(pixels.into_array().into_dyn(), done, total)?,
                // One broken picture among many is no reason to stop; none that can be read is.
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            }
            read += 1;
        }
        match unreadable {
            Some(error) if read == 0 => Err(Error::Picture(error)),
            _ => Ok(read),
        }
    }
}
