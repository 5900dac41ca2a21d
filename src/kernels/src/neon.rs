//! 64-bit Arm with NEON: the float operations and the int8 products of every instruction set of theirs.
//!
//! They differ in how they multiply bytes, which is a type of its own: [`ByteProduct`].

use std::arch::aarch64::*;

use crate::{
    byte_product::{BLOCK, ByteProduct, PANEL_BLOCK, PREFETCH, Rows, prefetch},
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::{LANES, Lanes},
    neon_f32_product::{INPUTS, add_products},
};

/// Proof that the CPU has NEON and the instruction that `P` multiplies bytes with.
#[derive(Clone, Copy)]
pub(crate) struct Neon<P>(P);

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
    const PANEL: PanelShape = PanelShape { columns: LANES, depth: P::DEPTH, offset: 0 };
    const INT8_ROWS: usize = P::ROWS;
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
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], _: &[i8], sums: &mut [i32]) {
        match rows.len() {
            1 => self.rows::<1>(rows, panel, sums),
            2 => self.rows::<2>(rows, panel, sums),
            3 => self.rows::<3>(rows, panel, sums),
            5 if P::ROWS > 4 => self.rows::<5>(rows, panel, sums),
            6 if P::ROWS > 4 => self.rows::<6>(rows, panel, sums),
            _ => self.rows::<4>(rows, panel, sums),
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
        assert!(rows.len() == R * width && planes[1].len() == width && width.is_multiple_of(BLOCK));
        let [high, low] = planes.map(<[i8]>::as_ptr);
        // SAFETY: NEON, proven by `self`. Block b of sixteen elements reads bytes 16b..16b+16 of both planes and of each of the
        // R rows; b < width / 16. A prefetch may name any address.
        unsafe {
            let mut totals = [[vdupq_n_s32(0); 2]; R];
            for at in (0..width).step_by(BLOCK) {
                let query = [high, low].map(|plane| vld1q_s8(plane.add(at)));
                let mut row = [query[0]; R];
                for (r, row) in row.iter_mut().enumerate() {
                    let from = rows.as_ptr().add(r * width + at);
                    if at % 64 == 0 {
                        prefetch(from.wrapping_add(PREFETCH));
                    }
                    *row = vld1q_s8(from);
                }
                match totals.as_flattened_mut().as_chunks_mut::<8>() {
                    ([eight], []) => {
                        let rows = std::array::from_fn(|i| row[i / 2]);
                        self.0.add_products(eight, rows, std::array::from_fn(|i| query[i % 2]));
                    }
                    _ => {
                        for (totals, row) in totals.iter_mut().zip(row) {
                            self.0.add_products(totals, [row; 2], query);
                        }
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                *sums = totals.map(|total| vaddvq_s32(total));
            }
        }
    }
}

impl<P: ByteProduct> Neon<P> {
    /// `R` rows by a panel: their sums, `[R, 16]`.
    #[inline(always)]
    fn rows<const R: usize>(self, rows: &[QuantizedRow<'_>], panel: &[i8], sums: &mut [i32]) {
        let blocks = panel.len() / PANEL_BLOCK;
        assert!(rows.len() >= R && sums.len() >= R * LANES);
        assert!(rows.iter().all(|row| row.values.len() >= blocks * BLOCK));
        let first: [_; R] = std::array::from_fn(|r| rows[r].values.as_ptr());
        // SAFETY: NEON, proven by `self`. The assertions hold every row to so many blocks, and the panel has as many; the
        // stores are of four sums each.
        unsafe {
            let rows = Rows { first, step: BLOCK, blocks };
            let products = self.0.products(rows, panel.as_ptr(), [vdupq_n_s32(0); 4]);
            for (four, sums) in products.as_flattened().iter().zip(sums.as_chunks_mut::<4>().0) {
                vst1q_s32(sums.as_mut_ptr(), *four);
            }
        }
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

    #[inline(always)]
    fn row_products<const R: usize>(self, rows: [&[f32]; R], panel: &[f32]) -> [F32; R] {
        let mut sums = [self.splat(0.0); R];
        let mut done = 0;
        // Fewer rows would wait for their own sums, with half of a panel's columns at a time.
        if R >= 4 {
            let steps = panel.len() / (INPUTS * LANES);
            done = steps * INPUTS;
            assert!(rows.iter().all(|row| row.len() >= done));
            let rows = rows.map(<[f32]>::as_ptr);
            // SAFETY: NEON, proven by `self`. The assertion holds the rows to so many steps, and the panel has as many.
            unsafe { add_products(&rows, panel.as_ptr(), steps, &mut sums) };
        }
        self.add_row_products(sums, rows.map(|row| &row[done..]), &panel[done * LANES..])
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
