//! Equalisation: quiet channels of an activation are raised, so that they use more of the codes.
//!
//! A ReLU passes a factor on: it is multiplied into the filter and the bias of a channel in front of it, and divided out
//! of the weights behind it. Raised up to the clip of a ReLU6, a channel reaches what it was clipped at before, or less
//! than that where it never came so far (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
//! Correction", section 4.1).

use std::collections::BTreeMap;

use super::{
    region::{Filters, Region},
    statistics::Channels,
};

/// The largest factor in front of a depthwise convolution, whose filters have scales of their own: it costs nothing.
const MAX_FREE_FACTOR: f32 = 8.0;
/// The largest factor in front of another one, whose outputs' scales must then serve weights of unlike sizes.
const MAX_SHARED_FACTOR: f32 = 2.0;
/// Powers of the largest factors that are tried where they cost something.
const STRENGTHS: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// The variance of rounding to whole numbers.
const ROUNDING: f64 = 1.0 / 12.0;

/// Raises channels between two convolutions of `region` in proportion to what `seen` holds of their activations, which
/// is changed as they are. Gives the numbers of raised channels and of those between two convolutions.
pub(super) fn equalize(region: &mut Region, seen: &mut BTreeMap<String, Channels>) -> [usize; 2] {
    let (mut raised, mut all) = (0, 0);
    for [producer, consumer] in pairs(region) {
        let step = &region.steps[producer];
        let Some(channels) = seen.get_mut(&step.output) else { continue };
        let Some(behind) = region.steps[consumer].filters() else { continue };
        let cap = match step.bounds.high.is_finite() {
            true => step.bounds.high,
            false => channels.range()[1],
        };
        let factors = match behind.is_depthwise() {
            true => factors(&channels.high, cap, MAX_FREE_FACTOR, 1.0),
            false => best_factors(channels, behind, cap),
        };
        raised += factors.iter().filter(|&&factor| factor > 1.0).count();
        all += factors.len();
        channels.scale(&factors);
        if let Some(filters) = region.steps[producer].filters_mut() {
            multiply_outputs(filters, &factors);
        }
        if let Some(filters) = region.steps[consumer].filters_mut() {
            divide_inputs(filters, &factors);
        }
    }
    [raised, all]
}

/// Positions of convolutions in front of and behind an activation from 0 on that nothing else reads.
fn pairs(region: &Region) -> Vec<[usize; 2]> {
    let is_convolution = |at: usize| region.steps[at].filters().is_some();
    let pair = |producer: usize| {
        let step = &region.steps[producer];
        let is_relu = step.bounds.low == 0.0 && step.is_read_once;
        let reads = |at: &usize| region.steps[*at].inputs.contains(&step.output);
        let consumer = (producer + 1..region.steps.len()).find(reads).filter(|_| is_relu)?;
        (is_convolution(producer) && is_convolution(consumer)).then_some([producer, consumer])
    };
    (0..region.steps.len()).filter_map(pair).collect()
}

/// `(cap / high)^strength` for each channel, from 1 to `largest`.
fn factors(high: &[f32], cap: f32, largest: f32, strength: f32) -> Vec<f32> {
    let factor = |&high: &f32| if high > 0.0 { (cap / high).clamp(1.0, largest) } else { 1.0 };
    high.iter().map(|high| factor(high).powf(strength)).collect()
}

/// The factors with which the outputs of the convolution behind are least noisy.
fn best_factors(channels: &Channels, behind: &Filters, cap: f32) -> Vec<f32> {
    let tried = STRENGTHS.map(|strength| factors(&channels.high, cap, MAX_SHARED_FACTOR, strength));
    let noises = tried.into_iter().map(|tried| (noise(channels, behind, &tried), tried));
    let best = noises.min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map_or_else(|| vec![1.0; channels.high.len()], |(_, factors)| factors)
}

/// The energy of the noise that rounding codes and weights adds to the outputs of a convolution whose inputs are
/// multiplied by `factors`.
fn noise(channels: &Channels, behind: &Filters, factors: &[f32]) -> f64 {
    let high = channels.high.iter().zip(factors).map(|(high, factor)| high * factor);
    let codes = (f64::from(high.fold(0.0, f32::max)) / 255.0).powi(2) * ROUNDING;
    let energies: Vec<f64> = channels.energies().collect();
    let mut noise = 0.0;
    for (output, filter) in behind.values.chunks(behind.size().max(1)).enumerate() {
        let (mut squares, mut read, mut largest) = (0.0, 0.0, 0.0_f32);
        for (tap, weight) in filter.iter().enumerate() {
            let channel = behind.input_channel(output * behind.size() + tap);
            let weight = weight / factors[channel];
            squares += f64::from(weight).powi(2);
            read += energies[channel] * f64::from(factors[channel]).powi(2);
            largest = largest.max(weight.abs());
        }
        noise += squares * codes + read * (f64::from(largest) / 127.0).powi(2) * ROUNDING;
    }
    noise
}

fn multiply_outputs(filters: &mut Filters, factors: &[f32]) {
    let size = filters.size().max(1);
    let rows = filters.values.chunks_mut(size).zip(&mut filters.bias).zip(factors);
    rows.for_each(|((filter, bias), factor)| {
        filter.iter_mut().for_each(|weight| *weight *= factor);
        *bias *= factor;
    });
}

fn divide_inputs(filters: &mut Filters, factors: &[f32]) {
    for at in 0..filters.values.len() {
        let channel = filters.input_channel(at);
        filters.values[at] /= factors[channel];
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_graph, *};

    #[test]
    fn a_region_computes_the_same_when_its_channels_are_raised() {
        let graph = test_graph::graph();
        let mut region = test_graph::region(&graph, &[]);
        let pictures = test_graph::pictures(3);
        let results: Vec<_> = region.steps.iter().map(|step| step.output.clone()).collect();
        let results: Vec<&str> = results.iter().map(String::as_str).collect();
        let before = test_graph::exact(&graph, &region, &results);
        let mut seen = Channels::of_outputs(&before, &results, &pictures).unwrap();
        let [raised, all] = equalize(&mut region, &mut seen);
        assert!(raised >= 8 && all == 8 + 8 + 12 + 12, "{raised} of {all}");
        let after = test_graph::exact(&graph, &region, &results);
        for picture in &pictures {
            let [before, after] =
                [&before, &after].map(|graph| graph.run(vec![picture.clone()]).unwrap());
            let [before, after] = [&before, &after].map(|outputs| outputs.last().unwrap());
            let largest = before.iter().fold(1.0_f32, |largest, v| largest.max(v.abs()));
            for (before, after) in before.iter().zip(after) {
                assert!((before - after).abs() <= 1e-5 * largest, "{before} became {after}");
            }
        }
        // What was seen is what the region holds.
        let found = Channels::of_outputs(&after, &results, &pictures).unwrap();
        for (name, found) in &found {
            for (expected, found) in seen[name].high.iter().zip(&found.high) {
                assert!((expected - found).abs() < 1e-4, "{name}: {expected}, found {found}");
            }
        }
    }

    #[test]
    fn a_channel_is_raised_to_the_clip_and_no_further() {
        assert_eq!(factors(&[6.0, 3.0, 0.1, 0.0], 6.0, 8.0, 1.0), [1.0, 2.0, 8.0, 1.0]);
    }
}
