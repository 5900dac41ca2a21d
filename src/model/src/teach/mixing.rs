//! The weight of pictures beside names, chosen by leave-one-out.

use ndarray::{Array2, ArrayView1};

/// The largest share of shots that a mix may label worse than names alone. Below it, the difference says nothing.
const TOLERANCE: f64 = 0.005;

/// Factor between the weights that are tried.
const STEP: f64 = 0.8;

/// Weights smaller than this share of the calibrated one are none at all.
const SMALLEST: f64 = 1e-3;

/// Combination of names and pictures, and the accuracy of either by leave-one-out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The factor of the pictures' logits, which are added to the names'; 0 leaves the names alone.
    pub weight: f64,
    /// Share of shots that names alone label right.
    pub names: f64,
    /// Share of shots that the mix labels right when they are left out.
    pub accuracy: f64,
}

/// Mixes the logits that names give the shots, `[n, labels]`, with those of pictures by leave-one-out.
///
/// Starts from the weight that makes the pictures' logits likelihoods ([`calibrate`]), and lowers it until the mix
/// labels no more than half a percent of the shots worse than names alone. If no weight does, names stand alone: the
/// result is never worse than they are by more than that.
#[must_use]
pub fn mix(names: &Array2<f64>, pictures: &Array2<f64>, labels: &[usize]) -> Mix {
    let names_alone = accuracy(names, labels);
    let calibrated = calibrate(pictures, labels);
    let mut weight = calibrated;
    while weight > calibrated * SMALLEST {
        let accuracy = accuracy(&(names + &(pictures * weight)), labels);
        if accuracy >= names_alone - TOLERANCE {
            return Mix { weight, names: names_alone, accuracy };
        }
        weight *= STEP;
    }
    Mix { weight: 0.0, names: names_alone, accuracy: names_alone }
}

/// Share of rows of `logits` `[n, labels]` whose largest is that of their label.
#[must_use]
pub fn accuracy(logits: &Array2<f64>, labels: &[usize]) -> f64 {
    let right = logits.rows().into_iter().zip(labels).filter(|(row, label)| best(*row) == **label);
    right.count() as f64 / labels.len().max(1) as f64
}

/// The index of the largest logit.
pub(crate) fn best(logits: ArrayView1<'_, f64>) -> usize {
    let larger = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, larger)
}

/// The factor w of the logits `[n, labels]` for which softmax(w · logits) gives the labels the largest likelihood.
///
/// The negative log-likelihood is convex in w, so its derivative is bisected. Shots whose label has nothing left are
/// not counted.
#[must_use]
pub fn calibrate(logits: &Array2<f64>, labels: &[usize]) -> f64 {
    const ROUNDS: usize = 30;
    let (mut low, mut high) = (1e-4_f64.ln(), 1e3_f64.ln());
    for _ in 0..ROUNDS {
        let middle = f64::midpoint(low, high);
        if slope(logits, labels, middle.exp()) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    low.exp()
}

/// The derivative of the negative log-likelihood with respect to the factor `w`.
fn slope(logits: &Array2<f64>, labels: &[usize], w: f64) -> f64 {
    let rows = logits.rows().into_iter().zip(labels);
    rows.filter(|(row, label)| row[**label].is_finite())
        .map(|(row, &label)| {
            let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let (mut total, mut weighted) = (0.0, 0.0);
            for &logit in row.iter().filter(|logit| logit.is_finite()) {
                let power = (w * (logit - largest)).exp();
                total += power;
                weighted += power * logit;
            }
            weighted / total - row[label]
        })
        .sum()
}
