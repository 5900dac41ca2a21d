//! Leave-one-out against refitting, and what teaching promises.

use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

use super::*;

prop_compose! {
    /// Shots of a few labels, most with several, some with one or none.
    fn shots()(
        classes in 2_usize..5,
        rows in prop::collection::vec((prop::collection::vec(-1.0_f64..1.0, 6), 0_usize..5), 3..16),
    ) -> Shots {
        let labels = rows.iter().map(|(_, label)| label % classes).collect();
        let elements: Vec<f64> = rows.iter().flat_map(|(row, _)| row.clone()).collect();
        let mut embeddings = Array2::from_shape_vec((rows.len(), 6), elements).unwrap();
        for mut row in embeddings.rows_mut() {
            let length = row.dot(&row).sqrt().max(1e-6);
            row /= length;
        }
        Shots::new(embeddings, labels, classes)
    }
}

fn anchors(shots: &Shots, weight: f64) -> Anchors {
    let means =
        Array2::from_shape_fn((shots.classes(), 6), |(k, e)| ((3 * k + e) as f64).sin() / 3.0);
    Anchors { means, weights: vec![weight; shots.classes()] }
}

/// Expected to differ from each other most along the first element.
fn prior() -> Prior {
    let mut prior = Prior::isotropic(6);
    prior.covariance[[0, 0]] *= 3.0;
    prior
}

fn assert_close(found: &Array2<f64>, expected: &Array2<f64>) -> Result<(), TestCaseError> {
    for (f, e) in found.iter().zip(expected) {
        prop_assert!((f - e).abs() < 1e-7 * e.abs().max(1.0) || f == e, "{f} instead of {e}");
    }
    Ok(())
}

/// Logits without shot i, for each i, by fitting anew.
fn refitted(shots: &Shots, logits: impl Fn(&Shots, Array2<f64>) -> Array2<f64>) -> Array2<f64> {
    let mut all = Array2::zeros((shots.labels().len(), shots.classes()));
    for i in 0..shots.labels().len() {
        let x = shots.embeddings().row(i).insert_axis(Axis(0)).to_owned();
        all.row_mut(i).assign(&logits(&shots.without(i), x).row(0));
    }
    all
}

proptest! {
    #[test]
    fn a_gaussian_without_a_shot_is_the_one_fitted_without_it(shots in shots(), weight in 0.5_f64..4.0) {
        let anchors = anchors(&shots, weight);
        let found = Gaussian::fit(&shots, &anchors, &prior()).leave_one_out(&shots);
        let expected = refitted(&shots, |rest, x| Gaussian::fit(rest, &anchors, &prior()).logits(x.view()));
        assert_close(&found, &expected)?;
    }

    #[test]
    fn a_fit_takes_other_anchors_as_if_fitted_with_them(shots in shots(), weight in 0.5_f64..4.0) {
        let anchors = anchors(&shots, weight);
        let expected = Gaussian::fit(&shots, &anchors, &prior());
        let found = Gaussian::fit(&shots, &Anchors::none(&shots), &prior()).with_anchors(&anchors);
        prop_assert_eq!(found.weights(), expected.weights());
        prop_assert_eq!(found.leave_one_out(&shots), expected.leave_one_out(&shots));
    }

    #[test]
    fn without_anchors_a_label_with_nothing_left_is_no_choice(shots in shots()) {
        let anchors = Anchors::none(&shots);
        let found = Gaussian::fit(&shots, &anchors, &prior()).leave_one_out(&shots);
        let mut expected =
            refitted(&shots, |rest, x| Gaussian::fit(rest, &anchors, &prior()).logits(x.view()));
        let counts = shots.counts();
        for (i, &label) in shots.labels().iter().enumerate() {
            if counts[label] == 1 {
                expected[[i, label]] = f64::NEG_INFINITY;
            }
        }
        assert_close(&found, &expected)?;
    }

    #[test]
    fn prototypes_without_a_shot_are_those_computed_without_it(shots in shots(), weight in 0.5_f64..4.0) {
        let anchors = anchors(&shots, weight);
        let found = Prototypes::fit(&shots, &anchors).leave_one_out(&shots);
        let expected = refitted(&shots, |rest, x| Prototypes::fit(rest, &anchors).logits(x.view()));
        assert_close(&found, &expected)?;
    }

    #[test]
    fn a_cache_without_a_shot_is_the_one_made_without_it(shots in shots()) {
        let expected = refitted(&shots, |rest, x| Cache::fit(rest).logits(x.view()));
        assert_close(&Cache::fit(&shots).leave_one_out(), &expected)?;
    }

    #[test]
    fn a_mix_is_never_worse_than_names_alone(
        names in prop::collection::vec(-3.0_f64..3.0, 60),
        pictures in prop::collection::vec(-3.0_f64..3.0, 60),
        labels in prop::collection::vec(0_usize..3, 20),
    ) {
        let names = Array2::from_shape_vec((20, 3), names).unwrap();
        let pictures = Array2::from_shape_vec((20, 3), pictures).unwrap();
        let mix = mix(&names, &pictures, &labels);
        prop_assert!(mix.accuracy >= mix.names, "{mix:?}"); // half a percent of 20 shots is none
        let mixed = accuracy(&(&names + &(&pictures * mix.weight)), &labels);
        prop_assert!((mixed - mix.accuracy).abs() < 1e-12);
    }

    #[test]
    fn calibration_finds_the_factor_that_made_the_logits(factor in 0.1_f64..5.0) {
        // Three outcomes of logits 0, 1 and 2, as often as softmax(factor · logits) says.
        let powers: Vec<f64> = [0.0, 1.0, 2.0].iter().map(|x| (factor * x).exp()).collect();
        let total: f64 = powers.iter().sum();
        let labels: Vec<usize> = (0..3)
            .flat_map(|k| vec![k; (3000.0 * powers[k] / total).round() as usize])
            .collect();
        prop_assume!(labels.iter().any(|&k| k != 2));
        let logits = Array2::from_shape_fn((labels.len(), 3), |(_, k)| k as f64);
        let found = calibrate(&logits, &labels);
        prop_assert!((found / factor - 1.0).abs() < 0.2, "{found} instead of {factor}");
    }
}

#[test]
fn pictures_that_mislead_leave_the_names_alone() {
    let names = array![[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0]];
    let misleading = array![[0.0, 900.0], [0.0, 900.0], [900.0, 0.0], [900.0, 0.0]];
    let mix = mix(&names, &misleading, &[0, 0, 1, 1]);
    assert_eq!((mix.names, mix.accuracy), (1.0, 1.0));
}

#[test]
fn names_and_pictures_that_are_both_overconfident_are_mixed_into_a_likelihood() {
    // Names are right for two shots of three, pictures for three of four, and neither doubts.
    let (names, pictures, labels): (Vec<_>, Vec<_>, Vec<_>) = (0..240)
        .map(|i| {
            let label = i % 2;
            let logit = |right: bool| if right == (label == 1) { [0.0, 20.0] } else { [20.0, 0.0] };
            (logit(i / 2 % 3 > 0), logit(i / 6 % 4 > 0), label)
        })
        .collect();
    let mix = mix(&Array2::from(names), &Array2::from(pictures), &labels);
    assert!((20.0 * mix.scale - 2_f64.ln()).abs() < 0.05, "{mix:?}");
    assert!((20.0 * mix.scale * mix.weight - 3_f64.ln()).abs() < 0.05, "{mix:?}");
}

#[test]
fn the_only_picture_of_a_label_counts_the_more_the_more_names_err() {
    let labels: Vec<usize> = (0..10).collect();
    let pictures = Array2::from_shape_fn((10, 10), |(i, j)| if i == j { 3.0 } else { 0.0 });
    let mix_with_wrong = |wrong: usize| {
        let named = |i: usize| if i < wrong { (i + 1) % 10 } else { i };
        let names = Array2::from_shape_fn((10, 10), |(i, j)| if named(i) == j { 9.0 } else { 0.0 });
        mix(&names, &pictures, &labels)
    };
    let weights = [0, 3, 9].map(|wrong| mix_with_wrong(wrong).weight);
    assert!(weights.is_sorted_by(|a, b| a < b) && weights[0] > 0.0, "{weights:?}");
}

#[test]
fn shots_that_are_all_right_do_not_make_the_next_one_certain() {
    let logits = Array2::from_shape_fn((6, 3), |(i, j)| if i % 3 == j { 1.0 } else { 0.0 });
    let factor = calibrate(&logits, &[0, 1, 2, 0, 1, 2]);
    let share = factor.exp() / (factor.exp() + 2.0);
    assert!((0.85..0.95).contains(&share), "{share}");
}

#[test]
fn frames_of_one_moment_are_found_within_a_label() {
    let row = |angle: f64| [angle.cos(), angle.sin()];
    let rows = [row(0.0), row(0.01), row(0.02), row(1.0), row(0.015)];
    let shots = Shots::new(Array2::from(rows.to_vec()), vec![0, 0, 0, 0, 1], 2);
    assert_eq!(same_moments(&shots, 0.9999), [[0, 1, 2]]);
    assert!(same_moments(&shots, 0.99999).is_empty());
}
