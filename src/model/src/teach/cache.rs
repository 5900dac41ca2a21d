//! Tip-Adapter's cache of shots.

use ndarray::{Array2, ArrayView2};

use super::Shots;

/// The shots themselves; the logit of label k is Σ exp(-β (1 - x·shot)) over its shots.
///
/// Zhang et al., "Tip-Adapter" (ECCV 2022), without training.
#[derive(Debug, Clone)]
pub struct Cache {
    shots: Shots,
}

impl Cache {
    /// Sharpness of the kernel: the start of the authors' search on most data sets.
    pub const BETA: f64 = 5.5;

    /// Keeps the shots.
    #[must_use]
    pub fn fit(shots: &Shots) -> Self {
        Self { shots: shots.clone() }
    }

    /// Logits `[images, labels]` of embeddings `[images, E]`.
    #[must_use]
    pub fn logits(&self, images: ArrayView2<'_, f64>) -> Array2<f64> {
        self.sums(&self.affinities(images))
    }

    /// Logits `[n, labels]` of each shot, without its own share.
    #[must_use]
    pub fn leave_one_out(&self) -> Array2<f64> {
        let mut affinities = self.affinities(self.shots.embeddings().view());
        affinities.diag_mut().fill(0.0);
        self.sums(&affinities)
    }

    /// `[images, shots]`
    fn affinities(&self, images: ArrayView2<'_, f64>) -> Array2<f64> {
        let cosines = images.dot(&self.shots.embeddings().t());
        cosines.mapv_into(|cosine| (-Self::BETA * (1.0 - cosine)).exp())
    }

    fn sums(&self, affinities: &Array2<f64>) -> Array2<f64> {
        let mut logits = Array2::zeros((affinities.nrows(), self.shots.classes()));
        for (shot, &label) in self.shots.labels().iter().enumerate() {
            let mut column = logits.column_mut(label);
            column += &affinities.column(shot);
        }
        logits
    }
}
