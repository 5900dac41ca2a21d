//! AVX-VNNI: `vpdpbusd` adds four products of unsigned with signed bytes to each of eight sums.
//!
//! The instruction exists in two encodings: VEX on processors without AVX-512 (Alder Lake-N and what came after it), EVEX on
//! those with AVX-512 VNNI. The weights are the unsigned side, as for [AVX-512](crate::avx512); codes of static layers
//! are unsigned themselves.

use std::arch::x86_64::*;

use crate::{
    isa::{Operation, PanelShape, QuantizedRow},
    ymm::{ByteProduct, Ymm},
};

/// An encoding of 256-bit `vpdpbusd`. A value proves that the CPU has it, AVX2 and FMA.
pub(crate) trait Encoding: Copy {
    /// The proof, if the CPU has them.
    fn detect() -> Option<Self>;

    /// Runs an operation compiled for AVX2, FMA and the encoding.
    fn run<O: Operation>(isa: Ymm<Vnni<Self>>, operation: O) -> O::Output;

    /// `sums` and the products of four unsigned with four signed bytes for each.
    fn dpbusd(self, sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i;
}

/// Proof that the CPU has AVX2, FMA and the encoding `E` of `vpdpbusd`.
#[derive(Clone, Copy)]
pub(crate) struct Vnni<E>(E);

/// Proof that the CPU has AVX2, FMA and AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Vex(());

/// Proof that the CPU has AVX2, FMA and AVX-512 VL and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Evex(());

impl Encoding for Vex {
    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("avxvnni");
        found.then_some(Self(()))
    }

    fn run<O: Operation>(isa: Ymm<Vnni<Self>>, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn compiled<O: Operation>(isa: Ymm<Vnni<Vex>>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `isa` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(isa, operation) }
    }

    #[inline(always)]
    fn dpbusd(self, sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: AVX-VNNI, proven by `self`.
        unsafe { _mm256_dpbusd_avx_epi32(sums, unsigned, signed) }
    }
}

impl Encoding for Evex {
    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        found.then_some(Self(()))
    }

    fn run<O: Operation>(isa: Ymm<Vnni<Self>>, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma,avx512vl,avx512vnni")]
        fn compiled<O: Operation>(isa: Ymm<Vnni<Evex>>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `isa` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(isa, operation) }
    }

    #[inline(always)]
    fn dpbusd(self, sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: AVX-512 VL and VNNI, proven by `self`.
        unsafe { _mm256_dpbusd_epi32(sums, unsigned, signed) }
    }
}

impl<E: Encoding> ByteProduct for Vnni<E> {
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 4, offset: 128 };
    const INT8_ROWS: usize = 6;
    const FLIP: u8 = 0;

    fn detect() -> Option<Self> {
        E::detect().map(Self)
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        E::run(Ymm::proven_by(self), operation)
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

    #[inline(always)]
    fn dot(self, sums: __m256i, codes: __m256i, weights: __m256i) -> __m256i {
        self.0.dpbusd(sums, codes, weights)
    }
}

impl<E: Encoding> Vnni<E> {
    /// `R` rows by 16 columns: `2 R` registers of sums, beside two of weights and one of activations.
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
        // SAFETY: AVX2 and `vpdpbusd`, proven by `self`. Group g of four inputs reads bytes 4g..4g+4 of every row and
        // 64g..64g+64 of the panel, and g < inputs / 4; the assertions bound both. A prefetch may name any address.
        unsafe {
            let mut totals = [[_mm256_setzero_si256(); 2]; R];
            for (totals, row) in totals.iter_mut().zip(rows) {
                *totals = [_mm256_set1_epi32(row.sum.wrapping_mul(-128)); 2];
            }
            for group in 0..groups {
                let later = ahead.as_ptr().wrapping_add(group * stride);
                _mm_prefetch::<_MM_HINT_T1>(later);
                let at = weights.add(group * 4 * columns);
                let left = _mm256_loadu_si256(at.cast());
                let right = _mm256_loadu_si256(at.add(32).cast());
                for (totals, row) in totals.iter_mut().zip(activations) {
                    let four = row.add(group * 4).cast::<i32>().read_unaligned();
                    let four = _mm256_set1_epi32(four);
                    totals[0] = self.0.dpbusd(totals[0], left, four);
                    totals[1] = self.0.dpbusd(totals[1], right, four);
                }
            }
            for (totals, sums) in totals.iter().zip(sums.chunks_exact_mut(columns)) {
                _mm256_storeu_si256(sums.as_mut_ptr().cast(), totals[0]);
                _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), totals[1]);
            }
        }
    }
}
