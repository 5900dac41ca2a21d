//! NEON: four registers hold sixteen sums, or sixteen quads. Codes are stored as signed bytes.

use std::arch::{aarch64::*, asm};

use super::super::{filter::Filter, tile::tile};
use crate::{
    byte_product::{BLOCK, ByteProduct, Rows},
    codes::{Codes, Dots, Pixels, Products, QuadLines, Tiled, Words},
    lanes::LANES,
    neon::Neon,
};

/// Bytes `[pixel][channel]` of four channels, as `[channel][pixel]`.
const TRANSPOSE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
const SIGN: u8 = 0x80;

type Sums = [int32x4_t; 4];
type Quads = [uint8x16_t; 4];

/// Lanes of a register.
const REGISTER: usize = 4;

/// `N` registers of lanes: all four of a vector, or one.
///
/// One leaves registers for the products that are on their way, which a CPU needs that issues in order: four outputs of a
/// quarter of the channels are made at once, quarter after quarter.
#[derive(Clone, Copy)]
struct Registers<P, const N: usize>(P);

// Every intrinsic below needs NEON, which `self` proves.
impl<P: ByteProduct, const N: usize> Dots for Registers<P, N> {
    type Sums = [int32x4_t; N];
    type Quads = [uint8x16_t; N];
    const IN_ORDER: bool = N == 1;

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> [int32x4_t; N] {
        // SAFETY: NEON is there; the caller promises 4 N elements, and the loads need no alignment.
        std::array::from_fn(|i| unsafe { vld1q_s32(from.add(4 * i)) })
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const u8) -> [uint8x16_t; N] {
        // SAFETY: NEON is there; the caller promises 16 N bytes, and the loads need no alignment.
        std::array::from_fn(|i| unsafe { vld1q_u8(from.add(16 * i)) })
    }

    #[inline(always)]
    unsafe fn broadcast(self, from: *const u8) -> [uint8x16_t; N] {
        // SAFETY: NEON is there; the caller promises four bytes.
        unsafe { [vreinterpretq_u8_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())); N] }
    }

    #[inline(always)]
    fn dot(
        self,
        mut sums: [int32x4_t; N],
        codes: [uint8x16_t; N],
        weights: [uint8x16_t; N],
    ) -> [int32x4_t; N] {
        for ((sum, codes), weights) in sums.iter_mut().zip(codes).zip(weights) {
            *sum = self.0.dot(*sum, signed(codes), signed(weights));
        }
        sums
    }

    #[inline(always)]
    fn dots(
        self,
        mut sums: [[int32x4_t; N]; 4],
        codes: [[uint8x16_t; N]; 4],
        weights: [[uint8x16_t; N]; 4],
    ) -> [[int32x4_t; N]; 4] {
        if N == 1 {
            let four = |bytes: [[uint8x16_t; N]; 4]| bytes.map(|register| signed(register[0]));
            let dots = self.0.dots(sums.map(|sum| sum[0]), four(codes), four(weights));
            return dots.map(|sum| [sum; N]);
        }
        for ((sums, codes), weights) in sums.iter_mut().zip(codes).zip(weights) {
            *sums = self.dot(*sums, codes, weights);
        }
        sums
    }

    #[inline(always)]
    fn middle(self, a: [uint8x16_t; N], b: [uint8x16_t; N]) -> [uint8x16_t; N] {
        // SAFETY: NEON is there.
        std::array::from_fn(|i| unsafe {
            let [a, b] = [vreinterpretq_u32_u8(a[i]), vreinterpretq_u32_u8(b[i])];
            vreinterpretq_u8_u32(vsliq_n_u32::<16>(vshrq_n_u32::<16>(a), b))
        })
    }
}

impl<P: ByteProduct> Products for Neon<P> {
    type Sums = Sums;
    type Quads = Quads;
    const DEPTH: usize = P::DEPTH;
    const PADDING: usize = BLOCK;

    /// A block of a pixel is a block of a row, and a panel has one vector.
    #[inline(always)]
    unsafe fn of_pixels<const M: usize, const C: usize>(
        self,
        pixels: Pixels,
        weights: *const u8,
        bias: *const i32,
    ) -> [[Sums; M]; C] {
        let first = std::array::from_fn(|m| pixels.first.wrapping_add(m * LANES).cast());
        let rows = Rows { first, step: pixels.block_stride, blocks: pixels.channels / BLOCK };
        // SAFETY: NEON is there; the caller promises the pixels, the weights and the biases, whose loads need no alignment.
        unsafe {
            let quarter = |i: usize| vld1q_s32(bias.add(REGISTER * i));
            let bias = [quarter(0), quarter(1), quarter(2), quarter(3)];
            [self.product().products(rows, weights.cast(), bias); C]
        }
    }

    #[inline(always)]
    unsafe fn of_words<const M: usize, const C: usize, const STEP: usize, const INNER: usize>(
        self,
        words: Words,
        weights: *const u8,
        bias: *const i32,
    ) -> [[Sums; M]; C] {
        let product = self.product();
        // SAFETY: NEON is there; the caller promises the words, and four quarters of weights and biases.
        unsafe {
            if !P::IN_ORDER {
                return tile::<_, M, C, STEP, INNER>(Registers(product), words, weights, bias);
            }
            let mut all = [[[vdupq_n_s32(0); 4]; M]; C];
            for i in quarters() {
                let (weights, bias) = (weights.add(4 * REGISTER * i), bias.add(REGISTER * i));
                let quarter =
                    tile::<_, M, C, STEP, INNER>(Registers(product), words, weights, bias);
                put_quarter(i, quarter.as_flattened(), all.as_flattened_mut());
            }
            all
        }
    }

    #[inline(always)]
    unsafe fn of_quads<const K: usize, const S: usize, const G: usize>(
        self,
        quads: QuadLines,
        words: *const u8,
        bias: *const i32,
    ) -> [[Sums; 4]; G] {
        let product = self.product();
        // SAFETY: NEON is there; the caller promises four quarters of quads, words and biases.
        unsafe {
            // The sums of a small filter leave enough registers.
            if !P::IN_ORDER || (K, S) == (3, 1) {
                return Filter { dots: Registers(product), quads, words, bias }.sums::<K, S, G>();
            }
            let mut all = [[[vdupq_n_s32(0); 4]; 4]; G];
            for i in quarters() {
                let quads = QuadLines { first: quads.first.add(4 * REGISTER * i), ..quads };
                let (words, bias) = (words.add(4 * REGISTER * i), bias.add(REGISTER * i));
                let filter = Filter { dots: Registers(product), quads, words, bias };
                let quarter = filter.sums::<K, S, G>();
                put_quarter(i, quarter.as_flattened(), all.as_flattened_mut());
            }
            all
        }
    }
}

impl<P: ByteProduct> Codes for Neon<P> {
    const FLIP: u8 = SIGN;
    const VECTORS: usize = 1;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        job.run::<Self, 4>(self);
    }

    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8) -> Quads {
        // SAFETY: NEON is there; the caller promises 64 bytes, and the loads need no alignment.
        let quarter = |i: usize| unsafe { vld1q_u8(from.add(16 * i)) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    unsafe fn store_quads(self, quads: Quads, to: *mut u8) {
        // SAFETY: NEON is there; the caller promises 64 bytes, and the stores need no alignment.
        let store = |i: usize| unsafe { vst1q_u8(to.add(16 * i), quads[i]) };
        store(0);
        store(1);
        store(2);
        store(3);
    }

    #[inline(always)]
    fn select(self, quads: Quads, mask: u32, fill: u8) -> Quads {
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe {
            vbslq_u8(vreinterpretq_u8_u32(vdupq_n_u32(mask)), quads[i], vdupq_n_u8(fill))
        };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn to_f32(self, sums: Sums) -> [float32x4_t; 4] {
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe { vcvtq_f32_s32(sums[i]) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn to_sums(self, values: [float32x4_t; 4]) -> Sums {
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe { vcvtnq_s32_f32(values[i]) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn add_sums(self, a: Sums, b: i32) -> Sums {
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe { vaddq_s32(a[i], vdupq_n_s32(b)) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    unsafe fn load_codes(self, from: *const u8) -> [float32x4_t; 4] {
        // SAFETY: NEON is there; the caller promises sixteen bytes, and the load needs no alignment.
        unsafe {
            let codes = veorq_u8(vld1q_u8(from), vdupq_n_u8(SIGN));
            let [low, high] = [vmovl_u8(vget_low_u8(codes)), vmovl_high_u8(codes)];
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            ]
        }
    }

    #[inline(always)]
    fn pack_quads(self, columns: [Sums; 4]) -> Quads {
        let [a, b, c, d] = columns;
        // SAFETY: NEON is there; the table has sixteen bytes.
        let quarter = |i: usize| unsafe {
            vqtbl1q_u8(self.pack([a[i], b[i], c[i], d[i]]), vld1q_u8(TRANSPOSE.as_ptr()))
        };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn pack_pixels(self, pixels: [Sums; 4]) -> Quads {
        let [a, b, c, d] = pixels;
        [self.pack(a), self.pack(b), self.pack(c), self.pack(d)]
    }

    #[inline(always)]
    fn pixels_to_quads(self, [a, b, c, d]: Quads) -> Quads {
        // SAFETY: NEON is there.
        unsafe {
            let halves = |pair: uint8x16_t, other: uint8x16_t| {
                let [pair, other] = [vreinterpretq_u16_u8(pair), vreinterpretq_u16_u8(other)];
                [
                    vreinterpretq_u8_u16(vzip1q_u16(pair, other)),
                    vreinterpretq_u8_u16(vzip2q_u16(pair, other)),
                ]
            };
            let [first, second] = halves(vzip1q_u8(a, b), vzip1q_u8(c, d));
            let [third, fourth] = halves(vzip2q_u8(a, b), vzip2q_u8(c, d));
            [first, second, third, fourth]
        }
    }
}

impl<P: ByteProduct> Neon<P> {
    /// Sixteen sums clamped to stored codes.
    #[inline(always)]
    fn pack(self, [a, b, c, d]: [int32x4_t; 4]) -> uint8x16_t {
        // SAFETY: NEON is there.
        unsafe {
            let low = vqmovn_high_s32(vqmovn_s32(a), b);
            let high = vqmovn_high_s32(vqmovn_s32(c), d);
            veorq_u8(vqmovun_high_s16(vqmovun_s16(low), high), vdupq_n_u8(SIGN))
        }
    }
}

/// Puts the sums of one register where quarter `i` of a vector's are.
///
/// # Safety
/// `i` is below four.
#[inline(always)]
unsafe fn put_quarter(i: usize, quarter: &[[int32x4_t; 1]], all: &mut [Sums]) {
    for (all, [sums]) in all.iter_mut().zip(quarter) {
        // SAFETY: the caller promises `i`; a check would tell the compiler how many quarters there are.
        unsafe { *all.get_unchecked_mut(i) = *sums };
    }
}

/// The quarters of a vector, whose number the compiler cannot see: it would unroll a loop over them, move the loads of the last
/// before the products of the first, and have no registers for them.
#[inline(always)]
fn quarters() -> std::ops::Range<usize> {
    let mut count = 4;
    // SAFETY: the assembly is empty.
    unsafe {
        asm!("// {count}", count = inout(reg) count, options(pure, nomem, nostack, preserves_flags));
    }
    0..count
}

/// Bytes as the products take them.
#[inline(always)]
fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON.
    unsafe { vreinterpretq_s8_u8(bytes) }
}
