//! 256-bit registers: two of them hold sixteen sums, or sixteen quads.

use std::arch::x86_64::*;

use crate::{
    codes::{Codes, Dots, Tiled},
    ymm::{ByteProduct, Ymm},
};

/// Bytes `[pixel][channel]` of four channels in each half of a register, as `[channel][pixel]`.
const TRANSPOSE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

type Pair = [__m256i; 2];

// Every intrinsic below needs AVX2, which `self` proves.
impl<P: ByteProduct> Dots for Ymm<P> {
    type Sums = Pair;
    type Quads = Pair;

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> Pair {
        // SAFETY: AVX2 is there; the caller promises sixteen elements, and the loads need no alignment.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const u8) -> Pair {
        // SAFETY: AVX2 is there; the caller promises 64 bytes, and the loads need no alignment.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }

    #[inline(always)]
    unsafe fn broadcast(self, from: *const u8) -> Pair {
        // SAFETY: AVX2 is there; the caller promises four bytes.
        unsafe { [_mm256_set1_epi32(from.cast::<i32>().read_unaligned()); 2] }
    }

    #[inline(always)]
    fn dot(self, sums: Pair, codes: Pair, weights: Pair) -> Pair {
        let product = self.product();
        [product.dot(sums[0], codes[0], weights[0]), product.dot(sums[1], codes[1], weights[1])]
    }

    #[inline(always)]
    fn middle(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: AVX2 is there.
        let half = |i: usize| unsafe {
            _mm256_or_si256(_mm256_srli_epi32::<16>(a[i]), _mm256_slli_epi32::<16>(b[i]))
        };
        [half(0), half(1)]
    }
}

impl<P: ByteProduct> Codes for Ymm<P> {
    const FLIP: u8 = P::FLIP;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        job.run::<Self, 4>(self);
    }

    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8) -> Pair {
        // SAFETY: the caller promises 64 bytes.
        unsafe { self.load_quads(from) }
    }

    #[inline(always)]
    unsafe fn store_quads(self, quads: Pair, to: *mut u8) {
        // SAFETY: AVX2 is there; the caller promises 64 bytes, and the stores need no alignment.
        unsafe {
            _mm256_storeu_si256(to.cast(), quads[0]);
            _mm256_storeu_si256(to.add(32).cast(), quads[1]);
        }
    }

    #[inline(always)]
    fn select(self, quads: Pair, mask: u32, fill: u8) -> Pair {
        // SAFETY: AVX2 is there.
        let half = |i: usize| unsafe {
            let mask = _mm256_set1_epi32(mask.cast_signed());
            _mm256_blendv_epi8(_mm256_set1_epi8(fill.cast_signed()), quads[i], mask)
        };
        [half(0), half(1)]
    }

    #[inline(always)]
    fn to_f32(self, sums: Pair) -> [__m256; 2] {
        // SAFETY: AVX2 is there.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }

    #[inline(always)]
    fn to_sums(self, values: [__m256; 2]) -> Pair {
        // SAFETY: AVX2 is there.
        unsafe { [_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1])] }
    }

    #[inline(always)]
    fn add_sums(self, a: Pair, b: i32) -> Pair {
        // SAFETY: AVX2 is there.
        unsafe {
            let b = _mm256_set1_epi32(b);
            [_mm256_add_epi32(a[0], b), _mm256_add_epi32(a[1], b)]
        }
    }

    #[inline(always)]
    unsafe fn load_codes(self, from: *const u8) -> [__m256; 2] {
        // SAFETY: AVX2 is there; the caller promises sixteen bytes, and the load needs no alignment.
        unsafe {
            let stored = _mm_loadu_si128(from.cast());
            let codes = _mm_xor_si128(stored, _mm_set1_epi8(P::FLIP.cast_signed()));
            let half = |codes| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes));
            [half(codes), half(_mm_unpackhi_epi64(codes, codes))]
        }
    }

    #[inline(always)]
    fn pack_quads(self, columns: [Pair; 4]) -> Pair {
        // SAFETY: AVX2 is there; the table has sixteen bytes.
        unsafe {
            let order = _mm256_broadcastsi128_si256(_mm_loadu_si128(TRANSPOSE.as_ptr().cast()));
            let [low, high] = self.pack(columns);
            [_mm256_shuffle_epi8(low, order), _mm256_shuffle_epi8(high, order)]
        }
    }

    #[inline(always)]
    fn pack_pixels(self, pixels: [Pair; 4]) -> Pair {
        self.exchange(self.pack(pixels))
    }

    #[inline(always)]
    fn pixels_to_quads(self, pixels: Pair) -> Pair {
        // SAFETY: AVX2 is there; the table has sixteen bytes.
        unsafe {
            let order = _mm256_broadcastsi128_si256(_mm_loadu_si128(TRANSPOSE.as_ptr().cast()));
            let [low, high] = self.exchange(pixels);
            [_mm256_shuffle_epi8(low, order), _mm256_shuffle_epi8(high, order)]
        }
    }
}

impl<P: ByteProduct> Ymm<P> {
    /// Four rows of sixteen sums clamped to stored codes: each quarter of the pair holds four channels, row after row.
    #[inline(always)]
    fn pack(self, rows: [Pair; 4]) -> Pair {
        let half = |i: usize| {
            // SAFETY: AVX2 is there.
            unsafe {
                let low = _mm256_packs_epi32(rows[0][i], rows[1][i]);
                let high = _mm256_packs_epi32(rows[2][i], rows[3][i]);
                _mm256_xor_si256(
                    _mm256_packus_epi16(low, high),
                    _mm256_set1_epi8(P::FLIP.cast_signed()),
                )
            }
        };
        [half(0), half(1)]
    }

    /// Words `[quarter][row]` as `[row][quarter]`, and back: a transposition of four times four words.
    #[inline(always)]
    fn exchange(self, [low, high]: Pair) -> Pair {
        // SAFETY: AVX2 is there.
        unsafe {
            // Rows 0 and 1 of quarters 0 | 1 and 2 | 3, then rows 2 and 3.
            let evens = _mm256_unpacklo_epi64(low, high);
            let odds = _mm256_unpackhi_epi64(low, high);
            // [q0r0 q0r1 q2r0 q2r1 | q1r0 q1r1 q3r0 q3r1] to [q0r0 q1r0 q2r0 q3r0 | q0r1 q1r1 q2r1 q3r1].
            let order = _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7);
            [_mm256_permutevar8x32_epi32(evens, order), _mm256_permutevar8x32_epi32(odds, order)]
        }
    }
}
