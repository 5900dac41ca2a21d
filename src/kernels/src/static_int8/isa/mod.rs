//! [`Codes`](crate::codes::Codes) for each instruction set.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "aarch64")]
mod taps;
#[cfg(target_arch = "x86_64")]
mod ymm;

use super::{filter::Filter, tile::tile};
use crate::{
    codes::{Dots, Pixels, Products, QuadLines, Words},
    lanes::{LANES, Lanes},
};

/// Instruction sets whose products take all sixteen lanes.
impl<D: Dots + Lanes> Products for D {
    type Sums = <D as Dots>::Sums;
    type Quads = <D as Dots>::Quads;
    const DEPTH: usize = 4;
    const PADDING: usize = 4;

    #[inline(always)]
    unsafe fn of_pixels<const M: usize>(
        self,
        Pixels { first, block_stride: stride, channels }: Pixels,
        weights: *const u8,
        bias: *const i32,
    ) -> [Self::Sums; M] {
        let (outer, tail) = (channels / LANES, channels % LANES / 4);
        let words = Words { first, outer, stride, tail, bytes: LANES };
        // SAFETY: the caller promises the pixels, the weights and the biases.
        unsafe { tile::<D, M, LANES, 4>(self, words, weights, bias) }
    }

    #[inline(always)]
    unsafe fn of_words<const M: usize, const STEP: usize, const INNER: usize>(
        self,
        words: Words,
        weights: *const u8,
        bias: *const i32,
    ) -> [Self::Sums; M] {
        // SAFETY: the caller promises the words, the weights and the biases.
        unsafe { tile::<D, M, STEP, INNER>(self, words, weights, bias) }
    }

    #[inline(always)]
    unsafe fn of_quads<const K: usize, const S: usize, const G: usize>(
        self,
        quads: QuadLines,
        words: *const u8,
        bias: *const i32,
    ) -> [[Self::Sums; 4]; G] {
        // SAFETY: the caller promises the quads, the words and the biases.
        unsafe { Filter { dots: self, quads, words, bias }.sums::<K, S, G>() }
    }
}
