//! Arm with the dot product instructions: `sdot` adds four products of bytes to each of four sums.
//!
//! Both sides are signed. Its form "by element" takes the four activations from a quarter of a
//! register, so that one load of a row serves sixteen inputs.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    byte_product::{BLOCK, ByteProduct, PANEL_BLOCK, PREFETCH, Rows, WordProduct, prefetch},
    isa::Operation,
    neon::Neon,
    smull::Smull,
};

/// Proof that the CPU has NEON and `sdot`.
#[derive(Clone, Copy)]
pub(crate) struct Sdot(Smull);

impl ByteProduct for Sdot {
    type Words = Self;
    const DEPTH: usize = 4;
    const ROWS: usize = 6;

    fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("dotprod").then(Smull::detect)?.map(Self)
    }

    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon,dotprod")]
        fn compiled<O: Operation>(isa: Neon<Sdot>, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(Neon::proven_by(self), operation) }
    }

    /// `4 R` quadruples of sums stay in registers, beside `R` of activations and one or two of weights.
    #[inline(always)]
    unsafe fn products<const R: usize>(
        self,
        rows: Rows<R>,
        panel: *const i8,
        start: [int32x4_t; 4],
    ) -> [[int32x4_t; 4]; R] {
        let mut quadruples = [start; R];
        // SAFETY: `self` proves NEON and `sdot`. A block of the rows meets 256 bytes of the panel, in four groups; the caller
        // promises both.
        unsafe {
            for block in 0..rows.blocks {
                let at = panel.add(block * PANEL_BLOCK);
                for line in 0..4 {
                    prefetch(at.wrapping_add(PREFETCH + 64 * line));
                }
                let values = rows.load(block);
                group::<R, 0>(at, &values, &mut quadruples);
                group::<R, 1>(at, &values, &mut quadruples);
                group::<R, 2>(at, &values, &mut quadruples);
                group::<R, 3>(at, &values, &mut quadruples);
            }
        }
        quadruples
    }

    #[inline(always)]
    fn add_products<const N: usize>(
        self,
        sums: &mut [int32x4_t; N],
        a: [int8x16_t; N],
        b: [int8x16_t; N],
    ) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = self.dot(*sum, a, b);
        }
    }

    #[inline(always)]
    fn words(self) -> Option<Self> {
        Some(self)
    }
}

impl WordProduct for Sdot {
    #[inline(always)]
    fn dot(self, mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // SAFETY: one instruction over registers, which `self` proves.
        unsafe {
            asm!(
                "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
                sums = inout(vreg) sums,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }
}

/// Group `G` of a block's four: four inputs of every row with sixteen columns.
///
/// # Safety
/// The CPU has `sdot`, and 256 bytes can be read from `block` on.
#[inline(always)]
unsafe fn group<const R: usize, const G: usize>(
    block: *const i8,
    values: &[int8x16_t; R],
    quadruples: &mut [[int32x4_t; 4]; R],
) {
    #[allow(clippy::needless_range_loop)]
    for c in 0..4 {
        // SAFETY: G and c are below four: the load ends within 256 bytes. The caller promises the rest.
        unsafe {
            let weights = vld1q_s8(block.add(64 * G + BLOCK * c));
            for r in 0..R {
                quadruples[r][c] = sdot::<G>(quadruples[r][c], weights, values[r]);
            }
        }
    }
}

/// `sums + weights × values`, four products a sum; the values are quarter `Q`, the same for all sums.
///
/// # Safety
/// The CPU has `sdot`.
#[inline(always)]
unsafe fn sdot<const Q: usize>(
    mut sums: int32x4_t,
    weights: int8x16_t,
    values: int8x16_t,
) -> int32x4_t {
    // SAFETY: one instruction over registers, which the caller promises is there.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{quarter}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            quarter = const Q,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
