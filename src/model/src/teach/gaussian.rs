//! Gaussian discriminant analysis with one covariance for all labels.
//!
//! After Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-Based Adaptation" (ICLR 2024), with three changes for
//! few shots: a label's mean counts an anchor among its shots, the covariance counts an expected one, and means are
//! brought to one length, for the mean of a few shots is the longer the fewer they are.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::{Anchors, Prior, Shots, cholesky::Cholesky};

/// Squared lengths below this are those of no mean at all.
const NO_LENGTH: f64 = 1e-12;

/// A Gaussian for each label: μ_k, and Σ common to all. The logit of label k is x·Σ⁻¹μ_k / √(μ_kᵀΣ⁻¹μ_k): where Σ is the
/// identity, x times the cosine with μ_k.
#[derive(Debug, Clone)]
pub struct Gaussian {
    within: Arc<Within>,
    /// Q·μ, `[labels, E]`, where Q is the inverse of the scatter.
    solved: Array2<f64>,
    /// μᵀQμ, `[labels]`
    squares: Array1<f64>,
    /// The logits' weights, `[labels, E]`.
    weights: Array2<f64>,
    anchor_weights: Vec<f64>,
}

/// The spread of shots around the means of their labels: the part of a fit that anchors do not change.
#[derive(Debug)]
struct Within {
    counts: Vec<usize>,
    sums: Array2<f64>,
    /// The mean of each label's shots alone, `[labels, E]`; zero for a label without.
    means: Array2<f64>,
    /// Of the scatter matrix within labels, prior included: Σ times its degrees of freedom.
    scatter: Cholesky,
    /// Degrees of freedom, prior included.
    degrees: f64,
    /// xᵀQx of each shot, where Q is the inverse of the scatter.
    x_q_x: Vec<f64>,
}

impl Within {
    fn of(shots: &Shots, prior: &Prior) -> Self {
        let (counts, sums) = (shots.counts(), shots.sums());
        let mut means = sums.clone();
        for (mut mean, &count) in means.rows_mut().into_iter().zip(&counts) {
            mean /= count.max(1) as f64;
        }
        let scatter = factorised_scatter(shots, &means, prior);
        let freedom: usize = counts.iter().map(|count| count.saturating_sub(1)).sum();
        let degrees = freedom as f64 + prior.shots;
        let x_q_x = shots.iter().map(|(x, _)| scatter.inverse_quadratic(x)).collect();
        Self { counts, sums, means, scatter, degrees, x_q_x }
    }

    /// Q times each row.
    fn solve(&self, rows: &Array2<f64>) -> Array2<f64> {
        let mut solved = Array2::zeros(rows.raw_dim());
        for (mut to, row) in solved.rows_mut().into_iter().zip(rows.rows()) {
            to.assign(&self.scatter.solve(row));
        }
        solved
    }
}

impl Gaussian {
    /// Fits means and covariance; labels with neither shots nor anchor get the mean 0.
    #[must_use]
    pub fn fit(shots: &Shots, anchors: &Anchors, prior: &Prior) -> Self {
        Self::of(Arc::new(Within::of(shots, prior)), anchors)
    }

    /// The fit of the same shots with other anchors, which costs less than one from the beginning.
    #[must_use]
    pub fn with_anchors(&self, anchors: &Anchors) -> Self {
        Self::of(self.within.clone(), anchors)
    }

    fn of(within: Arc<Within>, anchors: &Anchors) -> Self {
        let means = anchors.means_with(&within.sums, &within.counts);
        let solved = within.solve(&means);
        let squares: Array1<f64> =
            means.rows().into_iter().zip(solved.rows()).map(|(mean, row)| mean.dot(&row)).collect();
        let mut weights = &solved * within.degrees.sqrt();
        for (mut row, &square) in weights.rows_mut().into_iter().zip(&squares) {
            row /= length(square);
        }
        Self { within, solved, squares, weights, anchor_weights: anchors.weights.clone() }
    }

    /// Σ⁻¹μ of each label by its length, `[labels, E]`.
    #[must_use]
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// Logits `[images, labels]` of embeddings `[images, E]`.
    #[must_use]
    pub fn logits(&self, images: ArrayView2<'_, f64>) -> Array2<f64> {
        images.dot(&self.weights.t())
    }

    /// Logits `[n, labels]` of each of the `shots` that were fitted, under the fit without it. Negative infinity stands
    /// for a label that has nothing left then.
    ///
    /// Leaving out a shot x of label k takes the rank-one matrix n_k/(n_k-1)·vvᵀ, v = x - mean_k, from the scatter,
    /// whose inverse follows by Sherman and Morrison's formula; so this costs little more than the fit itself.
    #[must_use]
    pub fn leave_one_out(&self, shots: &Shots) -> Array2<f64> {
        let within = &*self.within;
        let q_own = within.solve(&within.means);
        let x_q_means = shots.embeddings().dot(&self.solved.t());
        let own_q_means = within.means.dot(&self.solved.t());

        let degrees = within.degrees;
        let mut logits = Array2::zeros((shots.labels().len(), shots.classes()));
        for (i, (x, k)) in shots.iter().enumerate() {
            let removal = Removal::of(within, q_own.row(k), i, x, k);
            // A label's only shot takes no freedom with it.
            let degrees = if within.counts[k] > 1 { degrees - 1.0 } else { degrees }.sqrt();
            for j in 0..shots.classes() {
                let mut x_q_m = x_q_means[[i, j]];
                let mut v_q_m = x_q_m - own_q_means[[k, j]];
                let mut m_q_m = self.squares[j];
                if j == k {
                    let rest = within.counts[k] as f64 - 1.0 + self.anchor_weights[k];
                    if rest <= 0.0 {
                        logits[[i, j]] = f64::NEG_INFINITY;
                        continue;
                    }
                    // The mean without x: μ + (μ - x) / rest.
                    let s = 1.0 / rest;
                    let x_q_x = removal.x_q_x;
                    m_q_m =
                        (1.0 + s) * (1.0 + s) * m_q_m - 2.0 * s * (1.0 + s) * x_q_m + s * s * x_q_x;
                    x_q_m = (1.0 + s) * x_q_m - s * x_q_x;
                    v_q_m = (1.0 + s) * v_q_m - s * removal.v_q_x;
                }
                let x_part = x_q_m + removal.factor * removal.v_q_x * v_q_m;
                let m_part = m_q_m + removal.factor * v_q_m * v_q_m;
                logits[[i, j]] = degrees * x_part / length(m_part);
            }
        }
        logits
    }
}

/// The change of the scatter's inverse when a shot is taken out: `factor`·Qv·(Qv)ᵀ is added to Q.
struct Removal {
    x_q_x: f64,
    v_q_x: f64,
    factor: f64,
}

impl Removal {
    /// Of shot `i`, which is `x`, of label `k`; `q_own` is Q times the mean of that label's shots.
    fn of(
        within: &Within,
        q_own: ArrayView1<'_, f64>,
        i: usize,
        x: ArrayView1<'_, f64>,
        k: usize,
    ) -> Self {
        let x_q_x = within.x_q_x[i];
        let (x_q_own, own_q_own) = (x.dot(&q_own), within.means.row(k).dot(&q_own));
        let (v_q_x, v_q_v) = (x_q_x - x_q_own, x_q_x - 2.0 * x_q_own + own_q_own);
        let count = within.counts[k] as f64;
        // v is zero for a label's only shot.
        let factor = if count > 1.0 {
            let scale = count / (count - 1.0);
            scale / (1.0 - scale * v_q_v)
        } else {
            0.0
        };
        Self { x_q_x, v_q_x, factor }
    }
}

fn length(square: f64) -> f64 {
    square.max(NO_LENGTH).sqrt()
}

/// Σ (x - mean)(x - mean)ᵀ over the shots, and the prior's share.
fn factorised_scatter(shots: &Shots, means: &Array2<f64>, prior: &Prior) -> Cholesky {
    let mut deviations = shots.embeddings().clone();
    for (mut row, &label) in deviations.rows_mut().into_iter().zip(shots.labels()) {
        row -= &means.row(label);
    }
    let mut scatter = deviations.t().dot(&deviations);
    scatter.scaled_add(prior.shots, &prior.covariance);
    #[expect(clippy::expect_used, reason = "a sum of squares and a positive definite prior")]
    Cholesky::factorise(&scatter).expect("a scatter matrix with its prior is positive definite")
}
