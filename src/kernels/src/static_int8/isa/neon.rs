//! NEON: four registers hold sixteen sums, or four columns of sixteen channels. Codes are stored as signed bytes.

use std::{arch::aarch64::*, array::from_fn};

use super::{
    super::{filter::Filter, tile::tile},
    taps,
};
use crate::{
    byte_product::{BLOCK, ByteProduct, Rows, WordProduct},
    codes::{Codes, ColumnOrder, Dots, Pixels, Products, QUAD, QuadLines, Tiled, Words},
    lanes::LANES,
    neon::Neon,
};

/// Bytes `[pixel][channel]` of four channels, as `[channel][pixel]`.
const TRANSPOSE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
const SIGN: u8 = 0x80;

type Sums = [int32x4_t; 4];
type Quads = [uint8x16_t; 4];

/// Lanes in four registers, their products by an instruction for words.
#[derive(Clone, Copy)]
struct Registers<W>(W);

// Every intrinsic below needs NEON, which `self` proves.
impl<W: WordProduct> Dots for Registers<W> {
    type Sums = Sums;
    type Quads = Quads;

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> Sums {
        // SAFETY: NEON is there; the caller promises sixteen elements.
        unsafe { load_sums(from) }
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const u8) -> Quads {
        // SAFETY: NEON is there; the caller promises 64 bytes, and the loads need no alignment.
        let quarter = |i: usize| unsafe { vld1q_u8(from.add(16 * i)) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    unsafe fn broadcast(self, from: *const u8) -> Quads {
        // SAFETY: NEON is there; the caller promises four bytes.
        unsafe { [vreinterpretq_u8_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())); 4] }
    }

    #[inline(always)]
    fn dot(self, sums: Sums, codes: Quads, weights: Quads) -> Sums {
        let quarter = |i: usize| self.0.dot(sums[i], signed(codes[i]), signed(weights[i]));
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn middle(self, a: Quads, b: Quads) -> Quads {
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe {
            let [a, b] = [vreinterpretq_u32_u8(a[i]), vreinterpretq_u32_u8(b[i])];
            vreinterpretq_u8_u32(vsliq_n_u32::<16>(vshrq_n_u32::<16>(a), b))
        };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }
}

impl<P: ByteProduct> Products for Neon<P> {
    type Sums = Sums;
    type Quads = Quads;
    const DEPTH: usize = P::DEPTH;
    const PADDING: usize = BLOCK;

    #[inline(always)]
    fn column_order(self) -> ColumnOrder {
        match self.product().words() {
            Some(_) => ColumnOrder::Quads,
            None => ColumnOrder::Pixels,
        }
    }

    /// A block of a pixel is a block of a row. Six pixels go through it at once or four.
    #[inline(always)]
    unsafe fn of_pixels<const M: usize>(
        self,
        pixels: Pixels,
        weights: *const u8,
        bias: *const i32,
    ) -> [Sums; M] {
        // SAFETY: NEON is there; the caller promises the biases.
        let bias = unsafe { load_sums(bias) };
        let mut sums = [bias; M];
        let mut done = 0;
        while done < M {
            let first = pixels.first.wrapping_add(done * LANES);
            let left = &mut sums[done..];
            // SAFETY: the caller promises the pixels and the weights.
            done += unsafe {
                if P::ROWS >= 6 && (left.len() > 8 || left.len() == 6) {
                    self.put_pixels::<6>(Pixels { first, ..pixels }, weights, bias, left)
                } else {
                    self.put_pixels::<4>(Pixels { first, ..pixels }, weights, bias, left)
                }
            };
        }
        sums
    }

    #[inline(always)]
    unsafe fn of_words<const M: usize, const STEP: usize, const INNER: usize>(
        self,
        words: Words,
        weights: *const u8,
        bias: *const i32,
    ) -> [Sums; M] {
        // SAFETY: NEON is there; the caller promises the words, the weights and the biases, and sixteen bytes of each run.
        unsafe {
            match self.product().words() {
                Some(product) => {
                    tile::<_, M, STEP, INNER>(Registers(product), words, weights, bias)
                }
                None => {
                    let bytes = side_by_side::<M, STEP>(words);
                    let first = from_fn(|m| bytes[m].as_ptr().cast());
                    let rows = Rows { first, step: BLOCK, blocks: ROW / BLOCK };
                    self.product().products(rows, weights.cast(), load_sums(bias))
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn of_quads<const K: usize, const S: usize, const G: usize>(
        self,
        quads: QuadLines,
        words: *const u8,
        bias: *const i32,
    ) -> [[Sums; 4]; G] {
        // SAFETY: NEON is there; the caller promises the quads, the words or taps, and the biases.
        unsafe {
            if let Some(product) = self.product().words() {
                return Filter { dots: Registers(product), quads, words, bias }.sums::<K, S, G>();
            }
            let mut all = [[load_sums(bias); 4]; G];
            for (g, sums) in all.iter_mut().enumerate() {
                let quads = QuadLines { first: quads.first.add(g * S * QUAD), ..quads };
                *sums = taps::four_outputs::<K, S>(quads, words, sums[0]);
            }
            all
        }
    }
}

impl<P: ByteProduct> Codes for Neon<P> {
    const FLIP: u8 = SIGN;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        if P::ROWS >= 6 {
            job.run::<Self, 6>(self);
        } else {
            job.run::<Self, 4>(self);
        }
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
        let column = mask.to_le_bytes();
        // SAFETY: NEON is there.
        let quarter = |i: usize| unsafe {
            let mask = match self.column_order() {
                ColumnOrder::Quads => vreinterpretq_u8_u32(vdupq_n_u32(mask)),
                ColumnOrder::Pixels => vdupq_n_u8(column[i]),
            };
            vbslq_u8(mask, quads[i], vdupq_n_u8(fill))
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
        if self.column_order() == ColumnOrder::Pixels {
            return self.pack_pixels(columns);
        }
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
        if self.column_order() == ColumnOrder::Pixels {
            return [a, b, c, d];
        }
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
    /// Puts the sums of the first `R` pixels into `sums`; gives `R`.
    ///
    /// # Safety
    /// All channels of the pixels can be read, and as many weights as the pixels have channels times sixteen.
    #[inline(always)]
    unsafe fn put_pixels<const R: usize>(
        self,
        pixels: Pixels,
        weights: *const u8,
        bias: Sums,
        sums: &mut [Sums],
    ) -> usize {
        let first = from_fn(|r| pixels.first.wrapping_add(r * LANES).cast());
        let rows = Rows { first, step: pixels.block_stride, blocks: pixels.channels / BLOCK };
        // SAFETY: NEON is there; the caller promises the pixels and the weights.
        let products = unsafe { self.product().products::<R>(rows, weights.cast(), bias) };
        sums[..R].copy_from_slice(&products);
        R
    }

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

/// Bytes that a pixel's runs of words take side by side.
const ROW: usize = 2 * BLOCK;

/// The bytes of the runs of `M` pixels, at most four, side by side. What follows those of the last run is arbitrary.
///
/// # Safety
/// Sixteen bytes of each run can be read.
#[inline(always)]
unsafe fn side_by_side<const M: usize, const STEP: usize>(words: Words) -> [[u8; ROW]; 5] {
    let mut rows = [[0; ROW]; 5];
    assert!(M < rows.len() && words.outer * words.bytes <= ROW, "too many pixels or words");
    let to = rows.as_mut_ptr().cast::<u8>();
    for m in 0..M {
        for run in 0..words.outer {
            // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON. The caller promises what is read. A run begins in one of
            // the first four rows: sixteen bytes from there end in the row behind it, and the next run is written over the last.
            unsafe {
                let bytes = vld1q_u8(words.first.add(m * STEP + run * words.stride));
                vst1q_u8(to.add(m * ROW + run * words.bytes), bytes);
            }
        }
    }
    rows
}

/// Loads sixteen sums.
///
/// # Safety
/// Sixteen elements can be read at `from`.
#[inline(always)]
unsafe fn load_sums(from: *const i32) -> Sums {
    // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON; the caller promises the elements, and the loads need no alignment.
    let quarter = |i: usize| unsafe { vld1q_s32(from.add(4 * i)) };
    [quarter(0), quarter(1), quarter(2), quarter(3)]
}

/// Bytes as the products take them.
#[inline(always)]
fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: every 64-bit Arm CPU that Rust compiles for has NEON.
    unsafe { vreinterpretq_s8_u8(bytes) }
}
