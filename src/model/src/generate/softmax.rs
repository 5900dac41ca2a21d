//! Softmax over a whole vocabulary.
//!
//! A log-softmax search pays one exponential per token, row and step: 300,000 of them for six beams
//! of a CLIP vocabulary. So [`exp`] is a polynomial of plain multiplications and additions, which the
//! compiler vectorises and which gives the same bits on every platform. The second property
//! keeps seeded sampling reproducible; libm's `expf` has neither.

/// Partial sums kept side by side, so that the loops vectorise at any register width.
const LANES: usize = 16;

/// The normalisation of one row of logits.
pub(super) struct LogSoftmax {
    max: f32,
    log_sum: f32,
}

impl LogSoftmax {
    /// Reads a row of logits `[V]`.
    pub(super) fn of(logits: &[f32]) -> Self {
        let max = max(logits);
        let (chunks, rest) = logits.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for chunk in chunks {
            for (sum, &logit) in sums.iter_mut().zip(chunk) {
                *sum += exp(logit - max);
            }
        }
        let rest = rest.iter().map(|&logit| exp(logit - max));
        let sum: f32 = sums.into_iter().chain(rest).sum();
        Self { max, log_sum: sum.ln() }
    }

    /// The log-probability of a token with this logit.
    pub(super) fn log_probability(&self, logit: f32) -> f32 {
        logit - self.max - self.log_sum
    }
}

/// Replaces a row of logits `[V]` by its log-probabilities.
pub(super) fn log_softmax(logits: &mut [f32]) {
    let softmax = LogSoftmax::of(logits);
    for logit in logits {
        *logit = softmax.log_probability(*logit);
    }
}

/// e^x for x ≤ 0, within 1 ulp; e^-87 for anything smaller.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2 and e^x = 2^n · e^r. Adding `ROUND` leaves n in the low bits
/// of the sum's mantissa, which the shift moves into the exponent. The polynomial is Cephes' `expf`.
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let x = if x > -87.0 { x } else { -87.0 }; // one instruction, unlike f32::max
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;

    let mut tail = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        tail = tail * r + coefficient;
    }
    let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    two_to_n * (tail * r * r + r + 1.0)
}

fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (max, &value) in maxima.iter_mut().zip(chunk) {
            *max = larger(*max, value);
        }
    }
    maxima.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exp_agrees_with_the_exact_exponential(x in -86.9f32..=0.0) {
            let exact = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) - exact).abs() <= 1.2e-7 * exact);
        }

        #[test]
        fn log_probabilities_agree_with_a_sum_in_double_precision(
            mut logits in prop::collection::vec(-30.0f32..30.0, 1..70)
        ) {
            let exact: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            let expected: Vec<f64> = logits.iter().map(|&x| f64::from(x) - exact.ln()).collect();
            log_softmax(&mut logits);
            for (found, expected) in logits.iter().zip(expected) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn exp_of_zero_is_one_and_far_below_it_vanishes() {
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }
}
