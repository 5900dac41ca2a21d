//! The pictures that a calibration runs on, read anew in every pass.

use std::path::Path;

use coca_vision::{ImageReader, PixelSpec, Preprocessor, sources};
use ndarray::ArrayD;

use super::error::Error;

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

    /// Gives pictures `[1, 3, H, W]` to `take`, at most `max` of them, from a larger folder at even distances, each with
    /// its position and their number. Returns how many could be read.
    pub(super) fn each(
        &self,
        max: usize,
        mut take: impl FnMut(ArrayD<f32>, usize, usize) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let all = sources(&[self.folder.to_owned()]);
        let step = all.len().div_ceil(max).max(1);
        let chosen: Vec<_> = all.into_iter().step_by(step).collect();
        let total = chosen.len();
        let (mut read, mut unreadable) = (0, None);
        let reader = ImageReader::start(chosen, self.preprocessor.clone());
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
