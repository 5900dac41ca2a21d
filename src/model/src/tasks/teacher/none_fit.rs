//! The threshold between the labels' pictures and those of anything else.

use ndarray::aview1;

use super::fit::Fit;
use crate::{
    tasks::{
        none::NoneRule,
        taught::{NONE, Shot},
    },
    teach::Prototypes,
};

/// A label for everything else, and how well it is told from the others.
pub(super) struct NoneFit {
    pub(super) name: String,
    pub(super) rule: NoneRule,
    /// Share of the pictures of anything else that are recognised as such.
    pub(super) recall: f64,
    /// Share of the labels' pictures that are taken for something else when they are left out.
    pub(super) lost: f64,
}

impl NoneFit {
    /// Measures each picture by its cosine with the nearest prototype: the labels' when it is left out.
    pub(super) fn of(name: &str, fit: &Fit, all_shots: &[Shot]) -> Self {
        let prototypes = Prototypes::fit(&fit.shots, &fit.anchors);
        let left_out = prototypes.leave_one_out(&fit.shots);
        let nearest = |row: ndarray::ArrayView1<'_, f64>| row.fold(-1.0_f64, |a, &b| a.max(b));
        let own: Vec<f64> = left_out.rows().into_iter().map(nearest).collect();
        let others = all_shots.iter().filter(|shot| shot.label == NONE);
        let others: Vec<f64> = others
            .map(|shot| {
                let embedding = aview1(&shot.embedding).mapv(f64::from);
                nearest(prototypes.prototypes().dot(&embedding).view())
            })
            .collect();
        let threshold = threshold(&own, &others);
        let below = |values: &[f64]| {
            values.iter().filter(|&&x| x < threshold).count() as f64 / values.len().max(1) as f64
        };
        Self {
            name: name.to_owned(),
            recall: below(&others),
            lost: below(&own),
            rule: NoneRule::Pictures {
                prototypes: prototypes.prototypes().mapv(|x| x as f32),
                threshold: threshold as f32,
                deviation: deviation(&others) as f32,
            },
        }
    }
}

/// The threshold, halfway between two values, below which the share of `others` exceeds that of `own` the most.
fn threshold(own: &[f64], others: &[f64]) -> f64 {
    let mut values: Vec<(f64, f64)> = own.iter().map(|&x| (x, -1.0 / own.len() as f64)).collect();
    values.extend(others.iter().map(|&x| (x, 1.0 / others.len() as f64)));
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut best, mut balance, mut at) = (0.0, 0.0, f64::NEG_INFINITY);
    for (i, (value, share)) in values.iter().enumerate() {
        balance += share;
        let next = values.get(i + 1).map_or(1.0, |next| next.0);
        if balance > best {
            (best, at) = (balance, f64::midpoint(*value, next));
        }
    }
    at
}

/// At least a little, so that a few pictures that are all alike make no step of the slope.
fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    (variance / values.len().max(1) as f64).sqrt().max(0.02)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_lies_in_the_gap_or_where_the_fewest_are_on_the_wrong_side() {
        assert_eq!(threshold(&[0.8, 0.9], &[0.1, 0.4]), f64::midpoint(0.4, 0.8));
        let overlapping = threshold(&[0.3, 0.7, 0.8, 0.9], &[0.1, 0.2, 0.4, 0.5]);
        assert_eq!(overlapping, f64::midpoint(0.5, 0.7));
    }
}
