//! AVX-512 with VNNI: one register holds sixteen sums, or sixteen quads.

use std::arch::x86_64::*;

use crate::{
    avx512::Avx512Vnni,
    codes::{Codes, Dots, Tiled},
};

/// Bytes `[pixel][channel]` of four channels in each quarter of a register, as `[channel][pixel]`.
const TRANSPOSE: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
/// Words `[quarter][pixel]` as `[pixel][quarter]`, and back.
const QUARTERS: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

// Every intrinsic below needs AVX-512 F, BW or VNNI, which `self` proves.
impl Dots for Avx512Vnni {
    type Sums = __m512i;
    type Quads = __m512i;

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> __m512i {
        // SAFETY: AVX-512 is there; the caller promises sixteen elements, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const u8) -> __m512i {
        // SAFETY: AVX-512 is there; the caller promises 64 bytes, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(self, from: *const u8) -> __m512i {
        // SAFETY: AVX-512 is there; the caller promises four bytes.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, codes: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: AVX-512 VNNI is there.
        unsafe { _mm512_dpbusd_epi32(sums, codes, weights) }
    }

    #[inline(always)]
    fn middle(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: AVX-512 BW is there.
        unsafe { _mm512_ror_epi32::<16>(_mm512_mask_blend_epi16(0x5555_5555, a, b)) }
    }
}

impl Codes for Avx512Vnni {
    const FLIP: u8 = 0;

    #[inline(always)]
    fn with_tiles<T: Tiled>(self, job: T) {
        job.run::<Self, 12>(self);
    }

    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8) -> __m512i {
        // SAFETY: the caller promises 64 bytes.
        unsafe { self.load_quads(from) }
    }

    #[inline(always)]
    unsafe fn store_quads(self, quads: __m512i, to: *mut u8) {
        // SAFETY: AVX-512 is there; the caller promises 64 bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.cast(), quads) }
    }

    #[inline(always)]
    fn select(self, quads: __m512i, mask: u32, fill: u8) -> __m512i {
        // SAFETY: AVX-512 is there. 0xCA is the truth table of `mask ? quads : fill`.
        unsafe {
            let mask = _mm512_set1_epi32(mask.cast_signed());
            let fill = _mm512_set1_epi8(fill.cast_signed());
            _mm512_ternarylogic_epi32::<0xCA>(mask, quads, fill)
        }
    }

    #[inline(always)]
    fn to_f32(self, sums: __m512i) -> __m512 {
        // SAFETY: AVX-512 is there.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn to_sums(self, values: __m512) -> __m512i {
        // SAFETY: AVX-512 is there.
        unsafe { _mm512_cvtps_epi32(values) }
    }

    #[inline(always)]
    fn add_sums(self, a: __m512i, b: i32) -> __m512i {
        // SAFETY: AVX-512 is there.
        unsafe { _mm512_add_epi32(a, _mm512_set1_epi32(b)) }
    }

    #[inline(always)]
    unsafe fn load_codes(self, from: *const u8) -> __m512 {
        // SAFETY: AVX-512 is there; the caller promises sixteen bytes, and the load needs no alignment.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    fn pack_quads(self, columns: [__m512i; 4]) -> __m512i {
        // SAFETY: AVX-512 BW is there; the table has sixteen bytes.
        unsafe {
            let order = _mm512_broadcast_i32x4(_mm_loadu_si128(TRANSPOSE.as_ptr().cast()));
            _mm512_shuffle_epi8(self.pack(columns), order)
        }
    }

    #[inline(always)]
    fn pack_pixels(self, pixels: [__m512i; 4]) -> __m512i {
        // SAFETY: AVX-512 is there; the table has sixteen words.
        unsafe {
            let order = _mm512_loadu_si512(QUARTERS.as_ptr().cast());
            _mm512_permutexvar_epi32(order, self.pack(pixels))
        }
    }

    #[inline(always)]
    fn pixels_to_quads(self, pixels: __m512i) -> __m512i {
        // SAFETY: AVX-512 BW is there; the tables have 16 words and 16 bytes.
        unsafe {
            let quarters = _mm512_loadu_si512(QUARTERS.as_ptr().cast());
            let order = _mm512_broadcast_i32x4(_mm_loadu_si128(TRANSPOSE.as_ptr().cast()));
            _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, pixels), order)
        }
    }
}

impl Avx512Vnni {
    /// Four rows of sixteen sums clamped to codes: each quarter holds four channels of the rows, row after row.
    #[inline(always)]
    fn pack(self, rows: [__m512i; 4]) -> __m512i {
        let [a, b, c, d] = rows;
        // SAFETY: AVX-512 BW is there.
        unsafe { _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)) }
    }
}
