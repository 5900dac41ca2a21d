//! The label that stands for everything else.

use ndarray::{Array1, Array2, ArrayView1};

use super::Cohort;

/// Standard deviations by which the best label's cosine must exceed those of the cohort, or `none` wins.
///
/// Chosen on 1,300 photos that the embedded model was not trained on, with four of the everyday names as labels: `none`
/// wins 88 times of 100 where no caption names any of them, and 7 times of 100 where four captions or more name one
/// (`models/train/thresholds.py`; `benches/ask/RESULTS.md` measures it on others).
const THRESHOLD: f32 = 1.75;

/// Nats by which the odds of `none` change with a standard deviation.
const NATS_PER_DEVIATION: f32 = 2.0;

/// A measure of how much an image is any of the labels, and the threshold below which it is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NoneRule {
    /// The best label's cosine, in deviations of the image's cosines with everyday names.
    Names(Cohort),
    /// The cosine with the nearest prototype of the labels' pictures.
    Pictures {
        /// `[labels, E]`, rows of length 1.
        prototypes: Array2<f32>,
        threshold: f32,
        /// Deviation of that cosine among pictures of anything else.
        deviation: f32,
    },
}

impl NoneRule {
    /// The logit of `none` beside `logits`: the best of them, and more by how far the image is from being any label, in
    /// the same units for all images. So `none` wins exactly below the threshold.
    ///
    /// `cosines` are those of the image embedding `image` `[E]` with the labels' names.
    pub(super) fn logit(
        &self,
        image: ArrayView1<'_, f32>,
        cosines: &Array1<f32>,
        logits: &Array1<f32>,
    ) -> f32 {
        let deviations = match self {
            Self::Names(cohort) => THRESHOLD - cohort.scale(image).z(largest(cosines)),
            Self::Pictures { prototypes, threshold, deviation } => {
                (threshold - largest(&prototypes.dot(&image))) / deviation
            }
        };
        largest(logits) + NATS_PER_DEVIATION * deviations
    }
}

fn largest(values: &Array1<f32>) -> f32 {
    values.fold(f32::NEG_INFINITY, |largest, &value| largest.max(value))
}
