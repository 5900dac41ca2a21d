//! Products of neighbouring pixels with a panel of weights.

use crate::{
    codes::{Codes, QUAD},
    lanes::LANES,
};

/// Where the words of a tile's first pixel stand: `outer` runs of `INNER` words, `stride` bytes apart, and `tail` words more.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) first: *const u8,
    pub(super) outer: usize,
    pub(super) stride: usize,
    pub(super) tail: usize,
}

impl Words {
    /// The channels of a pixel of an image whose blocks are `stride` bytes apart.
    pub(super) fn of_pixel(first: *const u8, groups: usize, stride: usize) -> Self {
        Self { first, outer: groups / 4, stride, tail: groups % 4 }
    }
}

/// The sums of `M` pixels, `STEP` bytes apart, with `C` vectors of sixteen outputs.
///
/// # Safety
/// All words of all pixels can be read, as many weights as there are words times `C` vectors, and `C` vectors of biases.
#[inline(always)]
pub(super) unsafe fn tile<
    I: Codes,
    const M: usize,
    const C: usize,
    const STEP: usize,
    const INNER: usize,
>(
    isa: I,
    words: Words,
    weights: *const u8,
    bias: *const i32,
) -> [[I::Sums; M]; C] {
    // SAFETY: the caller promises that what is read here can be.
    unsafe {
        let mut sums = [[isa.load_sums(bias); M]; C];
        for (c, sums) in sums.iter_mut().enumerate().skip(1) {
            *sums = [isa.load_sums(bias.add(c * LANES)); M];
        }
        let mut weights = weights;
        for run in 0..words.outer {
            let from = words.first.add(run * words.stride);
            for word in 0..INNER {
                add_word::<I, M, C, STEP>(isa, &mut sums, from.add(4 * word), weights);
                weights = weights.add(C * QUAD);
            }
        }
        let from = words.first.add(words.outer * words.stride);
        for word in 0..words.tail {
            add_word::<I, M, C, STEP>(isa, &mut sums, from.add(4 * word), weights);
            weights = weights.add(C * QUAD);
        }
        sums
    }
}

/// Adds the products of one word of each of `M` pixels with `C` vectors of weights.
#[inline(always)]
unsafe fn add_word<I: Codes, const M: usize, const C: usize, const STEP: usize>(
    isa: I,
    sums: &mut [[I::Sums; M]; C],
    from: *const u8,
    weights: *const u8,
) {
    // SAFETY: the caller promises the words and the weights.
    unsafe {
        let mut vectors = [isa.load_quads(weights); C];
        for (c, vector) in vectors.iter_mut().enumerate().skip(1) {
            *vector = isa.load_quads(weights.add(c * QUAD));
        }
        for m in 0..M {
            let word = isa.broadcast(from.add(m * STEP));
            for (sums, &vector) in sums.iter_mut().zip(&vectors) {
                sums[m] = isa.dot(sums[m], word, vector);
            }
        }
    }
}
