//! Everyday names as a scale for cosines.

use ndarray::{Array2, ArrayView1};

/// Text embeddings of everyday names, among which an image's cosine with another text is put into proportion.
///
/// How large cosines are at all differs from image to image far more than between a text that fits and one that
/// does not. Standardised by the image's own cosines with a cohort of texts (speaker verification's T-norm, Auckenthaler
/// et al., 2000), they can be compared with one threshold for all images.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// `[names, E]`, rows of length 1.
    embeddings: Array2<f32>,
}

/// Mean and standard deviation of an image's cosines with a [`Cohort`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineScale {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub deviation: f32,
}

impl CosineScale {
    /// Standard deviations by which `cosine` exceeds the mean.
    #[must_use]
    pub fn z(&self, cosine: f32) -> f32 {
        (cosine - self.mean) / self.deviation
    }
}

impl Cohort {
    pub(super) fn new(embeddings: Array2<f32>) -> Self {
        Self { embeddings }
    }

    /// The scale of the cosines of the image embedding `image` `[E]`.
    pub(super) fn scale(&self, image: ArrayView1<'_, f32>) -> CosineScale {
        let cosines = self.embeddings.dot(&image);
        let count = cosines.len() as f32;
        let mean = cosines.sum() / count;
        let variance = cosines.mapv(|cosine| (cosine - mean).powi(2)).sum() / count;
        CosineScale { mean, deviation: variance.sqrt().max(1e-6) }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, aview1};

    use super::*;

    #[test]
    fn a_cosine_is_measured_in_deviations_from_the_images_own() {
        let cohort = Cohort::new(array![[1.0, 0.0], [0.0, 1.0]]);
        let scale = cohort.scale(aview1(&[0.6, 0.8]));
        assert!((scale.mean - 0.7).abs() < 1e-6 && (scale.deviation - 0.1).abs() < 1e-6);
        assert!((scale.z(0.95) - 2.5).abs() < 1e-4);
    }
}
