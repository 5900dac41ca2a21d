//! AVX2: `vpmaddubsw` multiplies magnitudes of one side by bytes of the other that carry both signs.
//!
//! Two such products fit the 16 bits that it adds them in, 2 × 128 × 127 < 2^15: what it gives is exact.

use std::arch::x86_64::*;

use crate::{
    isa::{Operation, PanelShape, QuantizedRow},
    ymm::{ByteProduct, Ymm},
};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl ByteProduct for Avx2 {
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 4, offset: 0 };
    const INT8_ROWS: usize = 10;
    const FLIP: u8 = 0x80;

    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<O: Operation>(isa: Ymm<Avx2>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(Ymm::proven_by(self), operation) }
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

    #[inline(always)]
    fn dot(self, sums: __m256i, codes: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: AVX2, proven by `self`.
        unsafe {
            let signed = _mm256_sign_epi8(weights, codes);
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), signed);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
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
