//! Products of the words of neighbouring pixels with a panel of weights.

use crate::{
    codes::{Dots, QUAD, Words},
    lanes::LANES,
};

/// The sums of `M` pixels, `STEP` bytes apart, with `C` vectors of sixteen outputs.
///
/// # Safety
/// All words of all pixels can be read, as many weights as there are words times `C` vectors, and `C` vectors of biases.
#[inline(always)]
pub(super) unsafe fn tile<
    D: Dots,
    const M: usize,
    const C: usize,
    const STEP: usize,
    const INNER: usize,
>(
    dots: D,
    words: Words,
    weights: *const u8,
    bias: *const i32,
) -> [[D::Sums; M]; C] {
    debug_assert!(words.bytes <= 4 * INNER, "a run of more words");
    // SAFETY: the caller promises that what is read here can be.
    unsafe {
        let mut sums = [[dots.load_sums(bias); M]; C];
        for (c, sums) in sums.iter_mut().enumerate().skip(1) {
            *sums = [dots.load_sums(bias.add(c * LANES)); M];
        }
        let mut weights = weights;
        for run in 0..words.outer {
            let from = words.first.add(run * words.stride);
            for word in 0..INNER {
                add_word::<D, M, C, STEP>(dots, &mut sums, from.add(4 * word), weights);
                weights = weights.add(C * QUAD);
            }
        }
        let from = words.first.add(words.outer * words.stride);
        for word in 0..words.tail {
            add_word::<D, M, C, STEP>(dots, &mut sums, from.add(4 * word), weights);
            weights = weights.add(C * QUAD);
        }
        sums
    }
}

/// Adds the products of one word of each of `M` pixels with `C` vectors of weights.
#[inline(always)]
unsafe fn add_word<D: Dots, const M: usize, const C: usize, const STEP: usize>(
    dots: D,
    sums: &mut [[D::Sums; M]; C],
    from: *const u8,
    weights: *const u8,
) {
    // SAFETY: the caller promises the words and the weights.
    unsafe {
        let mut vectors = [dots.load_quads(weights); C];
        for (c, vector) in vectors.iter_mut().enumerate().skip(1) {
            *vector = dots.load_quads(weights.add(c * QUAD));
        }
        for m in 0..M {
            let word = dots.broadcast(from.add(m * STEP));
            for (sums, &vector) in sums.iter_mut().zip(&vectors) {
                sums[m] = dots.dot(sums[m], word, vector);
            }
        }
    }
}
