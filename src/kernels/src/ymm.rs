//! 256-bit registers with AVX2 and FMA: the float operations and the int8 products of every instruction set that has them.
//!
//! They differ in how they multiply bytes, which is a type of its own: [`ByteProduct`].

use std::arch::x86_64::*;

use crate::{
    isa::{Isa, Operation, PanelShape, QuantizedRow},
    lanes::Lanes,
};

/// Proof that the CPU has AVX2, FMA and the instruction that `P` multiplies bytes with.
#[derive(Clone, Copy)]
pub(crate) struct Ymm<P>(P);

/// A way to multiply bytes in 256-bit registers. A value proves that the CPU has AVX2, FMA and its instruction.
pub(crate) trait ByteProduct: Copy {
    /// The layout of int8 weights that its products read.
    const PANEL: PanelShape;
    /// The most rows that its products take.
    const INT8_ROWS: usize;
    /// The mask that stored codes of static int8 layers are codes by exclusive or with: 0x80 where they are signed.
    const FLIP: u8;

    /// The proof, if the CPU has them.
    fn detect() -> Option<Self>;

    /// Runs an operation compiled for AVX2, FMA and its instruction.
    fn run<O: Operation>(self, operation: O) -> O::Output;

    /// Multiplies rows by a panel of weights: see [`Isa::int8_products`].
    fn int8_products(self, rows: &[QuantizedRow<'_>], panel: &[i8], ahead: &[i8], sums: &mut [i32]);

    /// Adds to each of eight sums the products of its four stored codes with its four signed weights.
    fn dot(self, sums: __m256i, codes: __m256i, weights: __m256i) -> __m256i;
}

impl<P: ByteProduct> Ymm<P> {
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

impl<P: ByteProduct> Isa for Ymm<P> {
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
    fn int8_products(
        self,
        rows: &[QuantizedRow<'_>],
        panel: &[i8],
        ahead: &[i8],
        sums: &mut [i32],
    ) {
        self.0.int8_products(rows, panel, ahead, sums);
    }

    #[inline(always)]
    fn row_products<const R: usize>(
        self,
        rows: &[i8],
        planes: [&[i8]; 2],
        sums: &mut [[i32; 2]; R],
    ) {
        let width = planes[0].len();
        assert!(rows.len() == R * width && planes[1].len() == width && width.is_multiple_of(32));
        let [high, low] = planes.map(<[i8]>::as_ptr);
        let unsigned = P::FLIP == 0;
        // SAFETY: AVX2, proven by `self`. Block b of 32 elements reads bytes 32b..32b+32 of both planes and of each of the R
        // rows; b < width / 32.
        unsafe {
            let (flip, ones) = (_mm256_set1_epi8(i8::MIN), _mm256_set1_epi8(1));
            let mut totals = [[_mm256_setzero_si256(); 2]; R];
            let mut elements = [_mm256_setzero_si256(); 2];
            for at in (0..width).step_by(32) {
                let query = [high, low].map(|plane| _mm256_loadu_si256(plane.add(at).cast()));
                if unsigned {
                    for (sum, query) in elements.iter_mut().zip(query) {
                        *sum = self.0.dot(*sum, ones, query);
                    }
                }
                for (r, totals) in totals.iter_mut().enumerate() {
                    let mut row = _mm256_loadu_si256(rows.as_ptr().add(r * width + at).cast());
                    if unsigned {
                        // With 128 added, which is taken off below.
                        row = _mm256_xor_si256(row, flip);
                    }
                    for (total, query) in totals.iter_mut().zip(query) {
                        *total = self.0.dot(*total, row, query);
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                for ((sum, total), elements) in sums.iter_mut().zip(totals).zip(elements) {
                    let added = _mm256_slli_epi32::<7>(elements);
                    *sum = add_up(_mm256_sub_epi32(total, added));
                }
            }
        }
    }
}

/// The sum of eight.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn add_up(eight: __m256i) -> i32 {
    // SAFETY: operations on registers, which the caller promises are there.
    unsafe {
        let four =
            _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
        let pair = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
        _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair)))
    }
}

/// Two halves of sixteen lanes.
type F32 = [__m256; 2];

impl<P: ByteProduct> Lanes for Ymm<P> {
    type F32 = F32;

    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> F32 {
        let from = &from[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen elements are there, and the loads need no alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, values: F32, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen elements are there, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), values[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), values[1]);
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> F32 {
        let from = &from[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen integers are there, and the loads need no alignment.
        unsafe {
            let half = |i| _mm256_cvtepi32_ps(_mm256_loadu_si256(from.as_ptr().add(i).cast()));
            [half(0), half(8)]
        }
    }

    #[inline(always)]
    fn store_i8(self, values: F32, to: &mut [i8]) {
        let to = &mut to[..16];
        // SAFETY: AVX2 and FMA, proven by `self`; sixteen bytes are there, and the store needs no alignment.
        unsafe {
            let [low, high] = [_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1])];
            // Packing works on halves of a register; the permutation puts the quarters back in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        }
    }

    #[inline(always)]
    fn add(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs(self, a: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        }
    }

    #[inline(always)]
    fn round(self, a: F32) -> F32 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe { [_mm256_round_ps::<NEAREST>(a[0]), _mm256_round_ps::<NEAREST>(a[1])] }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, a: F32, n: F32) -> F32 {
        // SAFETY: AVX2 and FMA, proven by `self`.
        unsafe {
            let power = |n| {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            };
            [_mm256_mul_ps(a[0], power(n[0])), _mm256_mul_ps(a[1], power(n[1]))]
        }
    }
}
