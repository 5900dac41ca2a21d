//! The weight of pictures beside names, chosen by leave-one-out.

use ndarray::{Array2, ArrayView1, Axis};

use super::likelihood::{calibrate, likeliest};

/// The largest share of shots that a mix may label worse than names alone. Below it, the difference says nothing.
const TOLERANCE: f64 = 0.005;

/// Factor between the weights that are tried.
const STEP: f64 = 0.8;

/// Weights smaller than this share of the likeliest one are none at all.
const SMALLEST: f64 = 1e-3;

/// Share of names' errors times this is the weight of pictures, in units of the calibrated one, where each label has one.
const ONE_SHOT: f64 = 3.0;

/// The least factor of the names' logits.
const LEAST_SCALE: f64 = 0.02;

/// Combination of names and pictures, and the accuracy of either by leave-one-out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The factor of the pictures' logits, which are added to the names'; 0 leaves the names alone.
    pub weight: f64,
    /// The factor of the sum that makes it a likelihood.
    pub scale: f64,
    /// Share of shots that names alone label right.
    pub names: f64,
    /// Share of shots that the mix labels right when they are left out.
    pub accuracy: f64,
}

/// Mixes the logits that names give the shots, `[n, labels]`, with those of pictures by leave-one-out.
///
/// Takes the factors of both that make the labels of left-out shots the likeliest, and lowers the pictures' until the
/// mix labels no more than half a percent of the shots worse than names alone. If none does, names stand alone: the
/// result is never worse than they are by more than that.
///
/// A label's only shot leaves nothing behind that could be judged. Such shots do not choose the weight, and where there are
/// no others, pictures count the more the more often names are wrong, and the accuracy is that of the names.
#[must_use]
pub fn mix(names: &Array2<f64>, pictures: &Array2<f64>, labels: &[usize]) -> Mix {
    let names_alone = accuracy(names, labels);
    let judged = with_others_of_their_label(labels);
    if judged.is_empty() {
        let (shots, wrong) = (labels.len() as f64, (1.0 - names_alone) * labels.len() as f64);
        // Laplace's estimate: no share of errors is known to be 0.
        let wrong = (wrong + 1.0) / (shots + 2.0);
        let weight = ONE_SHOT * wrong * calibrate(pictures, labels);
        return Mix { weight, scale: 1.0, names: names_alone, accuracy: names_alone };
    }
    let kept: Vec<usize> = judged.iter().map(|&shot| labels[shot]).collect();
    let rows = |logits: &Array2<f64>| logits.select(Axis(0), &judged);
    let (of_names, of_pictures) = likeliest(&rows(names), &rows(pictures), &kept);
    let scale = of_names.max(LEAST_SCALE);
    let mut weight = of_pictures.max(0.0) / scale;
    let smallest = weight * SMALLEST;
    while weight > smallest {
        let accuracy = accuracy(&(names + &(pictures * weight)), labels);
        if accuracy >= names_alone - TOLERANCE {
            return Mix { weight, scale, names: names_alone, accuracy };
        }
        weight *= STEP;
    }
    Mix { weight: 0.0, scale: 1.0, names: names_alone, accuracy: names_alone }
}

/// The shots whose label has several.
fn with_others_of_their_label(labels: &[usize]) -> Vec<usize> {
    let mut counts = vec![0_usize; labels.iter().max().map_or(0, |&last| last + 1)];
    for &label in labels {
        counts[label] += 1;
    }
    (0..labels.len()).filter(|&shot| counts[labels[shot]] > 1).collect()
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
