//! Crops: the part of an image that fills the model's input.

use crate::Resize;

/// A rectangle of the picture and the rectangle of the input that it is resized to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    pub(crate) across: Span,
    pub(crate) down: Span,
}

/// One axis of a [`Placement`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    /// First and last position in the picture, in pixels and parts of pixels.
    pub(crate) from: (f64, f64),
    /// First pixel of the input.
    pub(crate) start: u32,
    /// Pixels of the input.
    pub(crate) length: u32,
}

impl Placement {
    /// Fits a picture of `(width, height)` pixels into an input of `(width, height)` pixels as open_clip's `image_transform` does.
    ///
    /// open_clip resizes the whole picture and then cuts out the centre; resizing only what will be kept gives the same pixels.
    pub(crate) fn new(resize: Resize, picture: (u32, u32), input: (u32, u32)) -> Self {
        let resized = match resize {
            Resize::Squash => (u64::from(input.0), u64::from(input.1)),
            Resize::Shortest if input.0 == input.1 => short_side_to(input.0, picture),
            Resize::Shortest => divided_by(f64::min, picture, input),
            Resize::Longest => divided_by(f64::max, picture, input),
        };
        Self {
            across: Span::new(picture.0, resized.0, input.0),
            down: Span::new(picture.1, resized.1, input.1),
        }
    }
}

/// The size after `torchvision.transforms.Resize(side)`: the long side is rounded down.
fn short_side_to(side: u32, (width, height): (u32, u32)) -> (u64, u64) {
    let [side, width, height] = [side, width, height].map(u64::from);
    if width <= height { (side, side * height / width) } else { (side * width / height, side) }
}

/// The size after open_clip's `ResizeKeepRatio`: both sides are divided by the one or the other axis's ratio and rounded.
fn divided_by(choose: fn(f64, f64) -> f64, picture: (u32, u32), input: (u32, u32)) -> (u64, u64) {
    let [picture, input] =
        [picture, input].map(|(width, height)| (f64::from(width), f64::from(height)));
    let ratio = choose(picture.1 / input.1, picture.0 / input.0);
    let resize = |side: f64| (side / ratio).round_ties_even().max(1.0) as u64;
    (resize(picture.0), resize(picture.1))
}

impl Span {
    /// `picture` pixels become `resized` ones, of which the centre `input` ones are kept, or which are centred in `input`.
    fn new(picture: u32, resized: u64, input: u32) -> Self {
        let Some(surplus) = resized.checked_sub(u64::from(input)) else {
            let length = resized as u32;
            return Self { from: (0.0, f64::from(picture)), start: (input - length) / 2, length };
        };
        let scale = f64::from(picture) / resized as f64;
        let first = half_to_even(surplus);
        let from = (
            first as f64 * scale,
            ((first + u64::from(input)) as f64 * scale).min(f64::from(picture)),
        );
        Self { from, start: 0, length: input }
    }
}

/// Half of a number, a half rounded to the even neighbour: Python's `round(n / 2)`.
fn half_to_even(n: u64) -> u64 {
    n / 2 + u64::from(n % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The input's first and last pixel, and the picture's positions.
    fn kept(resize: Resize, picture: (u32, u32), input: (u32, u32)) -> [(f64, f64); 2] {
        let Placement { across, down } = Placement::new(resize, picture, input);
        assert_eq!(
            (across.start, down.start, across.length, down.length),
            (0, 0, input.0, input.1)
        );
        [across.from, down.from]
    }

    #[test]
    fn half_of_an_odd_number_is_rounded_to_even() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn shortest_keeps_the_centre_square() {
        assert_eq!(kept(Resize::Shortest, (448, 448), (224, 224)), [(0.0, 448.0), (0.0, 448.0)]);
        // 300×200 becomes 6×4; one column goes on either side.
        assert_eq!(kept(Resize::Shortest, (300, 200), (4, 4)), [(50.0, 250.0), (0.0, 200.0)]);
        assert_eq!(kept(Resize::Shortest, (200, 300), (4, 4)), [(0.0, 200.0), (50.0, 250.0)]);
    }

    #[test]
    fn shortest_rounds_the_long_side_down_and_the_offset_to_even() {
        // 7 × 4 / 4 = 7 columns, 3 too many: the offset 1.5 is rounded to 2.
        assert_eq!(kept(Resize::Shortest, (7, 4), (4, 4))[0], (2.0, 6.0));
        // 5 × 4 / 4 = 5 columns, 1 too many: the offset 0.5 is rounded to 0.
        assert_eq!(kept(Resize::Shortest, (5, 4), (4, 4))[0], (0.0, 4.0));
        // 11 × 4 / 6 = 7.33, so 7 columns of 11/7 pixels each.
        assert_eq!(
            kept(Resize::Shortest, (11, 6), (4, 4))[0],
            (2.0 * (11.0 / 7.0), 6.0 * (11.0 / 7.0))
        );
    }

    #[test]
    fn shortest_covers_an_input_that_is_not_square() {
        assert_eq!(kept(Resize::Shortest, (400, 400), (8, 4)), [(0.0, 400.0), (100.0, 300.0)]);
    }

    #[test]
    fn longest_centres_the_whole_picture() {
        let Placement { across, down } = Placement::new(Resize::Longest, (400, 300), (8, 8));
        assert_eq!(across, Span { from: (0.0, 400.0), start: 0, length: 8 });
        assert_eq!(down, Span { from: (0.0, 300.0), start: 1, length: 6 });
        // The odd row of padding goes below.
        assert_eq!(Placement::new(Resize::Longest, (400, 250), (8, 8)).down.start, 1);
    }

    #[test]
    fn squash_uses_the_whole_picture() {
        assert_eq!(kept(Resize::Squash, (17, 300), (8, 4)), [(0.0, 17.0), (0.0, 300.0)]);
    }

    #[test]
    fn the_thinnest_pictures_keep_at_least_a_sliver() {
        let [across, down] = kept(Resize::Shortest, (1, 65_535), (224, 224));
        assert_eq!(across, (0.0, 1.0));
        assert!((down.1 - down.0 - 1.0).abs() < 1e-9);
        assert_eq!(Placement::new(Resize::Longest, (1, 65_535), (224, 224)).across.length, 1);
    }
}
