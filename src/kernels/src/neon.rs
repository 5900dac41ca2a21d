//! Any 64-bit Arm: `smull` and `smlal2` add two products of bytes in 16 bits, `sadalp` adds pairs of those to 32-bit sums.
//!
//! Two products of integers within ±127 fit 16 bits; a third need not. Sixteen inputs of a column
//! meet sixteen of a row, and the four sums that a pair of them keeps are added up in the end.

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::Lanes,
    scalar::Scalar,
};

/// Proof that the CPU has NEON; `sdot` and `smmla` have proofs of their own and compute floats with this one.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// The proof, if the CPU has it.
    pub(crate) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs an operation compiled for NEON.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "neon")]
        fn compiled<O: Operation>(isa: Neon, operation: O) -> O::Output {
            operation.run(isa)
        }
        // SAFETY: `self` proves that the CPU has every feature that `compiled` enables.
        unsafe { compiled(self, operation) }
    }
}

/// Four quarters of sixteen lanes.
type F32 = [float32x4_t; 4];

#[inline(always)]
fn each(a: F32, f: impl Fn(float32x4_t) -> float32x4_t) -> F32 {
    [f(a[0]), f(a[1]), f(a[2]), f(a[3])]
}

#[inline(always)]
fn pairs(a: F32, b: F32, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> F32 {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Lanes for Neon {
    type F32 = F32;

    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> F32 {
        let from = from[..16].as_ptr();
        // SAFETY: NEON, proven by `self`; sixteen elements are there, and the loads need no alignment.
        unsafe {
            let quarter = |i| vld1q_f32(from.add(i));
            [quarter(0), quarter(4), quarter(8), quarter(12)]
        }
    }

    #[inline(always)]
    fn store(self, values: F32, to: &mut [f32]) {
        let to = to[..16].as_mut_ptr();
        // SAFETY: NEON, proven by `self`; sixteen elements are there, and the stores need no alignment.
        unsafe {
            vst1q_f32(to, values[0]);
            vst1q_f32(to.add(4), values[1]);
            vst1q_f32(to.add(8), values[2]);
            vst1q_f32(to.add(12), values[3]);
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> F32 {
        let from = from[..16].as_ptr();
        // SAFETY: NEON, proven by `self`; sixteen integers are there, and the loads need no alignment.
        unsafe {
            let quarter = |i| vcvtq_f32_s32(vld1q_s32(from.add(i)));
            [quarter(0), quarter(4), quarter(8), quarter(12)]
        }
    }

    #[inline(always)]
    fn store_i8(self, values: F32, to: &mut [i8]) {
        let to = to[..16].as_mut_ptr();
        // SAFETY: NEON, proven by `self`; sixteen bytes are there, and the store needs no alignment.
        unsafe {
            let words = |i: usize| vqmovn_s32(vcvtnq_s32_f32(values[i]));
            let low = vcombine_s16(words(0), words(1));
            let high = vcombine_s16(words(2), words(3));
            vst1q_s8(to, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
        }
    }

    #[inline(always)]
    fn add(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vdivq_f32(a, b) })
    }

    #[inline(always)]
    fn mul_add(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        let quarter = |i: usize| unsafe { vfmaq_f32(c[i], a[i], b[i]) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    // `fmax` and `fmin` give NaN for NaN: comparing and choosing does what every other instruction set does.
    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, b, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn abs(self, a: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        each(a, |a| unsafe { vabsq_f32(a) })
    }

    #[inline(always)]
    fn round(self, a: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        each(a, |a| unsafe { vrndnq_f32(a) })
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, a: F32, n: F32) -> F32 {
        // SAFETY: NEON, proven by `self`.
        pairs(a, n, |a, n| unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        })
    }
}

impl Isa for Neon {
    type Lanes = Self;
    type Codes = Scalar;
    const PANEL: PanelShape = PanelShape { columns: 16, depth: 16, offset: 0 };
    const INT8_ROWS: usize = 4;
    const F32_ROWS: usize = 6;

    #[inline(always)]
    fn lanes(self) -> Self {
        self
    }

    #[inline(always)]
    fn codes(self) -> Scalar {
        Scalar
    }

    #[inline(always)]
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], _: &[i8], sums: &mut [i32]) {
        match rows.len() {
            1 => self.tile::<1, 8>(rows, panel, sums),
            2 => self.tile::<2, 4>(rows, panel, sums),
            3 => self.tile::<3, 4>(rows, panel, sums),
            _ => self.tile::<4, 4>(rows, panel, sums),
        }
    }
}

/// How far ahead of the product the weights are asked for, in bytes.
pub(crate) const PREFETCH: usize = 1024;

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub(crate) fn prefetch(at: *const i8) {
    // SAFETY: a prefetch of an address that is not there does nothing.
    unsafe {
        asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nomem, nostack, preserves_flags));
    }
}

impl Neon {
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
