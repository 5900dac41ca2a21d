//! Resizing of RGB images, one way for all: each further kind of source or target would add 0.6 MB of code.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedCroppedImageMut, TypedImage, TypedImageRef},
    pixels::U8x3,
};

use crate::{Error, Interpolation};

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area<T> {
    /// First column.
    pub left: T,
    /// First row.
    pub top: T,
    /// Columns.
    pub width: T,
    /// Rows.
    pub height: T,
}

/// Resizes RGB images in 8 bits with an antialiasing filter; its buffers last from one image to the next.
///
/// ```
/// use coca_vision::{Area, Interpolation, RgbResizer};
///
/// let white = [255; 3 * 8 * 8];
/// let mut canvas = [0; 3 * 4 * 2];
/// let (whole, right) = (
///     Area { left: 0.0, top: 0.0, width: 8.0, height: 8.0 },
///     Area { left: 2, top: 0, width: 2, height: 2 },
/// );
/// let mut resizer = RgbResizer::default();
/// resizer.resize(Interpolation::Bilinear, (&white, (8, 8)), whole, (&mut canvas, (4, 2)), right)?;
/// assert_eq!(canvas[..12], [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
/// # Ok::<(), coca_vision::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RgbResizer(Resizer);

impl RgbResizer {
    /// Resizes the area `kept` of an image, `[height, width, 3]` and its `(width, height)`, to the area `place` of another.
    ///
    /// # Errors
    /// [`Error::Resize`] if an area is not within its image, or an image is not of its size.
    pub fn resize(
        &mut self,
        interpolation: Interpolation,
        (image, (width, height)): (&[u8], (u32, u32)),
        kept: Area<f64>,
        (target, size): (&mut [u8], (u32, u32)),
        place: Area<u32>,
    ) -> Result<(), Error> {
        let filter = match interpolation {
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Bilinear => FilterType::Bilinear,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(
            kept.left,
            kept.top,
            kept.width,
            kept.height,
        );
        let image =
            TypedImageRef::<U8x3>::from_buffer(width, height, image).map_err(Error::resize)?;
        let target =
            TypedImage::<U8x3>::from_buffer(size.0, size.1, target).map_err(Error::resize)?;
        let Area { left, top, width, height } = place;
        let mut target =
            TypedCroppedImageMut::new(target, left, top, width, height).map_err(Error::resize)?;
        self.0.resize_typed(&image, &mut target, &options).map_err(Error::resize)
    }
}
