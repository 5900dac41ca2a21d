//! Resizing and normalising images.

use ndarray::{Array4, ArrayView4};

use crate::{
    Area, Detail, Error, Image, Interpolation, PixelSpec, RgbResizer, geometry::Placement,
};

/// Factor by which a scaled-down JPEG must at least exceed the input's size.
///
/// Measured against full decoding, on pictures of 1 to 12 megapixels full of detail, by the cosine of a B-32 tower's embeddings: at
/// least 0.99995 at 2, down to 0.9991 at 1.
const SURPLUS: u32 = 2;

/// An image encoder's input: normalised RGB, f32 `[1, 3, height, width]`. Only a [`Preprocessor`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels(Array4<f32>);

impl Pixels {
    /// The values, `[1, 3, height, width]`.
    #[must_use]
    pub fn view(&self) -> ArrayView4<'_, f32> {
        self.0.view()
    }

    /// No values: stands in for a buffer that is lent out.
    pub(crate) fn empty() -> Self {
        Self(Array4::default((0, 0, 0, 0)))
    }

    /// The values in row-major order, to be overwritten.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        #[expect(clippy::expect_used, reason = "an invariant of Pixels")]
        let values = self.0.as_slice_mut().expect("pixels are in row-major order");
        values
    }

    /// The values, `[1, 3, height, width]`.
    #[must_use]
    pub fn into_array(self) -> Array4<f32> {
        self.0
    }
}

/// For each channel the code of each of the 256 levels, where a model's first layer is of int8.
pub type CodeTable = [[u8; 256]; 3];

/// Resizes, crops and normalises images for one model.
///
/// ```
/// use coca_vision::{Interpolation, Limits, PixelSpec, Preprocessor, Resize};
///
/// let preprocessor = Preprocessor::new(PixelSpec {
///     width: 224,
///     height: 224,
///     mean: [0.48145466, 0.4578275, 0.40821073],
///     std: [0.26862954, 0.26130258, 0.27577711],
///     resize: Resize::Shortest,
///     interpolation: Interpolation::Bicubic,
/// })?;
/// let photo = "../../tests/photos/cat.jpg";
/// let image = coca_vision::open(photo, &Limits::default(), preprocessor.detail())?;
/// assert_eq!(preprocessor.preprocess(&image)?.view().shape(), [1, 3, 224, 224]);
/// # Ok::<(), coca_vision::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Preprocessor {
    spec: PixelSpec,
    /// For each channel the normalised value of each of the 256 levels.
    levels: [[f32; 256]; 3],
}

impl Preprocessor {
    /// A preprocessor for the input that `spec` describes.
    ///
    /// # Errors
    /// [`Error::Spec`] if a value of `spec` is out of range.
    pub fn new(spec: PixelSpec) -> Result<Self, Error> {
        spec.validate()?;
        let levels = std::array::from_fn(|channel| {
            // The operations of torchvision's ToTensor and Normalize, one by one, for the same rounding.
            std::array::from_fn(|level| {
                (level as f32 / 255.0 - spec.mean[channel]) / spec.std[channel]
            })
        });
        Ok(Self { spec, levels })
    }

    /// The description of the model's input.
    #[must_use]
    pub fn spec(&self) -> &PixelSpec {
        &self.spec
    }

    /// For each channel the normalised value of each of the 256 levels.
    #[must_use]
    pub fn levels(&self) -> &[[f32; 256]; 3] {
        &self.levels
    }

    /// The resolution that [`decode`](super::decode) must at least keep for this input.
    #[must_use]
    pub fn detail(&self) -> Detail {
        Detail::AtLeast { width: SURPLUS * self.spec.width, height: SURPLUS * self.spec.height }
    }

    /// Number of values of an input, `3 × height × width`.
    pub(crate) fn values(&self) -> usize {
        3 * self.spec.height as usize * self.spec.width as usize
    }

    /// A normalised black image: a buffer of the shape of an input.
    #[must_use]
    pub fn black(&self) -> Pixels {
        let shape = (1, 3, self.spec.height as usize, self.spec.width as usize);
        Pixels(Array4::from_shape_fn(shape, |(_, channel, ..)| self.levels[channel][0]))
    }

    /// The codes of a black image, `[1, height, width, 3]`: a buffer for the codes of others.
    #[must_use]
    pub fn black_codes(&self, table: &CodeTable) -> Array4<u8> {
        let shape = (1, self.spec.height as usize, self.spec.width as usize, 3);
        Array4::from_shape_fn(shape, |(.., channel)| table[channel][0])
    }

    /// Writes rows of RGB to `codes` `[height, width, 3]`, from the column and row `start` on; what they do not cover becomes
    /// black.
    pub(crate) fn write_codes<'a>(
        &self,
        rows: impl Iterator<Item = impl Iterator<Item = &'a [u8; 3]>>,
        size: (u32, u32),
        start: (u32, u32),
        table: &CodeTable,
        codes: &mut [u8],
    ) {
        let (codes, _) = codes.as_chunks_mut::<3>();
        let [of_red, of_green, of_blue] = table;
        if size != (self.spec.width, self.spec.height) {
            codes.fill([of_red[0], of_green[0], of_blue[0]]);
        }
        let lines = codes.chunks_exact_mut(self.spec.width as usize).skip(start.1 as usize);
        for (codes, row) in lines.zip(rows) {
            for (codes, &[r, g, b]) in codes[start.0 as usize..].iter_mut().zip(row) {
                *codes =
                    [of_red[usize::from(r)], of_green[usize::from(g)], of_blue[usize::from(b)]];
            }
        }
    }

    /// Normalises rows of RGB into `values` `[3, height, width]`, from the column and row `start` on; what they do not
    /// cover becomes black.
    pub(crate) fn write<'a>(
        &self,
        rows: impl Iterator<Item = impl Iterator<Item = &'a [u8; 3]>>,
        size: (u32, u32),
        start: (u32, u32),
        values: &mut [f32],
    ) {
        let [across, down] = [start.0, start.1].map(|start| start as usize);
        let covers = size == (self.spec.width, self.spec.height);
        let plane = self.spec.width as usize * self.spec.height as usize;
        if !covers {
            for (plane, levels) in values.chunks_mut(plane).zip(&self.levels) {
                plane.fill(levels[0]);
            }
        }
        let (red, others) = values.split_at_mut(plane);
        let (green, blue) = others.split_at_mut(plane);
        let [of_red, of_green, of_blue] = &self.levels;
        for (row, line) in rows.enumerate() {
            let first = (down + row) * self.spec.width as usize + across;
            let lines = red[first..].iter_mut().zip(&mut green[first..]).zip(&mut blue[first..]);
            for (((red, green), blue), &[r, g, b]) in lines.zip(line) {
                *red = of_red[usize::from(r)];
                *green = of_green[usize::from(g)];
                *blue = of_blue[usize::from(b)];
            }
        }
    }

    /// Resizes, crops and normalises an image.
    ///
    /// Follows `image_transform` of open_clip 3.3.0: resized in 8 bits with an antialiasing filter, then `(level / 255 - mean) / std`.
    ///
    /// # Errors
    /// [`Error::Empty`] if the image has no pixels.
    pub fn preprocess<'a>(&self, picture: impl Into<Image<'a>>) -> Result<Pixels, Error> {
        let rgb = self.resize(&picture.into())?;
        let (pixels, _) = rgb.as_chunks::<3>();
        let mut values = Vec::with_capacity(rgb.len());
        for (channel, levels) in self.levels.iter().enumerate() {
            values.extend(pixels.iter().map(|pixel| levels[usize::from(pixel[channel])]));
        }
        let shape = (1, 3, self.spec.height as usize, self.spec.width as usize);
        Array4::from_shape_vec(shape, values).map(Pixels).map_err(Error::resize)
    }

    /// Resizes and crops an image as [`Preprocessor::preprocess`] does, to codes `[1, height, width, 3]` of its levels.
    ///
    /// # Errors
    /// [`Error::Empty`] if the image has no pixels.
    pub fn preprocess_codes<'a>(
        &self,
        picture: impl Into<Image<'a>>,
        table: &CodeTable,
    ) -> Result<Array4<u8>, Error> {
        let mut codes = self.resize(&picture.into())?;
        for pixel in codes.as_chunks_mut::<3>().0 {
            for (level, codes) in pixel.iter_mut().zip(table) {
                *level = codes[usize::from(*level)];
            }
        }
        let shape = (1, self.spec.height as usize, self.spec.width as usize, 3);
        Array4::from_shape_vec(shape, codes).map_err(Error::resize)
    }

    /// The image in RGB, resized to the input's size.
    fn resize(&self, picture: &Image) -> Result<Vec<u8>, Error> {
        let (width, height) = picture.size();
        if width == 0 || height == 0 {
            return Err(Error::Empty { width, height });
        }
        let input_size = (self.spec.width, self.spec.height);
        let Placement { across, down } =
            Placement::new(self.spec.resize, picture.size(), input_size);
        let (left, top) = picture.locate((across.from.0, down.from.0));
        let (right, bottom) = picture.locate((across.from.1, down.from.1));
        let interpolation = self.spec.interpolation;
        let radius = match interpolation {
            Interpolation::Bicubic => 2.0,
            Interpolation::Bilinear => 1.0,
        };
        let mut resizer = RgbResizer::default();

        // Rows first, columns second, as Pillow does: each pass rounds to 8 bits and cuts off what overshoots.
        let rgb = picture.rgb();
        let reach = radius * ((bottom - top) / f64::from(down.length)).max(1.0);
        let first = (top - reach).floor().max(0.0);
        let rows = (bottom + reach).ceil().min(f64::from(rgb.height())) - first;
        let size = (across.length, rows as u32);
        let mut narrowed = vec![0; size.0 as usize * size.1 as usize * 3];
        let kept = Area { left, top: first, width: right - left, height: rows };
        let whole = Area { left: 0, top: 0, width: size.0, height: size.1 };
        let source = (rgb.as_raw().as_slice(), rgb.dimensions());
        resizer.resize(interpolation, source, kept, (&mut narrowed, size), whole)?;

        let mut input = vec![0; input_size.0 as usize * input_size.1 as usize * 3];
        let (width, height) = (f64::from(across.length), bottom - top);
        let kept = Area { left: 0.0, top: top - first, width, height };
        let (width, height) = (across.length, down.length);
        let place = Area { left: across.start, top: down.start, width, height };
        resizer.resize(interpolation, (&narrowed, size), kept, (&mut input, input_size), place)?;
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Rgb, RgbImage};
    use serde::Deserialize;

    use super::*;
    use crate::{Limits, Resize, open};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/vision");

    fn spec(width: u32, height: u32) -> PixelSpec {
        PixelSpec {
            width,
            height,
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 0.25, 1.0],
            resize: Resize::Shortest,
            interpolation: Interpolation::Bicubic,
        }
    }

    /// An entry of tests/golden/vision/cases.json.
    #[derive(Deserialize)]
    struct Case {
        picture: String,
        image: PixelSpec,
        pixels: String,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_slice(&std::fs::read(format!("{GOLDEN}/cases.json")).unwrap()).unwrap()
    }

    fn expected(case: &Case) -> Vec<f32> {
        let bytes = std::fs::read(format!("{GOLDEN}/{}", case.pixels)).unwrap();
        bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
    }

    #[test]
    fn pixels_are_those_of_open_clip_within_two_levels() {
        for case in cases() {
            let picture =
                open(format!("{GOLDEN}/{}", case.picture), &Limits::default(), Detail::Full)
                    .unwrap();
            let found = Preprocessor::new(case.image.clone()).unwrap().preprocess(picture).unwrap();
            let expected = expected(&case);
            assert_eq!(found.view().len(), expected.len());
            let plane = expected.len() / 3;
            let levels = |(i, (a, b)): (usize, (&f32, &f32))| {
                (a - b).abs() * case.image.std[i / plane] * 255.0
            };
            let differences: Vec<f32> =
                found.view().iter().zip(&expected).enumerate().map(levels).collect();
            let (worst, sum) =
                differences.iter().fold((0.0_f32, 0.0), |(w, s), d| (w.max(*d), s + d));
            assert!(worst < 2.01, "{}: {worst} levels", case.pixels);
            assert!(sum / (expected.len() as f32) < 0.25, "{}: {sum} levels in all", case.pixels);
        }
    }

    #[test]
    fn levels_are_normalised_to_the_same_bits_as_by_torchvision() {
        for case in cases() {
            let levels = Preprocessor::new(case.image.clone()).unwrap().levels;
            let plane = (case.image.width * case.image.height) as usize;
            for (channel, values) in expected(&case).chunks(plane).enumerate() {
                assert!(
                    values.iter().all(|value| levels[channel].contains(value)),
                    "{}",
                    case.pixels
                );
            }
        }
    }

    #[test]
    fn channels_are_planes_and_levels_are_normalised() {
        let preprocessor = Preprocessor::new(spec(2, 3)).unwrap();
        let pixels =
            preprocessor.preprocess(RgbImage::from_pixel(5, 5, Rgb([255, 0, 51]))).unwrap();
        assert_eq!(pixels.view().shape(), [1, 3, 3, 2]);
        let values: Vec<f32> = pixels.view().iter().copied().collect();
        assert_eq!(values, [[1.0; 6], [-1.0; 6], [0.2; 6]].concat());
    }

    #[test]
    fn longest_pads_with_normalised_black() {
        let preprocessor =
            Preprocessor::new(PixelSpec { resize: Resize::Longest, ..spec(4, 4) }).unwrap();
        let pixels = preprocessor.preprocess(RgbImage::from_pixel(8, 4, Rgb([255; 3]))).unwrap();
        let first_column: Vec<f32> = (0..4).map(|row| pixels.view()[[0, 0, row, 0]]).collect();
        assert_eq!(first_column, [-1.0, 1.0, 1.0, -1.0]);
    }

    #[test]
    fn codes_are_those_of_the_values() {
        let preprocessor =
            Preprocessor::new(PixelSpec { resize: Resize::Longest, ..spec(7, 5) }).unwrap();
        let picture = RgbImage::from_fn(20, 9, |x, y| Rgb([12 * x as u8, 25 * y as u8, 77]));
        let code = |value: f32| (value * 20.0) as i32 as u8;
        let table = preprocessor.levels().map(|levels| levels.map(code));
        let pixels = preprocessor.preprocess(&picture).unwrap();
        let codes = preprocessor.preprocess_codes(&picture, &table).unwrap();
        assert_eq!(codes.dim(), (1, 5, 7, 3));
        for ((_, y, x, channel), &found) in codes.indexed_iter() {
            assert_eq!(found, code(pixels.view()[[0, channel, y, x]]));
        }
    }

    #[test]
    fn borrowed_owned_and_dynamic_pictures_give_the_same_pixels() {
        let preprocessor = Preprocessor::new(spec(4, 4)).unwrap();
        let rgb = RgbImage::from_fn(9, 7, |x, y| Rgb([20 * x as u8, 30 * y as u8, 99]));
        let dynamic = DynamicImage::from(rgb.clone());
        let expected = preprocessor.preprocess(&rgb).unwrap();
        assert_eq!(preprocessor.preprocess(&dynamic).unwrap(), expected);
        assert_eq!(preprocessor.preprocess(Image::from(&rgb)).unwrap(), expected);
        assert_eq!(preprocessor.preprocess(dynamic).unwrap(), expected);
        assert_eq!(preprocessor.preprocess(rgb).unwrap(), expected);
    }

    #[test]
    fn a_picture_without_pixels_is_an_error() {
        let error =
            Preprocessor::new(spec(4, 4)).unwrap().preprocess(RgbImage::new(0, 7)).unwrap_err();
        assert_eq!(error.to_string(), "not a picture: its size is 0×7");
    }
}
