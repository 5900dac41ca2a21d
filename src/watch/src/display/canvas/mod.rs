//! A picture in memory on which a view is drawn.

mod overlay;

use std::convert::Infallible;

use coca_vision::{Area, Interpolation, RgbResizer};
use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions, OriginDimensions, Point, Size},
    pixelcolor::{Rgb888, RgbColor},
    primitives::Rectangle,
};
use image::RgbImage;

use super::View;

/// A picture in memory, RGB, on which embedded-graphics draws.
///
/// ```
/// use coca_watch::{TrackedLabel, display::{Canvas, View}};
///
/// let mut canvas = Canvas::new(240, 240);
/// canvas.paint(&View {
///     labels: vec![TrackedLabel { label: "Eichhörnchen".into(), score: 0.9, active: true }],
///     ..View::default()
/// });
/// assert_eq!(canvas.rgb().len(), 240 * 240 * 3);
/// ```
#[derive(Debug)]
pub struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    resizer: RgbResizer,
}

impl Canvas {
    /// A black canvas of `width` × `height` pixels.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        let rgb = vec![0; width as usize * height as usize * 3];
        Self { width, height, rgb, resizer: RgbResizer::default() }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row, three bytes each: red, green, blue.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Draws `view`: its picture as large as it fits, and labels, caption and status over it.
    pub fn paint(&mut self, view: &View) {
        self.rgb.fill(0);
        if let Some(picture) = &view.picture {
            self.fit(picture);
        }
        overlay::draw(view, self);
    }

    /// Draws `picture` in the middle, as large as it fits without a change of its proportions.
    fn fit(&mut self, picture: &RgbImage) {
        let Some(place) = fitted(picture.dimensions(), (self.width, self.height)) else { return };
        let (width, height) = picture.dimensions();
        let whole =
            Area { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
        let place = Area {
            left: place.top_left.x as u32,
            top: place.top_left.y as u32,
            width: place.size.width,
            height: place.size.height,
        };
        let source = (picture.as_raw().as_slice(), (width, height));
        let target = (self.rgb.as_mut_slice(), (self.width, self.height));
        if let Err(error) =
            self.resizer.resize(Interpolation::Bilinear, source, whole, target, place)
        {
            log::warn!("a picture could not be drawn: {error}");
        }
    }

    /// Darkens `area`, so that light text on it can be read whatever lies beneath.
    fn shade(&mut self, area: Rectangle) {
        for row in self.rows(area) {
            for value in &mut self.rgb[row] {
                *value /= 4;
            }
        }
    }

    /// Copies everything onto another display of embedded-graphics, in that display's colours.
    ///
    /// # Errors
    /// The error of `target`.
    pub fn draw_on<D>(&self, target: &mut D) -> Result<(), D::Error>
    where
        D: DrawTarget,
        D::Color: From<Rgb888>,
    {
        let colours = self.rgb.chunks_exact(3).map(|c| Rgb888::new(c[0], c[1], c[2]).into());
        target.fill_contiguous(&self.bounding_box(), colours)
    }

    /// Ranges of `rgb` with the rows of `area`, as far as it is on the canvas.
    fn rows(&self, area: Rectangle) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let area = area.intersection(&self.bounding_box());
        let (stride, left) = (self.width as usize * 3, area.top_left.x as usize * 3);
        let length = area.size.width as usize * 3;
        area.rows().map(move |y| {
            let start = y as usize * stride + left;
            start..start + length
        })
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, colour) in pixels {
            self.fill_solid(&Rectangle::new(point, Size::new(1, 1)), colour)?;
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        for row in self.rows(*area) {
            for pixel in self.rgb[row].chunks_exact_mut(3) {
                pixel.copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

/// Place of `picture` on `canvas` (width, height each); `None` if one of them has no pixels.
fn fitted(picture: (u32, u32), canvas: (u32, u32)) -> Option<Rectangle> {
    if [picture.0, picture.1, canvas.0, canvas.1].contains(&0) {
        return None;
    }
    let (width, height) = (u64::from(picture.0), u64::from(picture.1));
    let (most_wide, most_high) = (u64::from(canvas.0), u64::from(canvas.1));
    let (wide, high) = if width * most_high > height * most_wide {
        (most_wide, (height * most_wide / width).max(1))
    } else {
        ((width * most_high / height).max(1), most_high)
    };
    let corner = Point::new(((most_wide - wide) / 2) as i32, ((most_high - high) / 2) as i32);
    Some(Rectangle::new(corner, Size::new(wide as u32, high as u32)))
}

#[cfg(test)]
mod tests {
    use embedded_graphics::{mock_display::MockDisplay, pixelcolor::Rgb565};
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_picture_is_fitted_between_black_bars() {
        let mut canvas = Canvas::new(8, 6);
        canvas.fit(&RgbImage::from_pixel(80, 20, Rgb([255, 0, 0])));
        let mut display = MockDisplay::<Rgb888>::new();
        canvas.draw_on(&mut display).unwrap();
        display.assert_pattern(&[
            "KKKKKKKK", //
            "KKKKKKKK", //
            "RRRRRRRR", //
            "RRRRRRRR", //
            "KKKKKKKK", //
            "KKKKKKKK", //
        ]);
    }

    #[test]
    fn another_display_gets_the_canvas_in_its_own_colours() {
        let mut canvas = Canvas::new(2, 1);
        canvas.fill_solid(&Rectangle::new(Point::zero(), Size::new(1, 1)), Rgb888::GREEN).unwrap();
        let mut display = MockDisplay::<Rgb565>::new();
        canvas.draw_on(&mut display).unwrap();
        display.assert_pattern(&["GK"]);
    }

    proptest! {
        #[test]
        fn a_fitted_picture_touches_two_edges_and_crosses_none(
            picture in (1u32..5000, 1u32..5000), canvas in (1u32..4000, 1u32..4000)
        ) {
            let place = fitted(picture, canvas).unwrap();
            let inside = Rectangle::new(Point::zero(), Size::new(canvas.0, canvas.1));
            prop_assert_eq!(place.intersection(&inside), place);
            prop_assert!(place.size.width == canvas.0 || place.size.height == canvas.1);
        }
    }
}
