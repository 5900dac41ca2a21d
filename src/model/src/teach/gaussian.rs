//! Gaussian discriminant analysis with one covariance for all labels.
//!
//! After Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-Based Adaptation" (ICLR 2024), with two changes for
//! few shots: a label's mean counts an anchor among its shots, and the covariance counts an isotropic one.

use ndarray::{Array1, Array2, ArrayView2};

use super::{Anchors, Shots, cholesky::Cholesky};

/// Shots that the isotropic covariance I / E counts for, that of vectors of length 1 spread evenly: of 100, 400 and 1600, the
/// best for 4 and 16 shots of 100 labels.
const PRIOR_SHOTS: f64 = 100.0;

/// A Gaussian for each label: μ_k, and Σ common to all. The logit of label k is x·Σ⁻¹μ_k - ½ μ_kᵀΣ⁻¹μ_k.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// μ, `[labels, E]`
    means: Array2<f64>,
    /// Σ⁻¹μ, `[labels, E]`
    weights: Array2<f64>,
    /// -½ μᵀΣ⁻¹μ, `[labels]`
    bias: Array1<f64>,
    /// Of the scatter matrix within labels, prior included: Σ times [`Self::degrees`].
    scatter: Cholesky,
    /// Degrees of freedom, prior included.
    degrees: f64,
    anchor_weights: Vec<f64>,
}

impl Gaussian {
    /// Fits means and covariance; labels with neither shots nor anchor get the mean 0.
    #[must_use]
    pub fn fit(shots: &Shots, anchors: &Anchors) -> Self {
        let (counts, sums) = (shots.counts(), shots.sums());
        let means = anchors.means_with(&sums, &counts);
        let own_means = own_means(&sums, &counts);
        let scatter = factorised_scatter(shots, &own_means);
        let degrees = degrees(shots.labels().len(), &counts);
        let mut weights = Array2::zeros(means.raw_dim());
        for (mut weight, mean) in weights.rows_mut().into_iter().zip(means.rows()) {
            weight.assign(&(scatter.solve(mean) * degrees));
        }
        let bias = means.rows().into_iter().zip(weights.rows()).map(|(m, w)| -0.5 * m.dot(&w));
        let bias = bias.collect();
        let anchor_weights = anchors.weights.clone();
        Self { means, weights, bias, scatter, degrees, anchor_weights }
    }

    /// Σ⁻¹μ of each label, `[labels, E]`.
    #[must_use]
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// -½ μᵀΣ⁻¹μ of each label.
    #[must_use]
    pub fn bias(&self) -> &Array1<f64> {
        &self.bias
    }

    /// Logits `[images, labels]` of embeddings `[images, E]`.
    #[must_use]
    pub fn logits(&self, images: ArrayView2<'_, f64>) -> Array2<f64> {
        images.dot(&self.weights.t()) + &self.bias
    }

    /// Logits `[n, labels]` of each of the `shots` that were fitted, under the fit without it. Negative infinity stands
    /// for a label that has nothing left then.
    ///
    /// Leaving out a shot x of label k takes the rank-one matrix n_k/(n_k-1)·vvᵀ, v = x - mean_k, from the scatter,
    /// whose inverse follows by Sherman and Morrison's formula; so this costs little more than the fit itself.
    #[must_use]
    pub fn leave_one_out(&self, shots: &Shots) -> Array2<f64> {
        let (counts, sums) = (shots.counts(), shots.sums());
        let own_means = own_means(&sums, &counts);
        let total = shots.labels().len();
        // Q is the inverse of the scatter.
        let q_means = &self.weights / self.degrees;
        let mut q_own = Array2::zeros(own_means.raw_dim());
        for (mut row, mean) in q_own.rows_mut().into_iter().zip(own_means.rows()) {
            row.assign(&self.scatter.solve(mean));
        }
        let x_q_means = shots.embeddings().dot(&q_means.t());
        let own_q_means = own_means.dot(&q_means.t());
        let mean_q_mean: Vec<f64> =
            self.bias.iter().map(|bias| -2.0 * bias / self.degrees).collect();

        let mut logits = Array2::zeros((total, shots.classes()));
        for (i, (x, k)) in shots.iter().enumerate() {
            let count = counts[k] as f64;
            let mut left = counts.clone();
            left[k] -= 1;
            let degrees = degrees(total - 1, &left);
            let x_q_x = self.scatter.inverse_quadratic(x);
            let x_q_own = x.dot(&q_own.row(k));
            let own_q_own = own_means.row(k).dot(&q_own.row(k));
            let (v_q_x, v_q_v) = (x_q_x - x_q_own, x_q_x - 2.0 * x_q_own + own_q_own);
            // The update's factor; v is zero for a label's only shot.
            let factor = if count > 1.0 {
                let scale = count / (count - 1.0);
                scale / (1.0 - scale * v_q_v)
            } else {
                0.0
            };
            for j in 0..shots.classes() {
                let mut x_q_m = x_q_means[[i, j]];
                let mut v_q_m = x_q_m - own_q_means[[k, j]];
                let mut m_q_m = mean_q_mean[j];
                if j == k {
                    let rest = count - 1.0 + self.anchor_weights[k];
                    if rest <= 0.0 {
                        logits[[i, j]] = f64::NEG_INFINITY;
                        continue;
                    }
                    // The mean without x: μ + (μ - x) / rest.
                    let s = 1.0 / rest;
                    m_q_m =
                        (1.0 + s) * (1.0 + s) * m_q_m - 2.0 * s * (1.0 + s) * x_q_m + s * s * x_q_x;
                    x_q_m = (1.0 + s) * x_q_m - s * x_q_x;
                    v_q_m = (1.0 + s) * v_q_m - s * v_q_x;
                }
                let x_part = x_q_m + factor * v_q_x * v_q_m;
                let m_part = m_q_m + factor * v_q_m * v_q_m;
                logits[[i, j]] = degrees * (x_part - 0.5 * m_part);
            }
        }
        logits
    }

    /// μ of each label, `[labels, E]`.
    #[must_use]
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }
}

/// The mean of each label's shots alone; zero for a label without.
fn own_means(sums: &Array2<f64>, counts: &[usize]) -> Array2<f64> {
    let mut means = sums.clone();
    for (mut mean, &count) in means.rows_mut().into_iter().zip(counts) {
        mean /= count.max(1) as f64;
    }
    means
}

fn degrees(shots: usize, counts: &[usize]) -> f64 {
    let with_shots = counts.iter().filter(|&&count| count > 0).count();
    (shots - with_shots) as f64 + PRIOR_SHOTS
}

/// Σ (x - mean)(x - mean)ᵀ over the shots, and the prior's share.
fn factorised_scatter(shots: &Shots, own_means: &Array2<f64>) -> Cholesky {
    let mut deviations = shots.embeddings().clone();
    for (mut row, &label) in deviations.rows_mut().into_iter().zip(shots.labels()) {
        row -= &own_means.row(label);
    }
    let mut scatter = deviations.t().dot(&deviations);
    let prior = PRIOR_SHOTS / scatter.nrows() as f64;
    scatter.diag_mut().mapv_inplace(|variance| variance + prior);
    #[expect(clippy::expect_used, reason = "a sum of squares and a positive diagonal")]
    Cholesky::factorise(&scatter).expect("a scatter matrix with its prior is positive definite")
}
