//! Nearest prototype.

use ndarray::{Array1, Array2, ArrayView2};

use super::{Anchors, Shots};

/// The normalised mean of each label's shots and anchor; the logit is the cosine with it.
#[derive(Debug, Clone)]
pub struct Prototypes {
    /// `[labels, E]`, rows of length 1
    prototypes: Array2<f64>,
    /// Sums that the prototypes point to, `[labels, E]`.
    sums: Array2<f64>,
}

impl Prototypes {
    /// Computes the prototypes.
    #[must_use]
    pub fn fit(shots: &Shots, anchors: &Anchors) -> Self {
        let sums = anchors.added_to(shots.sums());
        let mut prototypes = sums.clone();
        for mut row in prototypes.rows_mut() {
            row /= length(&row.to_owned()).max(1e-12);
        }
        Self { prototypes, sums }
    }

    /// The prototypes `[labels, E]`, rows of length 1.
    #[must_use]
    pub fn prototypes(&self) -> &Array2<f64> {
        &self.prototypes
    }

    /// Cosines `[images, labels]` of embeddings `[images, E]`.
    #[must_use]
    pub fn logits(&self, images: ArrayView2<'_, f64>) -> Array2<f64> {
        images.dot(&self.prototypes.t())
    }

    /// Cosines `[n, labels]` of each of the `shots` that were fitted, under the fit without it. Negative infinity
    /// stands for a label that has nothing left then.
    #[must_use]
    pub fn leave_one_out(&self, shots: &Shots) -> Array2<f64> {
        let mut logits = self.logits(shots.embeddings().view());
        for (i, (x, k)) in shots.iter().enumerate() {
            let rest = &self.sums.row(k) - &x;
            let length = length(&rest);
            logits[[i, k]] = if length > 1e-9 { x.dot(&rest) / length } else { f64::NEG_INFINITY };
        }
        logits
    }
}

fn length(row: &Array1<f64>) -> f64 {
    row.dot(row).sqrt()
}
