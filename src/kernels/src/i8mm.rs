//! Arm with 8-bit matrix products: `smmla` adds the products of two rows with two columns, eight inputs each, to four sums.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    byte_product::{BLOCK, ByteProduct, PANEL_BLOCK, PREFETCH, Rows, prefetch},
    dotprod::Sdot,
    isa::Operation,
    neon::Neon,
};

/// Proof that the CPU has NEON, `sdot` and `smmla`.
#[derive(Clone, Copy)]
pub(crate) struct Smmla(Sdot);

impl ByteProduct for Smmla {
    type Words = Sdot;
    const DEPTH: usize = 8;
    const ROWS: usize = 6;

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

    /// Pairs of rows by 8 pairs of columns: 8 quadruples of sums for each pair of rows stay in registers, beside one of
    /// activations and one or two of weights. A last row without a partner is its own.
    #[inline(always)]
    unsafe fn products<const R: usize>(
        self,
        rows: Rows<R>,
        panel: *const i8,
        start: [int32x4_t; 4],
    ) -> [[int32x4_t; 4]; R] {
        // SAFETY: `self` proves NEON and `smmla`. A block of the rows meets 256 bytes of the panel, in two groups of eight
        // inputs; the caller promises both.
        unsafe {
            let mut quadruples = [[vdupq_n_s32(0); 8]; R];
            for quadruples in quadruples.iter_mut().take(R.div_ceil(2)) {
                for (c, quadruple) in quadruples.iter_mut().enumerate() {
                    *quadruple = halves(c % 2 == 1, start[c / 2], start[c / 2]);
                }
            }
            for group in 0..2 * rows.blocks {
                let at = panel.add(group * PANEL_BLOCK / 2);
                prefetch(at.wrapping_add(PREFETCH));
                prefetch(at.wrapping_add(PREFETCH + 64));
                let start = group / 2 * rows.step + group % 2 * Self::DEPTH;
                let half = |r: usize| vld1_s8(rows.first[r.min(R - 1)].add(start));
                let pairs: [_; R] =
                    std::array::from_fn(|p| vcombine_s8(half(2 * p), half(2 * p + 1)));
                #[allow(clippy::needless_range_loop)]
                for c in 0..8 {
                    let weights = vld1q_s8(at.add(BLOCK * c));
                    for p in 0..R.div_ceil(2) {
                        quadruples[p][c] = smmla(quadruples[p][c], pairs[p], weights);
                    }
                }
            }
            std::array::from_fn(|r| {
                let (upper, quadruples) = (r % 2 == 1, quadruples[r / 2]);
                std::array::from_fn(|four| {
                    halves(upper, quadruples[2 * four], quadruples[2 * four + 1])
                })
            })
        }
    }

    #[inline(always)]
    fn add_products<const N: usize>(
        self,
        sums: &mut [int32x4_t; N],
        a: [int8x16_t; N],
        b: [int8x16_t; N],
    ) {
        self.0.add_products(sums, a, b);
    }

    #[inline(always)]
    fn words(self) -> Option<Sdot> {
        Some(self.0)
    }
}

/// The lower or the upper halves of two registers.
#[inline(always)]
fn halves(upper: bool, a: int32x4_t, b: int32x4_t) -> int32x4_t {
    // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON.
    unsafe {
        if upper {
            vcombine_s32(vget_high_s32(a), vget_high_s32(b))
        } else {
            vcombine_s32(vget_low_s32(a), vget_low_s32(b))
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
