//! Arm with the dot product instructions: `sdot` adds four products of bytes to each of four sums.
//!
//! Both sides are signed. Its form "by element" takes the four activations from a quarter of a
//! register, so that one load of a row serves sixteen inputs.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    isa::{Operation, PanelShape, QuantizedRow},
    neon::{ByteProduct, Neon, PREFETCH, prefetch},
    smull::Smull,
};

/// Proof that the CPU has NEON and `sdot`.
#[derive(Clone, Copy)]
pub(crate) struct Sdot(Smull);

impl ByteProduct for Sdot {
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 4, offset: 0 };
    const INT8_ROWS: usize = 6;

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

    #[inline(always)]
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        match rows.len() {
            1 => self.tile::<1>(rows, panel, sums),
            2 => self.tile::<2>(rows, panel, sums),
            3 => self.tile::<3>(rows, panel, sums),
            4 => self.tile::<4>(rows, panel, sums),
            5 => self.tile::<5>(rows, panel, sums),
            _ => self.tile::<6>(rows, panel, sums),
        }
    }

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

impl Sdot {
    /// `R` rows by 16 columns: `4 R` quadruples of sums stay in registers, beside `R` of activations
    /// and one or two of weights.
    #[inline(always)]
    fn tile<const R: usize>(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        let columns = Self::PANEL.columns;
        let inputs = panel.len() / columns;
        assert!(rows.len() >= R && sums.len() >= R * columns && inputs.is_multiple_of(16));
        assert!(rows.iter().all(|row| row.values.len() >= inputs));
        let activations: [*const i8; R] = std::array::from_fn(|r| rows[r].values.as_ptr());
        // SAFETY: `self` proves NEON and `sdot`. Block b of sixteen inputs reads bytes 16b..16b+16 of every
        // row and, in four groups, 256b..256b+256 of the panel; b < inputs / 16.
        unsafe {
            let mut quadruples = [[vdupq_n_s32(0); 4]; R];
            for block in 0..inputs / 16 {
                let at = panel.as_ptr().add(block * 16 * columns);
                for line in 0..4 {
                    prefetch(at.wrapping_add(PREFETCH + 64 * line));
                }
                let values: [int8x16_t; R] =
                    std::array::from_fn(|r| vld1q_s8(activations[r].add(16 * block)));
                group::<R, 0>(at, &values, &mut quadruples);
                group::<R, 1>(at, &values, &mut quadruples);
                group::<R, 2>(at, &values, &mut quadruples);
                group::<R, 3>(at, &values, &mut quadruples);
            }
            for (quadruples, sums) in quadruples.iter().zip(sums.chunks_exact_mut(columns)) {
                for (four, sums) in quadruples.iter().zip(sums.chunks_exact_mut(4)) {
                    vst1q_s32(sums.as_mut_ptr(), *four);
                }
            }
        }
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
    for c in 0..4 {
        // SAFETY: G and c are below four: the load ends within 256 bytes. The caller promises the rest.
        unsafe {
            let weights = vld1q_s8(block.add(64 * G + 16 * c));
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
