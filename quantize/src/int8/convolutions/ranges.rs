//! Ranges of activations: those whose 256 codes are nearest to what was seen, by squared error.

use super::region::Bounds;

/// Places that are tried for an end of a range, from the farthest that was seen inwards.
const CANDIDATES: usize = 100;
/// The share of the farthest place that the nearest has.
const NARROWEST: f32 = 0.2;
/// Bins of a histogram, some 30 for each code of the widest range.
const BINS: usize = 8192;
const CODES: f32 = 255.0;

/// An activation's codes: a value is (code - zero) × scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantization {
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl Quantization {
    /// Pixels from -1 to 1: 0 is among the values, and no value of a byte lies half-way between two.
    pub(super) const PIXELS: Self = Self { scale: 1.0 / 127.0, zero: 127 };

    /// The codes from `low` to `high`, with 0 among the values and none beyond `bounds`.
    fn of_range(low: f32, high: f32, bounds: Bounds) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let mut scale = ((high - low) / CODES).max(f32::MIN_POSITIVE * CODES);
        if low == 0.0 {
            // A runtime drops a clip whose bound no code exceeds.
            while scale * CODES > bounds.high {
                scale = scale.next_down();
            }
        }
        let zero = (-low / scale).round_ties_even().clamp(0.0, CODES) as u8;
        Self { scale, zero }
    }

    pub(super) fn code(self, value: f32) -> u8 {
        let code = (value / self.scale).round_ties_even() + f32::from(self.zero);
        code.clamp(0.0, CODES) as u8
    }

    pub(super) fn value(self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.zero)) * self.scale
    }
}

/// Frequencies of an activation's values.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    low: f32,
    high: f32,
    bins: Vec<u64>,
}

impl Histogram {
    /// An empty one for values from `low` to `high`.
    pub(super) fn new(low: f32, high: f32) -> Self {
        Self { low: low.min(0.0), high: high.max(0.0), bins: vec![0; BINS] }
    }

    /// Counts values; those beyond its ends as the ends, and zeros not at all: every range has them.
    pub(super) fn add(&mut self, values: impl IntoIterator<Item = f32>) {
        let factor = BINS as f32 / (self.high - self.low).max(f32::MIN_POSITIVE);
        for value in values.into_iter().filter(|&value| value != 0.0) {
            let bin = ((value - self.low) * factor) as usize;
            self.bins[bin.min(BINS - 1)] += 1;
        }
    }

    /// The codes with the least squared error: the farther end of the range is drawn in first, then the other.
    pub(super) fn best(&self, bounds: Bounds) -> Quantization {
        let range = |low, high| Quantization::of_range(low, high, bounds);
        if self.high >= -self.low {
            let high = self.high * self.best_share(|share| range(self.low, self.high * share));
            range(self.low * self.best_share(|share| range(self.low * share, high)), high)
        } else {
            let low = self.low * self.best_share(|share| range(self.low * share, self.high));
            range(low, self.high * self.best_share(|share| range(low, self.high * share)))
        }
    }

    /// The share of an end with which `codes` lose least.
    fn best_share(&self, codes: impl Fn(f32) -> Quantization) -> f32 {
        let share = |k: usize| 1.0 - (1.0 - NARROWEST) * k as f32 / (CANDIDATES - 1) as f32;
        let errors = (0..CANDIDATES).map(|k| (self.error(codes(share(k))), share(k)));
        errors.min_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(1.0, |(_, share)| share)
    }

    fn error(&self, codes: Quantization) -> f64 {
        let width = (self.high - self.low) / BINS as f32;
        let centre = |bin: usize| self.low + (bin as f32 + 0.5) * width;
        let counted = self.bins.iter().enumerate().filter(|&(_, &count)| count > 0);
        let squared = counted.map(|(bin, &count)| {
            let error = codes.value(codes.code(centre(bin))) - centre(bin);
            f64::from(error).powi(2) * count as f64
        });
        squared.sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELU6: Bounds = Bounds { low: 0.0, high: 6.0 };

    #[test]
    fn the_widest_range_of_a_relu6_ends_at_six_exactly() {
        let mut seen = Histogram::new(0.0, 6.0);
        seen.add((1..=600).map(|i| i as f32 / 100.0));
        let codes = seen.best(RELU6);
        assert_eq!((codes.zero, codes.scale * 255.0), (0, 6.0));
    }

    #[test]
    fn an_outlier_among_many_small_values_is_clipped() {
        let mut seen = Histogram::new(-1.0, 10.0);
        seen.add((0..2_000_000).map(|i| (i as f32 * 0.7).sin()));
        seen.add([10.0]);
        let codes = seen.best(Bounds::NONE);
        assert!(codes.value(255) < 7.0, "{codes:?}");
        assert!(codes.value(0) < -0.9, "{codes:?}");
    }

    #[test]
    fn a_tensor_that_is_always_zero_has_a_scale() {
        let codes = Histogram::new(0.0, 0.0).best(Bounds::NONE);
        assert!(codes.scale > 0.0);
        assert_eq!(codes.value(codes.code(0.0)), 0.0);
    }

    #[test]
    fn no_pixel_lies_half_way_between_two_codes() {
        for byte in 0..=255_u8 {
            let pixel = f32::from(byte) / 127.5 - 1.0;
            let code = pixel / Quantization::PIXELS.scale + 127.0;
            assert!((code.fract() - 0.5).abs() > 1e-3, "{byte}: {code}");
        }
        assert_eq!(Quantization::PIXELS.value(127), 0.0);
    }

    proptest! {
        #[test]
        fn zero_is_exact_and_no_code_exceeds_the_activation(low in -9.0_f32..0.0, high in 1e-6_f32..6.0) {
            let codes = Quantization::of_range(low, high, Bounds::NONE);
            prop_assert_eq!(codes.value(codes.code(0.0)), 0.0);
            let codes = Quantization::of_range(0.0, high, RELU6);
            prop_assert!(codes.zero == 0 && codes.scale * 255.0 <= 6.0);
        }

        #[test]
        fn the_best_range_loses_no_more_than_the_widest(values in prop::collection::vec(-3.0_f32..9.0, 1..50)) {
            let (low, high) = values.iter().fold((0.0_f32, 0.0_f32), |(l, h), &v| (l.min(v), h.max(v)));
            let mut seen = Histogram::new(low, high);
            seen.add(values);
            let widest = Quantization::of_range(low, high, Bounds::NONE);
            prop_assert!(seen.error(seen.best(Bounds::NONE)) <= seen.error(widest));
        }
    }
}
