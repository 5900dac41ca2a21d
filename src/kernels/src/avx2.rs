//! AVX2 with FMA: `vpmaddubsw` multiplies magnitudes of weights by activations that carry both signs.
//!
//! Two such products fit the 16 bits that it adds them in, 2 × 128 × 127 < 2^15: what it gives is exact.

use std::arch::x86_64::*;

use crate::{
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::Lanes,
};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has them.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs an operation compiled for AVX2.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<O: Operation>(isa: Avx2, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(self, operation) }
    }
}

/// Two halves of sixteen lanes.
type F32 = [__m256; 2];

impl Lanes for Avx2 {
    type F32 = F32;

    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> F32 {
        let from = &from[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen elements are there, and the loads need no alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, values: F32, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen elements are there, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), values[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), values[1]);
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> F32 {
        let from = &from[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen integers are there, and the loads need no alignment.
        unsafe {
            let half = |i| _mm256_cvtepi32_ps(_mm256_loadu_si256(from.as_ptr().add(i).cast()));
            [half(0), half(8)]
        }
    }

    #[inline(always)]
    fn store_i8(self, values: F32, to: &mut [i8]) {
        let to = &mut to[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen bytes are there, and the store needs no alignment.
        unsafe {
            let [low, high] = [_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1])];
            // Packing works on halves of a register; the permutation puts the quarters back in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        }
    }

    #[inline(always)]
    fn add(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs(self, a: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        }
    }

    #[inline(always)]
    fn round(self, a: F32) -> F32 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_round_ps::<NEAREST>(a[0]), _mm256_round_ps::<NEAREST>(a[1])] }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, a: F32, n: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe {
            let power = |n| {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            };
            [_mm256_mul_ps(a[0], power(n[0])), _mm256_mul_ps(a[1], power(n[1]))]
        }
    }
}

impl Isa for Avx2 {
    type Lanes = Self;
    type Codes = Self;
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 4, offset: 0 };
    const INT8_ROWS: usize = 10;
    const F32_ROWS: usize = 6;

    #[inline(always)]
    fn lanes(self) -> Self {
        self
    }

    #[inline(always)]
    fn codes(self) -> Self {
        self
    }

    #[inline(always)]
    fn int8_products(
        self,
        rows: &[QuantizedRow<'_>],
        panel: &[i8],
        ahead: &[i8],
        sums: &mut [i32],
    ) {
        match rows.len() {
            1 => self.tile::<1, 2>(rows, panel, ahead, sums),
            2 => self.tile::<2, 2>(rows, panel, ahead, sums),
            3 => self.tile::<3, 2>(rows, panel, ahead, sums),
            4 => self.tile::<4, 2>(rows, panel, ahead, sums),
            5 => self.tile::<5, 2>(rows, panel, ahead, sums),
            6 => self.tile::<6, 2>(rows, panel, ahead, sums),
            7 => self.tile::<7, 1>(rows, panel, ahead, sums),
            8 => self.tile::<8, 1>(rows, panel, ahead, sums),
            9 => self.tile::<9, 1>(rows, panel, ahead, sums),
            _ => self.tile::<10, 1>(rows, panel, ahead, sums),
        }
    }
}

impl Avx2 {
    /// `R` rows by 16 columns, `8 C` columns at a time: `R C` registers of sums, beside weights, their magnitudes, ones,
    /// and one of activations.
    #[inline(always)]
    fn tile<const R: usize, const C: usize>(
        self,
        rows: &[QuantizedRow<'_>],
        panel: &[i8],
        ahead: &[i8],
        sums: &mut [i32],
    ) {
        let columns = Self::PANEL.columns;
        let inputs = panel.len() / columns;
        assert!(rows.len() >= R && sums.len() >= R * columns);
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        let groups = inputs / 4;
        let stride = ahead.len() / groups.max(1);
        let activations: [*const i8; R] = std::array::from_fn(|r| rows[r].values.as_ptr());
        for first in (0..columns).step_by(8 * C) {
            let weights = panel[4 * first..].as_ptr();
            // SAFETY: AVX2 and FMA, proven by `self`. Group g of four inputs reads bytes 4g..4g+4 of every row and, of the panel, four for
            // each of the 8 C columns from `first` on, in 64g..64g+64; g < inputs / 4. A prefetch may name any address.
            unsafe {
                let ones = _mm256_set1_epi16(1);
                let mut totals = [[_mm256_setzero_si256(); R]; C];
                for group in 0..groups {
                    if first == 0 {
                        let later = ahead.as_ptr().wrapping_add(group * stride);
                        _mm_prefetch::<_MM_HINT_T1>(later);
                    }
                    for (c, totals) in totals.iter_mut().enumerate() {
                        let at = weights.add(group * 4 * columns + 32 * c);
                        let signs = _mm256_loadu_si256(at.cast());
                        let magnitudes = _mm256_abs_epi8(signs);
                        for (total, row) in totals.iter_mut().zip(activations) {
                            let four = row.add(group * 4).cast::<i32>().read_unaligned();
                            let four = _mm256_sign_epi8(_mm256_set1_epi32(four), signs);
                            let pairs = _mm256_maddubs_epi16(magnitudes, four);
                            *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, ones));
                        }
                    }
                }
                for (c, totals) in totals.iter().enumerate() {
                    for (eight, sums) in totals.iter().zip(sums.chunks_exact_mut(columns)) {
                        let to = &mut sums[first + 8 * c..][..8];
                        _mm256_storeu_si256(to.as_mut_ptr().cast(), *eight);
                    }
                }
            }
        }
    }
}
