//! AVX-512 with VNNI: `vpdpbusd` adds four products of unsigned with signed bytes to each of sixteen sums.
//!
//! The weights are the unsigned side, stored with 128 added, so that activations stay signed and one
//! layout of theirs serves every instruction set. What the 128 adds to a sum, 128 times the row's sum,
//! is taken off where the sums begin.

use std::arch::x86_64::*;

use crate::{
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::Lanes,
};

/// Proof that the CPU has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    /// The proof, if the CPU has them.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs an operation compiled for AVX-512.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
        fn compiled<O: Operation>(isa: Avx512Vnni, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(self, operation) }
    }
}

impl Lanes for Avx512Vnni {
    type F32 = __m512;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: AVX-512, proven by `self`; sixteen elements are there, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, values: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: AVX-512, proven by `self`; sixteen elements are there, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: AVX-512, proven by `self`; sixteen integers are there, and the load needs no alignment.
        unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_i8(self, values: __m512, to: &mut [i8]) {
        let to = &mut to[..16];
        // SAFETY: AVX-512, proven by `self`; sixteen bytes are there, and the store needs no alignment.
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(values));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: AVX-512, proven by `self`.
        let halves =
            unsafe { _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)) };
        self.sum_of_eight(halves)
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, a: __m512, n: __m512) -> __m512 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent)))
        }
    }
}

impl Avx512Vnni {
    /// The sum of eight lanes in the order that [`Lanes::sum`] prescribes.
    #[inline(always)]
    fn sum_of_eight(self, a: __m256) -> f32 {
        // SAFETY: AVX-512, proven by `self`.
        unsafe {
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }
    }
}

impl Isa for Avx512Vnni {
    type Lanes = Self;
    type Codes = Self;
    const PANEL: PanelShape = PanelShape { columns: 32, depth: 4, offset: 128 };
    const INT8_ROWS: usize = 14;
    const F32_ROWS: usize = 8;

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
            1 => self.tile::<1>(rows, panel, ahead, sums),
            2 => self.tile::<2>(rows, panel, ahead, sums),
            3 => self.tile::<3>(rows, panel, ahead, sums),
            4 => self.tile::<4>(rows, panel, ahead, sums),
            5 => self.tile::<5>(rows, panel, ahead, sums),
            6 => self.tile::<6>(rows, panel, ahead, sums),
            7 => self.tile::<7>(rows, panel, ahead, sums),
            8 => self.tile::<8>(rows, panel, ahead, sums),
            9 => self.tile::<9>(rows, panel, ahead, sums),
            10 => self.tile::<10>(rows, panel, ahead, sums),
            11 => self.tile::<11>(rows, panel, ahead, sums),
            12 => self.tile::<12>(rows, panel, ahead, sums),
            13 => self.tile::<13>(rows, panel, ahead, sums),
            _ => self.tile::<14>(rows, panel, ahead, sums),
        }
    }

    #[inline(always)]
    fn row_products<const R: usize>(
        self,
        rows: &[i8],
        planes: [&[i8]; 2],
        sums: &mut [[i32; 2]; R],
    ) {
        let width = planes[0].len();
        assert!(rows.len() == R * width && planes[1].len() == width && width.is_multiple_of(64));
        let [high, low] = planes.map(<[i8]>::as_ptr);
        // SAFETY: AVX-512, proven by `self`. Block b of 64 elements reads bytes 64b..64b+64 of both planes and of each of the R
        // rows; b < width / 64.
        unsafe {
            let (flip, ones) = (_mm512_set1_epi8(i8::MIN), _mm512_set1_epi8(1));
            let mut totals = [[_mm512_setzero_si512(); 2]; R];
            let mut elements = [_mm512_setzero_si512(); 2];
            for at in (0..width).step_by(64) {
                let query = [high, low].map(|plane| _mm512_loadu_si512(plane.add(at).cast()));
                for (sum, query) in elements.iter_mut().zip(query) {
                    *sum = _mm512_dpbusd_epi32(*sum, ones, query);
                }
                for (r, totals) in totals.iter_mut().enumerate() {
                    let row = _mm512_loadu_si512(rows.as_ptr().add(r * width + at).cast());
                    // Unsigned with 128 added, which is taken off below.
                    let row = _mm512_xor_si512(row, flip);
                    for (total, query) in totals.iter_mut().zip(query) {
                        *total = _mm512_dpbusd_epi32(*total, row, query);
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                for ((sum, total), elements) in sums.iter_mut().zip(totals).zip(elements) {
                    let added = _mm512_slli_epi32::<7>(elements);
                    *sum = _mm512_reduce_add_epi32(_mm512_sub_epi32(total, added));
                }
            }
        }
    }
}

impl Avx512Vnni {
    /// `R` rows by 32 columns: `2 R` sums stay in registers, beside two of weights and one of activations.
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
        assert!(rows.len() >= R && sums.len() >= R * columns);
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        let groups = inputs / 4;
        let weights = panel.as_ptr();
        let stride = ahead.len() / groups.max(1);
        let activations: [*const i8; R] = std::array::from_fn(|r| rows[r].values.as_ptr());
        // SAFETY: AVX-512, proven by `self`. Group g of four inputs reads bytes 4g..4g+4 of every row and 128g..128g+128 of
        // the panel, and g < inputs / 4; the assertion bounds both. A prefetch may name any address.
        unsafe {
            let start = |r: usize| _mm512_set1_epi32(rows[r].sum.wrapping_mul(-128));
            let mut left: [__m512i; R] = std::array::from_fn(start);
            let mut right = left;
            for group in 0..groups {
                let at = weights.add(group * 128);
                let later = ahead.as_ptr().wrapping_add(group * stride);
                _mm_prefetch::<_MM_HINT_T1>(later);
                if stride > 64 {
                    _mm_prefetch::<_MM_HINT_T1>(later.wrapping_add(64));
                }
                let first = _mm512_loadu_si512(at.cast());
                let second = _mm512_loadu_si512(at.add(64).cast());
                for r in 0..R {
                    let four = activations[r].add(group * 4).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    left[r] = _mm512_dpbusd_epi32(left[r], first, four);
                    right[r] = _mm512_dpbusd_epi32(right[r], second, four);
                }
            }
            for (r, sums) in sums.chunks_exact_mut(columns).take(R).enumerate() {
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), left[r]);
                _mm512_storeu_si512(sums.as_mut_ptr().add(16).cast(), right[r]);
            }
        }
    }
}
