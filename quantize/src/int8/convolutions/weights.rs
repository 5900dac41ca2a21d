//! Weights of convolutions as 8-bit integers, each output's scale the one with the least squared error.

use super::{
    super::rounding::{Int8, MAX_INTEGER, integer},
    region::Filters,
};

/// Scales that are tried for each output, from the one that clips nothing downwards.
const CANDIDATES: usize = 100;
/// The share of the largest scale that the smallest has.
const SMALLEST: f32 = 0.5;
/// Biases in units of activations' and weights' scales are at most this, half of what a runtime adds to a sum of
/// products without overflow, so that corrections have room.
const MAX_BIAS: f32 = (1 << 29) as f32;

/// Rounds filters that read codes of the scale `input`. The squared error of a weight counts by the energy of the channel
/// that it multiplies.
pub(super) fn round(filters: &Filters, input: f32, energies: &[f64]) -> Int8 {
    let mut rounded =
        Int8 { integers: Vec::with_capacity(filters.values.len()), scales: Vec::new() };
    for (output, filter) in filters.values.chunks(filters.size().max(1)).enumerate() {
        let counts = |tap: usize| energies[filters.input_channel(output * filters.size() + tap)];
        // A channel without weights would have a scale so small that its bias had no integer.
        let smallest = (filters.bias[output].abs() / MAX_BIAS).max(2.0 * f32::MIN_POSITIVE) / input;
        let scale = best_scale(filter, counts).max(smallest);
        rounded.scales.push(scale);
        rounded.integers.extend(filter.iter().map(|&weight| integer(weight, scale)));
    }
    rounded
}

/// The scale with which `filter` loses least, where the squared error of element `at` counts `counts(at)` times.
fn best_scale(filter: &[f32], counts: impl Fn(usize) -> f64) -> f32 {
    let largest = filter.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let error = |scale: f32| {
        let weights = filter.iter().enumerate();
        let squared = weights.map(|(at, &weight)| {
            let error = f32::from(integer(weight, scale)) * scale - weight;
            f64::from(error).powi(2) * counts(at)
        });
        squared.sum::<f64>()
    };
    let scales = (0..CANDIDATES).map(|k| {
        let share = 1.0 - (1.0 - SMALLEST) * k as f32 / (CANDIDATES - 1) as f32;
        (largest / MAX_INTEGER * share).max(f32::MIN_POSITIVE)
    });
    let errors = scales.map(|scale| (error(scale), scale));
    errors.min_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(f32::MIN_POSITIVE, |(_, scale)| scale)
}

#[cfg(test)]
mod tests {
    use super::{super::super::rounding::Channels, *};

    fn filters(values: Vec<f32>, bias: Vec<f32>) -> Filters {
        let dims = [bias.len(), values.len() / bias.len(), 1, 1];
        let (name, bias_name, groups) = (String::new(), None, 1);
        Filters { name, bias_name, dims, groups, values, bias }
    }

    fn error(filters: &Filters, rounded: &Int8) -> f64 {
        let pairs = rounded.values(Channels::First).into_iter().zip(&filters.values);
        pairs.map(|(found, weight)| f64::from(found - weight).powi(2)).sum()
    }

    #[test]
    fn the_best_scale_loses_no_more_than_the_one_that_clips_nothing() {
        let values: Vec<f32> = (0..256).map(|i| (i as f32 * 1.3).sin().powi(3)).collect();
        let filters = filters(values, vec![0.0; 4]);
        let plain = Int8::round(&filters.values, 4, Channels::First);
        let best = round(&filters, 0.1, &[1.0; 64]);
        assert!(error(&filters, &best) <= error(&filters, &plain));
        assert!(best.integers.iter().all(|&integer| integer >= -127));
    }

    #[test]
    fn a_weight_that_reads_a_loud_channel_is_rounded_less() {
        let filters = filters(vec![1.0, 0.0031], vec![0.0]);
        let [quiet, loud] =
            [[1.0, 1.0], [1e-6, 1.0]].map(|energies| round(&filters, 1.0, &energies));
        let off = |rounded: &Int8| (rounded.values(Channels::First)[1] - 0.0031).abs();
        assert!(off(&loud) < off(&quiet), "{loud:?} {quiet:?}");
    }

    #[test]
    fn the_scale_of_a_dead_channel_is_raised_until_its_bias_has_an_integer() {
        let rounded = round(&filters(vec![0.0, 1e-30], vec![0.0, 3.0]), 0.02, &[1.0]);
        assert_eq!(rounded.integers, [0, 0]);
        assert!((3.0 / (0.02 * rounded.scales[1])).abs() <= 1.01 * MAX_BIAS);
        assert!(rounded.scales.iter().all(|scale| (scale * 0.02).is_normal()));
    }
}
