//! Rotation and mirroring of camera frames.

/// Rotation and mirroring that make a camera's frames upright. The default changes nothing.
///
/// ```
/// use coca_vision::Orientation;
///
/// let selfie_hung_sideways = Orientation::default().mirrored().rotated(1);
/// assert_ne!(selfie_hung_sideways, Orientation::default().rotated(1).mirrored());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Whether the upright picture's columns are the camera's rows.
    swaps: bool,
    /// Whether the camera's columns run from right to left.
    from_right: bool,
    /// Whether the camera's rows run from bottom to top.
    from_bottom: bool,
}

impl Orientation {
    /// Then exchanges left and right.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        if self.swaps {
            self.from_bottom = !self.from_bottom;
        } else {
            self.from_right = !self.from_right;
        }
        self
    }

    /// Then exchanges top and bottom.
    #[must_use]
    pub fn flipped(self) -> Self {
        self.mirrored().rotated(2)
    }

    /// Then rotates clockwise by `quarters` × 90°.
    #[must_use]
    pub fn rotated(mut self, quarters: u8) -> Self {
        for _ in 0..quarters % 4 {
            if self.swaps {
                self.from_right = !self.from_right;
            } else {
                self.from_bottom = !self.from_bottom;
            }
            self.swaps = !self.swaps;
        }
        self
    }

    /// The upright size of the camera's picture, or the other way round.
    pub(super) fn size<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.swaps { (height, width) } else { (width, height) }
    }

    /// A part of the upright picture, columns and rows, in the camera's picture of `width` × `height` pixels.
    pub(super) fn locate(
        self,
        (columns, rows): ((f64, f64), (f64, f64)),
        (width, height): (f64, f64),
    ) -> ((f64, f64), (f64, f64)) {
        let turned = |(from, to): (f64, f64), side: f64, reversed: bool| {
            if reversed { (side - to, side - from) } else { (from, to) }
        };
        let (columns, rows) = self.size((columns, rows));
        (turned(columns, width, self.from_right), turned(rows, height, self.from_bottom))
    }

    /// The pixels of a row of the upright picture, taken from the camera's picture of `width` × `height` pixels.
    pub(super) fn row<P>(
        self,
        pixels: &[P],
        (width, height): (usize, usize),
        row: usize,
    ) -> impl Iterator<Item = &P> {
        let step = |reversed, length: isize| if reversed { -length } else { length };
        let (across, down) = (step(self.from_right, 1), step(self.from_bottom, width as isize));
        let first = if self.from_right { width - 1 } else { 0 }
            + if self.from_bottom { (height - 1) * width } else { 0 };
        let (across, down) = self.size((across, down));
        let (length, _) = self.size((width, height));
        let first = first as isize + row as isize * down;
        (0..length as isize).map(move |column| &pixels[(first + column * across) as usize])
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_those_of_the_turned_picture(
            width in 1_u32..6, height in 1_u32..6, turns in prop::collection::vec(0_u8..3, 0..6),
        ) {
            let stored = GrayImage::from_fn(width, height, |x, y| Luma([(y * width + x) as u8]));
            let (mut upright, mut orientation) = (DynamicImage::from(stored.clone()), Orientation::default());
            for step in turns {
                (upright, orientation) = match step {
                    0 => (upright.fliph(), orientation.mirrored()),
                    1 => (upright.flipv(), orientation.flipped()),
                    _ => (upright.rotate90(), orientation.rotated(1)),
                };
            }
            let size = (width as usize, height as usize);
            prop_assert_eq!(orientation.size((width, height)), (upright.width(), upright.height()));
            for (y, expected) in upright.into_luma8().rows().enumerate() {
                let found: Vec<u8> = orientation.row(&stored, size, y).copied().collect();
                prop_assert_eq!(found, expected.map(|p| p.0[0]).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_part_is_located_where_its_pixels_are(
            mirror: bool, quarters in 0_u8..4, x in 0_u32..4, y in 0_u32..3,
        ) {
            let orientation = Orientation::default().rotated(quarters);
            let orientation = if mirror { orientation.mirrored() } else { orientation };
            let stored = GrayImage::from_fn(5, 4, |x, y| Luma([(y * 5 + x) as u8]));
            let (x, y) = orientation.size((x, y));
            let expected = orientation.row(&stored, (5, 4), y as usize).nth(x as usize).copied();
            let pixel = |at: u32| (f64::from(at), f64::from(at + 1));
            let ((left, _), (top, _)) = orientation.locate((pixel(x), pixel(y)), (5.0, 4.0));
            prop_assert_eq!(Some(stored.get_pixel(left as u32, top as u32).0[0]), expected);
        }
    }
}
