//! NEON: four registers hold sixteen sums, or sixteen quads. Codes are stored as signed bytes.

use std::arch::aarch64::*;

use crate::{
    codes::{Codes, Tiled},
    neon::{ByteProduct, Neon},
};

/// Bytes `[pixel][channel]` of four channels, as `[channel][pixel]`.
const TRANSPOSE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
const SIGN: u8 = 0x80;

type Sums = [int32x4_t; 4];
type Quads = [uint8x16_t; 4];

// Every intrinsic below needs NEON, which `self` proves.
impl<P: ByteProduct> Codes for Neon<P> {
    type Sums = Sums;
    type Quads = Quads;
    const FLIP: u8 = SIGN;
    const VECTORS: usize = 1;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        job.run::<Self, 4>(self);
    }

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> Sums {
        // SAFETY: NEON is there; the caller promises sixteen elements, and the loads need no alignment.
        let quarter = |i: usize| unsafe { vld1q_s32(from.add(4 * i)) };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
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
    unsafe fn store_quads(self, quads: Quads, to: *mut u8) {
        // SAFETY: NEON is there; the caller promises 64 bytes, and the stores need no alignment.
        let store = |i: usize| unsafe { vst1q_u8(to.add(16 * i), quads[i]) };
        store(0);
        store(1);
        store(2);
        store(3);
    }

    #[inline(always)]
    fn dot(self, sums: Sums, codes: Quads, weights: Quads) -> Sums {
        let product = self.product();
        let quarter = |i: usize| {
            // SAFETY: NEON is there.
            let [codes, weights] =
                unsafe { [vreinterpretq_s8_u8(codes[i]), vreinterpretq_s8_u8(weights[i])] };
            product.dot(sums[i], codes, weights)
        };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
    }

    #[inline(always)]
    fn middle(self, a: Quads, b: Quads) -> Quads {
        let quarter = |i: usize| {
            // SAFETY: NEON is there.
            unsafe {
                let [a, b] = [vreinterpretq_u32_u8(a[i]), vreinterpretq_u32_u8(b[i])];
                vreinterpretq_u8_u32(vsliq_n_u32::<16>(vshrq_n_u32::<16>(a), b))
            }
        };
        [quarter(0), quarter(1), quarter(2), quarter(3)]
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
