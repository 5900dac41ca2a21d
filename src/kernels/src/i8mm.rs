//! Arm with 8-bit matrix products: `smmla` adds the products of two rows with two columns, eight inputs each, to four sums.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    dotprod::Sdot,
    isa::{Operation, PanelShape, QuantizedRow},
    neon::{ByteProduct, Neon, PREFETCH, prefetch},
};

/// Proof that the CPU has NEON, `sdot` and `smmla`.
#[derive(Clone, Copy)]
pub(crate) struct Smmla(Sdot);

impl ByteProduct for Smmla {
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 8, offset: 0 };
    const INT8_ROWS: usize = 6;

    fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("i8mm").then(Sdot::detect)?.map(Self)
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon,dotprod,i8mm")]
        fn compiled<O: Operation>(isa: Neon<Smmla>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(Neon::proven_by(self), operation) }
    }

    #[inline(always)]
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        match rows.len() {
            1 | 2 => self.tile::<1>(rows, panel, sums),
            3 | 4 => self.tile::<2>(rows, panel, sums),
            _ => self.tile::<3>(rows, panel, sums),
        }
    }

    #[inline(always)]
    fn dot(self, sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        self.0.dot(sums, a, b)
    }
}

impl Smmla {
    /// `P` pairs of rows by 8 pairs of columns: `8 P` quadruples of sums stay in registers, beside `P` of
    /// activations and one or two of weights. A last row without a partner is its own.
    #[inline(always)]
    fn tile<const P: usize>(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        let columns = Self::PANEL.columns;
        let inputs = panel.len() / columns;
        assert!(rows.len() > 2 * (P - 1) && sums.len() >= rows.len() * columns);
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        let row = |r: usize| rows[r.min(rows.len() - 1)].values.as_ptr();
        let pairs: [[*const i8; 2]; P] = std::array::from_fn(|p| [row(2 * p), row(2 * p + 1)]);
        // SAFETY: `self` proves NEON and `smmla`. Group g of eight inputs reads bytes 8g..8g+8 of every row
        // and 128g..128g+128 of the panel; g < inputs / 8.
        let quadruples = unsafe {
            let mut quadruples = [[vdupq_n_s32(0); 8]; P];
            for group in 0..inputs / 8 {
                let at = panel.as_ptr().add(group * 8 * columns);
                prefetch(at.wrapping_add(PREFETCH));
                prefetch(at.wrapping_add(PREFETCH + 64));
                let values = pairs.map(|[first, second]| {
                    vcombine_s8(vld1_s8(first.add(8 * group)), vld1_s8(second.add(8 * group)))
                });
                for c in 0..8 {
                    let weights = vld1q_s8(at.add(16 * c));
                    for p in 0..P {
                        quadruples[p][c] = smmla(quadruples[p][c], values[p], weights);
                    }
                }
            }
            quadruples
        };
        for (r, sums) in sums.chunks_exact_mut(columns).take(rows.len().min(2 * P)).enumerate() {
            for (quadruple, sums) in quadruples[r / 2].iter().zip(sums.chunks_exact_mut(2)) {
                // SAFETY: NEON, proven by `self`; two sums are there.
                unsafe {
                    let [first, second] = [vget_low_s32(*quadruple), vget_high_s32(*quadruple)];
                    vst1_s32(sums.as_mut_ptr(), if r % 2 == 0 { first } else { second });
                }
            }
        }
    }
}

/// `sums + rows × columns`: eight products a sum, in the order (row 0, column 0), (0, 1), (1, 0), (1, 1).
///
/// # Safety
/// The CPU has `smmla`.
#[inline(always)]
unsafe fn smmla(mut sums: int32x4_t, rows: int8x16_t, columns: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction over registers, which the caller promises is there.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {rows:v}.16b, {columns:v}.16b",
            sums = inout(vreg) sums,
            rows = in(vreg) rows,
            columns = in(vreg) columns,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
