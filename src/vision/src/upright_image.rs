//! Decoded images.

use std::borrow::Cow;

use image::{DynamicImage, RgbImage, Rgba, RgbaImage, metadata::Orientation};

/// An upright RGB image, perhaps scaled down while it was decoded.
///
/// [`decode`](super::decode) makes one from a file, `From` from an [`RgbImage`] or a [`DynamicImage`], borrowed or not. Transparent
/// pixels are laid over black.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    rgb: Cow<'a, RgbImage>,
    full_size: (u32, u32),
    /// Divisor of the full size that gives the size of `rgb`.
    scale: u32,
    /// Origin of the full image in `rgb`: rounding the size up leaves part of a pixel over on one side.
    origin: (f64, f64),
}

impl<'a> Image<'a> {
    /// The pixels; fewer than [`size`](Self::size) says if the image was scaled down while it was decoded.
    #[must_use]
    pub fn rgb(&self) -> &RgbImage {
        &self.rgb
    }

    /// Columns and rows of the full image, upright.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.full_size
    }

    /// Maps a point of the full image to `rgb`, which may hold it scaled down.
    pub(crate) fn locate(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let scale = f64::from(self.scale);
        let (width, height) = self.rgb.dimensions();
        (
            (x / scale + self.origin.0).min(width.into()),
            (y / scale + self.origin.1).min(height.into()),
        )
    }

    /// Turns a stored image upright. `stored` holds `full_size` at 1/`scale`, rounded up.
    pub(crate) fn upright(
        stored: RgbImage,
        full_size: (u32, u32),
        scale: u32,
        orientation: Orientation,
    ) -> Self {
        use Orientation::{
            FlipHorizontal, FlipVertical, Rotate90, Rotate180, Rotate270, Rotate270FlipH,
        };

        let surplus =
            |stored: u32, full: u32| f64::from(stored) - f64::from(full) / f64::from(scale);
        let (right, bottom) =
            (surplus(stored.width(), full_size.0), surplus(stored.height(), full_size.1));
        let mut image = DynamicImage::from(stored);
        image.apply_orientation(orientation);
        Self {
            rgb: Cow::Owned(image.into_rgb8()),
            full_size: if swaps_sides(orientation) {
                (full_size.1, full_size.0)
            } else {
                full_size
            },
            scale,
            origin: match orientation {
                FlipHorizontal => (right, 0.0),
                FlipVertical => (0.0, bottom),
                Rotate180 => (right, bottom),
                Rotate90 => (bottom, 0.0),
                Rotate270 => (0.0, right),
                Rotate270FlipH => (bottom, right),
                _ => (0.0, 0.0),
            },
        }
    }

    fn full(rgb: Cow<'a, RgbImage>) -> Self {
        Self { full_size: rgb.dimensions(), rgb, scale: 1, origin: (0.0, 0.0) }
    }
}

/// Whether turning upright exchanges width and height.
pub(crate) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

impl From<RgbImage> for Image<'_> {
    fn from(image: RgbImage) -> Self {
        Self::full(Cow::Owned(image))
    }
}

impl<'a> From<&'a RgbImage> for Image<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self::full(Cow::Borrowed(image))
    }
}

impl From<DynamicImage> for Image<'_> {
    fn from(image: DynamicImage) -> Self {
        match image {
            DynamicImage::ImageRgb8(rgb) => Self::from(rgb),
            other => Self::from(over_black(&other)),
        }
    }
}

impl<'a> From<&'a DynamicImage> for Image<'a> {
    fn from(image: &'a DynamicImage) -> Self {
        match image {
            DynamicImage::ImageRgb8(rgb) => Self::from(rgb),
            other => Self::from(over_black(other)),
        }
    }
}

impl<'a> From<&'a Image<'_>> for Image<'a> {
    fn from(picture: &'a Image<'_>) -> Self {
        Self { rgb: Cow::Borrowed(&picture.rgb), ..*picture }
    }
}

/// Composes an image over black.
fn over_black(image: &DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageRgba8(rgba) => multiply_by_alpha(rgba),
        image if image.color().has_alpha() => multiply_by_alpha(&image.to_rgba8()),
        opaque => opaque.to_rgb8(),
    }
}

fn multiply_by_alpha(rgba: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let Rgba([r, g, b, alpha]) = *rgba.get_pixel(x, y);
        image::Rgb([r, g, b].map(|value| ((u16::from(value) * u16::from(alpha) + 127) / 255) as u8))
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    use super::*;

    fn first_pixel(image: &DynamicImage) -> [u8; 3] {
        Image::from(image).rgb().get_pixel(0, 0).0
    }

    #[test]
    fn transparent_pixels_are_laid_over_black() {
        let image = |rgba| DynamicImage::from(ImageBuffer::from_pixel(1, 1, Rgba(rgba)));
        assert_eq!(first_pixel(&image([200, 100, 50, 0_u8])), [0, 0, 0]);
        assert_eq!(first_pixel(&image([200, 100, 50, 128])), [100, 50, 25]);
        assert_eq!(first_pixel(&image([200, 100, 50, 255])), [200, 100, 50]);
        let grey = ImageBuffer::from_pixel(1, 1, LumaA([200_u8, 128]));
        assert_eq!(first_pixel(&grey.into()), [100, 100, 100]);
    }

    #[test]
    fn sixteen_bits_and_grey_become_eight_bit_rgb() {
        assert_eq!(
            first_pixel(&ImageBuffer::from_pixel(1, 1, Rgb([0xFFFF_u16, 0x8080, 0])).into()),
            [255, 128, 0]
        );
        assert_eq!(
            first_pixel(&ImageBuffer::from_pixel(1, 1, Luma([0x4040_u16])).into()),
            [64, 64, 64]
        );
    }

    #[test]
    fn a_part_pixel_left_over_by_scaling_stays_at_the_edge_it_was_on() {
        // 9×17 at 1/8 is 2×3 pixels, 7/8 of the last column and row of which lie outside the picture.
        let origin = |exif| {
            let orientation = Orientation::from_exif(exif).unwrap();
            Image::upright(RgbImage::new(2, 3), (9, 17), 8, orientation).origin
        };
        let edge = 0.875;
        assert_eq!([1, 2, 3, 4].map(origin), [(0.0, 0.0), (edge, 0.0), (edge, edge), (0.0, edge)]);
        assert_eq!([5, 6, 7, 8].map(origin), [(0.0, 0.0), (edge, 0.0), (edge, edge), (0.0, edge)]);
    }
}
