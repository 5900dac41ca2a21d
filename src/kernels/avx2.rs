//! AVX2 with FMA: `vpmaddwd` multiplies pairs of 16-bit numbers exactly.
//!
//! `vpmaddubsw`, which takes bytes as they are, saturates; widened numbers cannot.

use std::arch::x86_64::*;

use super::{
    instruction_set::{Isa, Operation, PanelShape},
    lanes::Lanes,
    rows::QuantizedRow,
};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has them.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs an operation compiled for AVX2.
    pub(super) fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<O: Operation>(isa: Avx2, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(self, operation) }
    }
}

/// Both halves of sixteen numbers.
type F32 = [__m256; 2];

// Every intrinsic below needs AVX2 or FMA, which `self` proves; that is what each SAFETY line means by "proved".
impl Lanes for Avx2 {
    type F32 = F32;

    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> F32 {
        let from = &from[..16];
        // SAFETY: proved; sixteen numbers are there, and the loads need no alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, values: F32, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: proved; there is place for sixteen numbers, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), values[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), values[1]);
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> F32 {
        let from = &from[..16];
        // SAFETY: proved; sixteen integers are there, and the loads need no alignment.
        unsafe {
            let half = |i| _mm256_cvtepi32_ps(_mm256_loadu_si256(from.as_ptr().add(i).cast()));
            [half(0), half(8)]
        }
    }

    #[inline(always)]
    fn store_i8(self, values: F32, to: &mut [i8]) {
        let to = &mut to[..16];
        // SAFETY: proved; there is place for sixteen bytes, and the store needs no alignment.
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
        // SAFETY: proved.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        // SAFETY: proved.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs(self, a: F32) -> F32 {
        // SAFETY: proved.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        }
    }

    #[inline(always)]
    fn round(self, a: F32) -> F32 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: proved.
        unsafe { [_mm256_round_ps::<NEAREST>(a[0]), _mm256_round_ps::<NEAREST>(a[1])] }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, a: F32, n: F32) -> F32 {
        // SAFETY: proved.
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
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 2, offset: 0 };
    const INT8_ROWS: usize = 6;
    const F32_ROWS: usize = 6;

    #[inline(always)]
    fn lanes(self) -> Self {
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
            1 => self.tile::<1>(rows, panel, ahead, sums),
            2 => self.tile::<2>(rows, panel, ahead, sums),
            3 => self.tile::<3>(rows, panel, ahead, sums),
            4 => self.tile::<4>(rows, panel, ahead, sums),
            5 => self.tile::<5>(rows, panel, ahead, sums),
            _ => self.tile::<6>(rows, panel, ahead, sums),
        }
    }
}

/// Inputs that are widened to 16 bits before they meet the weights.
const CHUNK: usize = 256;

impl Avx2 {
    /// `R` rows by 16 columns: `2 R` sums stay in registers, beside two of weights and one of activations.
    #[inline(always)]
    fn tile<const R: usize>(
        self,
        rows: &[QuantizedRow<'_>],
        panel: &[i8],
        ahead: &[i8],
        sums: &mut [i32],
    ) {
        let columns = Self::PANEL.columns;
        let inputs = panel.len() / columns;
        assert!(rows.len() >= R && sums.len() >= R * columns && inputs.is_multiple_of(16));
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        // Bytes of the next panel for every four inputs of this one.
        let stride = ahead.len() / (inputs / 4).max(1);
        let mut wide = [[0_i16; CHUNK]; R];
        // SAFETY: proved. Pair p reads numbers 2p and 2p+1 of every row and bytes 32p..32p+32 of the panel,
        // and p < inputs / 2; a chunk widens sixteen numbers at a time, and inputs is a multiple of sixteen.
        // A prefetch may name any address.
        unsafe {
            let mut left = [_mm256_setzero_si256(); R];
            let mut right = left;
            for start in (0..inputs).step_by(CHUNK) {
                let length = CHUNK.min(inputs - start);
                for (wide, row) in wide.iter_mut().zip(rows) {
                    for i in (0..length).step_by(16) {
                        let bytes = _mm_loadu_si128(row.values.as_ptr().add(start + i).cast());
                        let words = _mm256_cvtepi8_epi16(bytes);
                        _mm256_storeu_si256(wide.as_mut_ptr().add(i).cast(), words);
                    }
                }
                for i in (0..length).step_by(2) {
                    if i % 4 == 0 {
                        let later = ahead.as_ptr().wrapping_add((start + i) / 4 * stride);
                        _mm_prefetch::<_MM_HINT_T1>(later);
                    }
                    let at = panel.as_ptr().add((start + i) * columns);
                    let first = _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast()));
                    let second = _mm256_cvtepi8_epi16(_mm_loadu_si128(at.add(16).cast()));
                    for r in 0..R {
                        let pair = wide[r].as_ptr().add(i).cast::<i32>().read_unaligned();
                        let pair = _mm256_set1_epi32(pair);
                        left[r] = _mm256_add_epi32(left[r], _mm256_madd_epi16(first, pair));
                        right[r] = _mm256_add_epi32(right[r], _mm256_madd_epi16(second, pair));
                    }
                }
            }
            for (r, sums) in sums.chunks_exact_mut(columns).take(R).enumerate() {
                _mm256_storeu_si256(sums.as_mut_ptr().cast(), left[r]);
                _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), right[r]);
            }
        }
    }
}
