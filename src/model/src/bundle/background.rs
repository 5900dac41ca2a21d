//! Mean and covariance of a model's image embeddings over pictures of all kinds.

use half::f16;
use ndarray::{Array1, Array2, Axis};

use super::{Bundle, Error};

/// A file of a bundle: f16, little-endian, `[1 + K, E]`. The first row is the mean, the others are principal axes, each times
/// its standard deviation.
const FILE: &str = "background.bin";

/// Mean and covariance of a model's image embeddings over pictures of all kinds.
///
/// A text's cosine with the mean is its usual one with pictures; pictures of one label differ most in the directions in which
/// all pictures do.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// let bundle = coca_model::Bundle::pocket()?;
/// let background = bundle.load_background()?.expect("the embedded model has them");
/// assert_eq!(background.mean().len(), bundle.config().dimensions.embedding);
/// # }
/// # Ok::<(), coca_model::bundle::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// `[E]`, shorter than 1.
    mean: Array1<f32>,
    /// `[K, E]`
    axes: Array2<f32>,
}

impl Background {
    /// The mean, `[E]`.
    #[must_use]
    pub fn mean(&self) -> &Array1<f32> {
        &self.mean
    }

    /// The covariance, `[E, E]`.
    ///
    /// Embeddings have length 1, so its trace is 1 - |mean|²; what the axes leave of that is spread evenly.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let (mean, axes) = (self.mean.mapv(f64::from), self.axes.mapv(f64::from));
        let mut covariance = axes.t().dot(&axes);
        let rest = 1.0 - mean.dot(&mean) - covariance.diag().sum();
        let each = rest.max(0.0) / mean.len() as f64;
        covariance.diag_mut().mapv_inplace(|variance| variance + each);
        covariance
    }

    /// Reads [`FILE`] for embeddings of `width` elements; the error says what is wrong with it.
    fn parse(bytes: &[u8], width: usize) -> Result<Self, String> {
        let elements: Vec<f32> =
            bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect();
        let row_bytes = 2 * width;
        let rows = bytes.len() / row_bytes;
        if !bytes.len().is_multiple_of(row_bytes) || !(2..=width + 1).contains(&rows) {
            let limit = width + 1;
            return Err(format!(
                "2 to {limit} rows of {row_bytes} bytes, found {} bytes",
                bytes.len()
            ));
        }
        if let Some(wrong) = elements.iter().find(|element| !(-1.0..=1.0).contains(*element)) {
            return Err(format!("elements of -1 to 1, found {wrong}"));
        }
        #[expect(clippy::expect_used, reason = "the length is checked above")]
        let rows = Array2::from_shape_vec((rows, width), elements).expect("whole rows");
        let (mean, axes) = rows.view().split_at(Axis(0), 1);
        let mean = mean.row(0).to_owned();
        let length = mean.dot(&mean).sqrt();
        if length >= 1.0 {
            return Err(format!("a mean shorter than 1, found one of {length}"));
        }
        Ok(Self { mean, axes: axes.to_owned() })
    }
}

impl Bundle {
    /// Loads mean and covariance of image embeddings, if the bundle has them.
    ///
    /// # Errors
    /// When the file is missing, altered or not for embeddings of this model's width.
    pub fn load_background(&self) -> Result<Option<Background>, Error> {
        if !self.config.files.contains_key(FILE) {
            return Ok(None);
        }
        let bytes = self.read(FILE, "comparing with other pictures")?;
        let width = self.config.dimensions.embedding;
        let invalid = |reason| Error::Background { path: self.files.path(FILE), reason };
        Background::parse((*bytes).as_ref(), width).map(Some).map_err(invalid)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn bytes(elements: &[f32]) -> Vec<u8> {
        elements.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
    }

    #[test]
    fn what_the_axes_leave_of_the_variance_is_spread_evenly() {
        let background = Background::parse(&bytes(&[0.5, 0.0, 0.0, 0.5]), 2).unwrap();
        assert_eq!(background.mean(), array![0.5, 0.0]);
        assert_eq!(background.covariance(), array![[0.25, 0.0], [0.0, 0.5]]);
    }

    #[test]
    fn what_cannot_be_statistics_of_embeddings_is_refused() {
        for (elements, expected) in [
            (&[][..], "2 to 3 rows of 4 bytes, found 0 bytes"),
            (&[0.0, 0.0, 0.0], "2 to 3 rows of 4 bytes, found 6 bytes"),
            (&[0.0; 8], "2 to 3 rows of 4 bytes, found 16 bytes"),
            (&[0.0, f32::NAN, 0.0, 0.0], "elements of -1 to 1, found NaN"),
            (&[0.0, 0.0, 2.0, 0.0], "elements of -1 to 1, found 2"),
            (&[0.0, 1.0, 0.0, 0.0], "a mean shorter than 1, found one of 1"),
        ] {
            assert_eq!(Background::parse(&bytes(elements), 2).unwrap_err(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_statistics_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60), width in 1_usize..5) {
            if let Ok(background) = Background::parse(&bytes, width) {
                let covariance = background.covariance();
                prop_assert!(covariance.iter().all(|element| element.is_finite()));
                prop_assert!(covariance.diag().sum() > 0.0);
            }
        }
    }

    #[cfg(feature = "pocket")]
    #[test]
    fn the_embedded_model_knows_what_other_pictures_are_like() {
        let background = Bundle::pocket().unwrap().load_background().unwrap().unwrap();
        let length = background.mean().dot(background.mean()).sqrt();
        assert!((0.2..0.8).contains(&length), "{length}");
    }
}
