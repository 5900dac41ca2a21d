//! SmoothQuant (Xiao et al. 2022): channels far larger than the others would take all the steps of a row's scale.
//!
//! A norm's output is divided by a factor for each channel, and the rows of the weights behind it are multiplied by
//! it: the product stays, and outliers move into the weights, which have a scale for each output.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};

use super::{
    super::{decibels::Noise, error::Error, plan::Plan},
    Layers,
    groups::Group,
    noise,
};

/// Migration strengths to try: at 0 an outlier stays, at 1 all of it moves.
const STRENGTHS: [f32; 5] = [0.3, 0.4, 0.5, 0.6, 0.7];
/// Rows that each strength is tried on.
const TRIED_ROWS: usize = 128;
/// Share of its layers' noise that smoothing a norm must remove.
const WORTHWHILE: f64 = 0.05;

/// The factors with which the layers of a group are least noisy; `None` if none is worthwhile.
pub(super) fn best_factors(
    group: &Group,
    layers: &Layers,
    plan: &Plan,
) -> Result<Option<Arc<[f32]>>, Error> {
    let samples: Vec<ArrayView2<f32>> = group
        .inputs
        .iter()
        .filter_map(|input| layers.samples.get(input))
        .map(|samples| samples.rows())
        .collect();
    // Norms of one group whose rows differ in width have no factors in common, and neither have those that never ran.
    let Ok(rows) = ndarray::concatenate(Axis(0), &samples) else { return Ok(None) };
    let step = rows.nrows().div_ceil(TRIED_ROWS).max(1);
    let tried = rows.slice_axis(Axis(0), Slice::new(0, None, step.cast_signed()));
    let weights: Vec<Array2<f32>> =
        group.layers.iter().map(|id| layers.matrix(id, plan)).collect::<Result<_, _>>()?;
    if weights.iter().any(|weight| weight.nrows() != rows.ncols()) || rows.is_empty() {
        return Ok(None);
    }
    let rows_largest = largest(rows.view(), Axis(0));
    let mut weights_largest = Array1::zeros(rows.ncols());
    for weight in &weights {
        let more = largest(weight.view(), Axis(1));
        weights_largest.zip_mut_with(&more, |a: &mut f32, &b| *a = a.max(b));
    }
    let plain = noise_with(tried, &weights, None);
    let best = STRENGTHS
        .map(|strength| factors(&rows_largest, &weights_largest, strength))
        .into_iter()
        .map(|factors| (noise_with(tried, &weights, Some(&factors)).noise, factors))
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(best
        .filter(|(noise, _)| *noise < plain.noise * (1.0 - WORTHWHILE))
        .map(|(_, factors)| Arc::from(factors)))
}

/// `rows[k]^strength / weights[k]^(1 - strength)` for each channel k, with a geometric mean of 1.
fn factors(rows: &Array1<f32>, weights: &Array1<f32>, strength: f32) -> Vec<f32> {
    let logarithms: Vec<f32> = rows
        .iter()
        .zip(weights)
        .map(|(&row, &weight)| match row > 0.0 && weight > 0.0 {
            true => strength * row.ln() - (1.0 - strength) * weight.ln(),
            false => f32::NAN,
        })
        .collect();
    let known: Vec<f32> = logarithms.iter().copied().filter(|l| l.is_finite()).collect();
    let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
    // A channel that is always zero, or that no layer reads, has nothing to move.
    let factor = |l: f32| if l.is_finite() { (l - mean).exp().clamp(1e-3, 1e3) } else { 1.0 };
    logarithms.into_iter().map(factor).collect()
}

fn largest(values: ArrayView2<f32>, over: Axis) -> Array1<f32> {
    values.fold_axis(over, 0.0, |largest: &f32, value| largest.max(value.abs()))
}

fn noise_with(rows: ArrayView2<f32>, weights: &[Array2<f32>], factors: Option<&[f32]>) -> Noise {
    let mut noise = Noise::default();
    let mut rows = rows.to_owned();
    if let Some(factors) = factors {
        divide(&mut rows, factors);
    }
    for weight in weights {
        noise += match factors {
            None => noise::of_product(rows.view(), weight.view()),
            Some(factors) => {
                let mut weight = weight.clone();
                weight.rows_mut().into_iter().zip(factors).for_each(|(mut row, &f)| row *= f);
                noise::of_product(rows.view(), weight.view())
            }
        };
    }
    noise
}

/// Divides each channel by its factor.
pub(super) fn divide(rows: &mut Array2<f32>, factors: &[f32]) {
    rows.columns_mut().into_iter().zip(factors).for_each(|(mut column, &f)| column /= f);
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn waves(rows: usize, columns: usize, step: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(r, c)| ((r * columns + c) as f32 * step).sin())
    }

    #[test]
    fn smoothing_an_outlier_makes_the_product_less_noisy() {
        let (mut rows, weight) = (waves(16, 48, 0.9), waves(48, 32, 1.7));
        rows.column_mut(5).mapv_inplace(|v| v * 80.0);
        let (of_rows, of_weight) = (largest(rows.view(), Axis(0)), largest(weight.view(), Axis(1)));
        let plain = noise_with(rows.view(), std::slice::from_ref(&weight), None).noise;
        let smooth = factors(&of_rows, &of_weight, 0.5);
        let smoothed = noise_with(rows.view(), &[weight], Some(&smooth)).noise;
        assert!(smoothed < plain / 2.0, "{smoothed} after {plain}");
    }

    proptest! {
        #[test]
        fn products_stay_what_they_are(
            rows in prop::collection::vec(-100.0_f32..100.0, 12),
            weight in prop::collection::vec(-2.0_f32..2.0, 8),
            strength in 0.0_f32..1.0,
        ) {
            let rows = Array2::from_shape_vec((3, 4), rows).unwrap();
            let mut weight = Array2::from_shape_vec((4, 2), weight).unwrap();
            let exact = rows.dot(&weight);
            let found = factors(&largest(rows.view(), Axis(0)), &largest(weight.view(), Axis(1)), strength);
            let mut divided = rows;
            divide(&mut divided, &found);
            weight.rows_mut().into_iter().zip(&found).for_each(|(mut row, &f)| row *= f);
            for (a, b) in exact.iter().zip(&divided.dot(&weight)) {
                prop_assert!((a - b).abs() < 1e-2 * (1.0 + a.abs()), "{a} became {b}");
            }
        }
    }
}
