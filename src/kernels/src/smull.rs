//! Any 64-bit Arm: `smull` and `smlal2` add two products of bytes in 16 bits, `sadalp` adds pairs of those to 32-bit sums.
//!
//! Two products of integers within ±127 fit 16 bits; a third need not. Sixteen inputs of a column
//! meet sixteen of a row, and the four sums that a pair of them keeps are added up in the end.

use std::arch::{aarch64::*, is_aarch64_feature_detected};

use crate::{
    isa::{Operation, PanelShape, QuantizedRow},
    neon::{ByteProduct, Neon, PREFETCH, prefetch},
};

/// Proof that the CPU has NEON.
#[derive(Clone, Copy)]
pub(crate) struct Smull(());

impl ByteProduct for Smull {
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 16, offset: 0 };
    const INT8_ROWS: usize = 4;

    fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon")]
        fn compiled<O: Operation>(isa: Neon<Smull>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(Neon::proven_by(self), operation) }
    }

    #[inline(always)]
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        match rows.len() {
            1 => self.tile::<1, 8>(rows, panel, sums),
            2 => self.tile::<2, 4>(rows, panel, sums),
            3 => self.tile::<3, 4>(rows, panel, sums),
            _ => self.tile::<4, 4>(rows, panel, sums),
        }
    }

    #[inline(always)]
    fn dot(self, sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // SAFETY: NEON, proven by `self`. Pairs of products fit 16 bits: 2 × 128 × 127 < 2^15.
        unsafe {
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(a, b)))
        }
    }
}

impl Smull {
    /// `R` rows by 16 columns, `C` columns at a time: `R C` quadruples of sums stay in registers,
    /// beside `R` of activations, one of weights and `R` of 16-bit products.
    #[inline(always)]
    fn tile<const R: usize, const C: usize>(
        self,
        rows: &[QuantizedRow<'_>],
        panel: &[i8],
        sums: &mut [i32],
    ) {
        let columns = Self::PANEL.columns;
        let inputs = panel.len() / columns;
        assert!(rows.len() >= R && sums.len() >= R * columns && inputs.is_multiple_of(16));
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        let activations: [*const i8; R] = std::array::from_fn(|r| rows[r].values.as_ptr());
        for first in (0..columns).step_by(C) {
            let weights = panel[16 * first..].as_ptr();
            // SAFETY: NEON, proven by `self`. Group g of sixteen inputs reads bytes 16g..16g+16 of every row and, of the
            // panel, sixteen for each of the C columns from `first` on, in 256g..256g+256; g < inputs / 16.
            unsafe {
                let mut quadruples = [[vdupq_n_s32(0); C]; R];
                for group in 0..inputs / 16 {
                    let at = weights.add(group * 16 * columns);
                    for line in 0..C / 4 {
                        prefetch(at.wrapping_add(PREFETCH + 64 * line));
                    }
                    let values: [int8x16_t; R] =
                        std::array::from_fn(|r| vld1q_s8(activations[r].add(16 * group)));
                    for c in 0..C {
                        let weights = vld1q_s8(at.add(16 * c));
                        // All rows of one step before the next step: an in-order core waits for nothing.
                        let low = values.map(|v| vmull_s8(vget_low_s8(weights), vget_low_s8(v)));
                        let both: [int16x8_t; R] =
                            std::array::from_fn(|r| vmlal_high_s8(low[r], weights, values[r]));
                        for r in 0..R {
                            quadruples[r][c] = vpadalq_s16(quadruples[r][c], both[r]);
                        }
                    }
                }
                for (quadruples, sums) in quadruples.iter().zip(sums.chunks_exact_mut(columns)) {
                    for (four, sums) in
                        quadruples.chunks_exact(4).zip(sums[first..].chunks_exact_mut(4))
                    {
                        let left = vpaddq_s32(four[0], four[1]);
                        let right = vpaddq_s32(four[2], four[3]);
                        vst1q_s32(sums.as_mut_ptr(), vpaddq_s32(left, right));
                    }
                }
            }
        }
    }
}
