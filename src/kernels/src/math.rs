//! Exponential and error function, the same bits on every instruction set.

use crate::lanes::Lanes;

/// e^x, to about two units in the last place; below -87.3 the smallest normal number.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(lanes: L, x: L::F32) -> L::F32 {
    const HIGHEST: f32 = 88.0;
    const LOWEST: f32 = -87.336_54;
    // ln 2 in two parts, the first of few bits, so that n × LN_2_HIGH is exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Cephes' polynomial for (e^r - 1 - r) / r² on ±ln 2 / 2.
    const TERMS: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let x = lanes.max(lanes.min(x, lanes.splat(HIGHEST)), lanes.splat(LOWEST));
    let n = lanes.round(lanes.mul(x, lanes.splat(std::f32::consts::LOG2_E)));
    let r = lanes.mul_add(n, lanes.splat(-LN_2_HIGH), x);
    let r = lanes.mul_add(n, lanes.splat(-LN_2_LOW), r);
    let tail = polynomial(lanes, &TERMS, r);
    let tail = lanes.mul_add(tail, lanes.mul(r, r), r);
    lanes.scale_by_power_of_two(lanes.add(tail, lanes.splat(1.0)), n)
}

/// erf(x), within 5e-7.
#[inline(always)]
pub(crate) fn erf<L: Lanes>(lanes: L, x: L::F32) -> L::F32 {
    /// From here on erf is 1 within f32's resolution.
    const END: f32 = 3.7;
    // A weighted least-squares fit, at 6,000 Chebyshev nodes, of erf(x) / x as a polynomial in
    // t = 2 x² / END² - 1, which stays within ±1 and so loses nothing to cancellation.
    const TERMS: [f32; 14] = [
        -0.001_299_169_8,
        0.003_777_823_2,
        -0.004_223_065_5,
        0.005_619_208,
        -0.013_541_256,
        0.024_757_674,
        -0.036_504_84,
        0.051_648_542,
        -0.070_364_59,
        0.090_590_59,
        -0.112_652_63,
        0.140_791_97,
        -0.190_467_54,
        0.382_137_5,
    ];
    let x = lanes.max(lanes.min(x, lanes.splat(END)), lanes.splat(-END));
    let square = lanes.mul(x, x);
    let t = lanes.mul_add(square, lanes.splat(2.0 / (END * END)), lanes.splat(-1.0));
    lanes.mul(polynomial(lanes, &TERMS, t), x)
}

/// Horner's scheme; the term of the highest power comes first.
#[inline(always)]
fn polynomial<L: Lanes>(lanes: L, terms: &[f32], x: L::F32) -> L::F32 {
    let mut value = lanes.splat(terms[0]);
    for &term in &terms[1..] {
        value = lanes.mul_add(value, x, lanes.splat(term));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lanes::LANES, scalar::Scalar};

    /// Every so many values are tested: an interpreter takes its time.
    const STEP: usize = if cfg!(miri) { 311 } else { 1 };

    /// The series of erf, in double precision.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn at(f: impl Fn(Scalar, [f32; LANES]) -> [f32; LANES], x: f32) -> f32 {
        f(Scalar, [x; LANES])[0]
    }

    #[test]
    fn erf_is_within_half_a_millionth() {
        for i in (-500..=500).step_by(STEP) {
            let x = i as f32 / 100.0;
            let exact = if x.abs() < 4.5 { exact_erf(f64::from(x)) } else { f64::from(x.signum()) };
            let difference = f64::from(at(erf, x)) - exact;
            assert!(difference.abs() < 5e-7, "erf({x}) is off by {difference}");
        }
    }

    #[test]
    fn exp_is_within_a_few_units_in_the_last_place() {
        for i in (-8700..=8700).step_by(STEP) {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let difference = (f64::from(at(exp, x)) - exact).abs() / exact;
            assert!(difference < 3e-7, "exp({x}) is off by {difference}");
        }
    }

    #[test]
    fn exp_of_a_masked_score_is_next_to_nothing() {
        assert!(at(exp, -1e9) < 2e-38);
        assert!(at(exp, f32::NEG_INFINITY) < 2e-38);
    }
}
