//! Views of an image: mirrored and enlarged.

use coca_vision::Pixels;
use ndarray::{Array4, ArrayView4};

use super::{Coca, Embedding, Error};

/// Share of the sides that the views of a pair show, by their number, and where they lie: 0 at the left or top, 1 at the
/// right or bottom.
const CROPS: [(f32, f32, f32); 8] = [
    (1.0, 0.0, 0.0),
    (0.85, 0.5, 0.5),
    (0.85, 0.0, 0.0),
    (0.85, 1.0, 1.0),
    (0.7, 0.5, 0.5),
    (0.85, 1.0, 0.0),
    (0.85, 0.0, 1.0),
    (0.7, 0.5, 0.0),
];

impl Coca {
    /// The normalised mean of the embeddings of `views` views of an image: the image itself, mirrored, and parts of it,
    /// enlarged.
    ///
    /// # Errors
    /// [`Error::Model`] when the image encoder cannot be loaded.
    pub fn embed_views(&self, pixels: Pixels, views: usize) -> Result<Embedding, Error> {
        let whole = pixels.into_array();
        let mut sum = vec![0.0; self.bundle.config().dimensions.embedding];
        for number in 0..views.max(1) {
            let image = self.encode_input(view(whole.view(), number).into())?;
            for (sum, element) in sum.iter_mut().zip(image.embedding.as_slice()) {
                *sum += element;
            }
        }
        let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        sum.iter_mut().for_each(|x| *x /= length);
        Ok(Embedding::new(sum, self.bundle.fingerprint()))
    }
}

/// View `number` of pixels `[1, 3, H, W]`: every other one mirrored; bilinear where enlarged.
fn view(whole: ArrayView4<'_, f32>, number: usize) -> Array4<f32> {
    let (_, _, height, width) = whole.dim();
    let (size, left, top) = CROPS[number / 2 % CROPS.len()];
    let is_mirrored = number % 2 == 1;
    let source = |at: usize, length: usize, offset: f32| {
        let position = (at as f32 + 0.5) * size - 0.5 + offset * (1.0 - size) * length as f32;
        let position = position.clamp(0.0, (length - 1) as f32);
        let first = position as usize;
        (first, (first + 1).min(length - 1), position - first as f32)
    };
    Array4::from_shape_fn(whole.raw_dim(), |(n, c, y, x)| {
        let x = if is_mirrored { width - 1 - x } else { x };
        let ((y0, y1, down), (x0, x1, right)) = (source(y, height, top), source(x, width, left));
        let row = |y: usize| {
            let (a, b) = (whole[[n, c, y, x0]], whole[[n, c, y, x1]]);
            a + (b - a) * right
        };
        let (above, below) = (row(y0), row(y1));
        above + (below - above) * down
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_view_is_the_image_and_the_second_its_mirror_image() {
        let whole =
            Array4::from_shape_fn((1, 3, 5, 4), |(_, c, y, x)| (c * 100 + y * 10 + x) as f32);
        assert_eq!(view(whole.view(), 0), whole);
        let mirrored = view(whole.view(), 1);
        assert_eq!(mirrored[[0, 1, 2, 0]], whole[[0, 1, 2, 3]]);
        for number in 2..20 {
            let (least, most) = (0.0, 243.0);
            assert!(view(whole.view(), number).iter().all(|&x| (least..=most).contains(&x)));
        }
    }
}
