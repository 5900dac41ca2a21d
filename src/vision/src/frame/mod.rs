//! Camera frames to a model's input, or to RGB images for people.
//!
//! ```text
//! bytes ── planes ── resized, cropped ── RGB of the input's size ── turned upright, normalised
//! ```
//!
//! YCbCr frames are resized plane by plane and converted when they are small; JPEG frames are
//! decoded straight to the smallest scale that still covers the model's input. Buffers last from one frame
//! to the next: while the size stays the same, nothing is allocated.

mod format;
mod orientation;
mod planes;
mod scaler;
#[cfg(test)]
mod tests;

use coca_kernels::Cpu;
pub use format::{FrameView, PixelFormat, YuvMatrix};
use image::{Rgb, RgbImage};
pub use orientation::Orientation;
use planes::{Planes, Separator};
use scaler::PlaneScaler;

use super::{CodeTable, Error, Interpolation, Pixels, Preprocessor, geometry::Placement};

/// Preprocesses camera frames for one model.
///
/// ```
/// use coca_vision::{
///     FramePreprocessor, FrameView, Interpolation, Orientation, PixelFormat, PixelSpec, Preprocessor, Resize, YuvMatrix,
/// };
///
/// let preprocessor = Preprocessor::new(PixelSpec {
///     width: 224,
///     height: 224,
///     mean: [0.5; 3],
///     std: [0.5; 3],
///     resize: Resize::Shortest,
///     interpolation: Interpolation::Bilinear,
/// })?;
/// let mut frames = FramePreprocessor::new(preprocessor, Orientation::default());
/// let bytes = vec![128; 640 * 480 * 3 / 2];
/// let frame = FrameView::new(PixelFormat::Yuv420, (640, 480), YuvMatrix::Bt601, &bytes)?;
/// assert_eq!(frames.preprocess(frame)?.view().shape(), [1, 3, 224, 224]);
/// # Ok::<(), coca_vision::Error>(())
/// ```
pub struct FramePreprocessor {
    preprocessor: Preprocessor,
    orientation: Orientation,
    separator: Separator,
    converter: PlaneConverter,
    pixels: Pixels,
}

impl FramePreprocessor {
    /// A preprocessor of frames that are upright after `orientation`.
    #[must_use]
    pub fn new(preprocessor: Preprocessor, orientation: Orientation) -> Self {
        Self {
            orientation,
            separator: Separator::default(),
            converter: PlaneConverter::new(preprocessor.spec().interpolation),
            pixels: preprocessor.black(),
            preprocessor,
        }
    }

    /// Resizes, crops, turns and normalises a frame as [`Preprocessor::preprocess`] does an image, within a few levels.
    ///
    /// # Errors
    /// [`Error::DamagedFrame`] for a JPEG frame that is cut off or garbled.
    pub fn preprocess(&mut self, frame: FrameView) -> Result<&Pixels, Error> {
        let mut pixels = std::mem::replace(&mut self.pixels, Pixels::empty());
        let written = self.preprocess_into(frame, pixels.values_mut());
        self.pixels = pixels;
        written.map(|()| &self.pixels)
    }

    /// Writes the pixels of a frame into `values` `[3, height, width]`, such as the input of a graph: nothing is copied.
    ///
    /// # Errors
    /// [`Error::DamagedFrame`] for a JPEG frame that is cut off or garbled, [`Error::PixelsLength`] for `values` of
    /// another length than the model's input.
    pub fn preprocess_into(&mut self, frame: FrameView, values: &mut [f32]) -> Result<(), Error> {
        self.write(frame, Target::Values(values))
    }

    /// Writes a frame to `codes` `[height, width, 3]` of its levels, for a model that begins with int8 layers: no normalised
    /// pixels lie between.
    ///
    /// # Errors
    /// As [`FramePreprocessor::preprocess_into`].
    pub fn preprocess_codes_into(
        &mut self,
        frame: FrameView,
        table: &CodeTable,
        codes: &mut [u8],
    ) -> Result<(), Error> {
        self.write(frame, Target::Codes(table, codes))
    }

    fn write(&mut self, frame: FrameView, target: Target<'_>) -> Result<(), Error> {
        let (expected, found) = (self.preprocessor.values(), target.len());
        if found != expected {
            return Err(Error::PixelsLength { expected, found });
        }
        let spec = self.preprocessor.spec();
        let input = (spec.width, spec.height);
        let least = self.orientation.size((input.0 as usize, input.1 as usize));
        let planes = self.separator.separate(frame, least)?;
        let camera = planes.size();
        let (width, height) = self.orientation.size(camera);
        let Placement { across, down } =
            Placement::new(spec.resize, (width as u32, height as u32), input);
        let camera = (camera.0 as f64, camera.1 as f64);
        let (columns, rows) = self.orientation.locate((across.from, down.from), camera);
        let part = Part {
            columns: (columns.0 / camera.0, columns.1 / camera.0),
            rows: (rows.0 / camera.1, rows.1 / camera.1),
        };
        let size = self.orientation.size((across.length as usize, down.length as usize));
        let rgb = self.converter.rgb(planes, part, size)?;
        let (rgb, _) = rgb.as_chunks::<3>();
        let lines = (0..down.length as usize).map(|row| self.orientation.row(rgb, size, row));
        let (size, start) = ((across.length, down.length), (across.start, down.start));
        match target {
            Target::Values(values) => self.preprocessor.write(lines, size, start, values),
            Target::Codes(table, codes) => {
                self.preprocessor.write_codes(lines, size, start, table, codes);
            }
        }
        Ok(())
    }
}

/// A buffer that a frame's pixels are written to.
enum Target<'a> {
    /// Normalised values, `[3, height, width]`.
    Values(&'a mut [f32]),
    /// Codes of levels, `[height, width, 3]`.
    Codes(&'a CodeTable, &'a mut [u8]),
}

impl Target<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Codes(_, codes) => codes.len(),
        }
    }
}

/// Converts camera frames to upright RGB images of a bounded width, for people.
pub struct FrameConverter {
    orientation: Orientation,
    max_width: usize,
    separator: Separator,
    converter: PlaneConverter,
}

impl FrameConverter {
    /// A converter of frames that are upright after `orientation`, to at most `max_width` columns, at least 1.
    #[must_use]
    pub fn new(orientation: Orientation, max_width: u32) -> Self {
        Self {
            orientation,
            max_width: max_width.max(1) as usize,
            separator: Separator::default(),
            converter: PlaneConverter::new(Interpolation::Bilinear),
        }
    }

    /// Converts a whole frame.
    ///
    /// # Errors
    /// [`Error::DamagedFrame`] for a JPEG frame that is cut off or garbled.
    pub fn convert(&mut self, frame: FrameView) -> Result<RgbImage, Error> {
        // A JPEG wider than that is better halved than decoded in full and then resized.
        let least = self.orientation.size((self.max_width / 2 + 1, 1));
        let planes = self.separator.separate(frame, least)?;
        let camera = planes.size();
        let (width, height) = self.orientation.size(camera);
        let shown = if width > self.max_width {
            (self.max_width, (height * self.max_width / width).max(1))
        } else {
            (width, height)
        };
        let size = self.orientation.size(shown);
        let rgb = self.converter.rgb(planes, Part::WHOLE, size)?;
        let (rgb, _) = rgb.as_chunks::<3>();
        let mut image = RgbImage::new(shown.0 as u32, shown.1 as u32);
        for (row, pixels) in image.rows_mut().enumerate() {
            pixels
                .zip(self.orientation.row(rgb, size, row))
                .for_each(|(to, from)| *to = Rgb(*from));
        }
        Ok(image)
    }
}

/// A part of a frame, from 0 to 1 on both axes.
#[derive(Clone, Copy)]
struct Part {
    columns: (f64, f64),
    rows: (f64, f64),
}

impl Part {
    const WHOLE: Self = Self { columns: (0.0, 1.0), rows: (0.0, 1.0) };
}

/// Resizes planes and converts them to RGB.
struct PlaneConverter {
    cpu: Cpu,
    luma: PlaneScaler<1>,
    chroma: [PlaneScaler<1>; 2],
    colour: PlaneScaler<3>,
    rgb: Vec<u8>,
}

impl PlaneConverter {
    fn new(interpolation: Interpolation) -> Self {
        let plane = || PlaneScaler::new(interpolation);
        Self {
            cpu: Cpu::best(),
            luma: plane(),
            chroma: [plane(), plane()],
            colour: PlaneScaler::new(interpolation),
            rgb: Vec::new(),
        }
    }

    /// RGB rows of `size`, contiguous, not yet turned.
    fn rgb(&mut self, planes: Planes, part: Part, size: (usize, usize)) -> Result<&[u8], Error> {
        let Part { columns, rows } = part;
        self.rgb.resize(3 * size.0 * size.1, 0);
        match planes {
            Planes::Rgb(plane) => return self.colour.resize(plane.crop(columns, rows), size),
            Planes::Bgr(plane) => {
                let bgr = self.colour.resize(plane.crop(columns, rows), size)?.as_chunks::<3>().0;
                for (rgb, &[b, g, r]) in self.rgb.as_chunks_mut::<3>().0.iter_mut().zip(bgr) {
                    *rgb = [r, g, b];
                }
            }
            Planes::Grey(plane) => {
                let luma = self.luma.resize(plane.crop(columns, rows), size)?;
                for (rgb, grey) in self.rgb.as_chunks_mut::<3>().0.iter_mut().zip(luma) {
                    *rgb = [*grey; 3];
                }
            }
            Planes::Ycbcr { planes: [y, cb, cr], encoding } => {
                let [cb_scaler, cr_scaler] = &mut self.chroma;
                let small = [
                    self.luma.resize(y.crop(columns, rows), size)?,
                    cb_scaler.resize(cb.crop(columns, rows), size)?,
                    cr_scaler.resize(cr.crop(columns, rows), size)?,
                ];
                encoding.write_rgb(self.cpu, small, self.rgb.as_chunks_mut::<3>().0);
            }
        }
        Ok(&self.rgb)
    }
}
