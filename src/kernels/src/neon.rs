//! 64-bit Arm with NEON: the float operations and the int8 products of every instruction set of theirs.
//!
//! They differ in how they multiply bytes, which is a type of its own: [`ByteProduct`].

use std::arch::{aarch64::*, asm};

use crate::{
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::Lanes,
};

/// Proof that the CPU has NEON and the instruction that `P` multiplies bytes with.
#[derive(Clone, Copy)]
pub(crate) struct Neon<P>(P);

/// A way to multiply signed bytes in 128-bit registers. A value proves that the CPU has NEON and its instruction.
pub(crate) trait ByteProduct: Copy {
    /// The layout of int8 weights that its products read.
    const PANEL: PanelShape;
    /// The most rows that its products take.
    const INT8_ROWS: usize;

    /// The proof, if the CPU has them.
    fn detect() -> Option<Self>;

    /// Runs an operation compiled for NEON and its instruction.
    fn run<O: Operation>(self, operation: O) -> O::Output;

    /// Multiplies rows by a panel of weights into `sums`: see [`Isa::int8_products`].
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]);

    /// Adds to each of four sums the products of its four bytes of `a`, -128 among them, with its four of `b`, in ±127.
    fn dot(self, sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t;
}

impl<P: ByteProduct> Neon<P> {
    /// The proof, if the CPU has them.
    pub(crate) fn detect() -> Option<Self> {
        P::detect().map(Self)
    }

    /// The proof that `product` is.
    pub(crate) fn proven_by(product: P) -> Self {
        Self(product)
    }

    /// The way to multiply bytes.
    #[inline(always)]
    pub(crate) fn product(self) -> P {
        self.0
    }

    /// Runs an operation compiled for the instruction set.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        self.0.run(operation)
    }
}

impl<P: ByteProduct> Isa for Neon<P> {
    type Lanes = Self;
    type Codes = Self;
    const PANEL: PanelShape = P::PANEL;
    const INT8_ROWS: usize = P::INT8_ROWS;
    const F32_ROWS: usize = 6;

    #[inline(always)]
    fn lanes(self) -> Self {
        self
    }

    #[inline(always)]
    fn codes(self) -> Self {
        self
    }

    #[inline(always)]
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], _: &[i8], sums: &mut [i32]) {
        self.0.int8_products(rows, panel, sums);
    }

    #[inline(always)]
    fn row_products<const R: usize>(
        self,
        rows: &[i8],
        planes: [&[i8]; 2],
        sums: &mut [[i32; 2]; R],
    ) {
        let width = planes[0].len();
        assert!(rows.len() == R * width && planes[1].len() == width && width.is_multiple_of(16));
        let [high, low] = planes.map(<[i8]>::as_ptr);
        // SAFETY: NEON, proven by `self`. Block b of sixteen elements reads bytes 16b..16b+16 of both planes and of each of the
        // R rows; b < width / 16. A prefetch may name any address.
        unsafe {
            let mut totals = [[vdupq_n_s32(0); 2]; R];
            for at in (0..width).step_by(16) {
                let query = [high, low].map(|plane| vld1q_s8(plane.add(at)));
                for (r, totals) in totals.iter_mut().enumerate() {
                    let from = rows.as_ptr().add(r * width + at);
                    if at % 64 == 0 {
                        prefetch(from.wrapping_add(PREFETCH));
                    }
                    let row = vld1q_s8(from);
                    for (total, query) in totals.iter_mut().zip(query) {
                        *total = self.0.dot(*total, row, query);
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                *sums = totals.map(|total| vaddvq_s32(total));
            }
        }
    }
}

/// Bytes between the product and the weights that are prefetched.
pub(crate) const PREFETCH: usize = 1024;

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub(crate) fn prefetch(at: *const i8) {
    // SAFETY: a prefetch of an address that is not there does nothing.
    unsafe {
        asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nomem, nostack, preserves_flags));
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

impl<P: ByteProduct> Lanes for Neon<P> {
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
