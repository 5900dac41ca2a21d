//! Products of the words of neighbouring pixels with a panel of weights.

use crate::codes::{Dots, QUAD, Words};

/// The sums of `M` pixels, `STEP` bytes apart, with sixteen outputs.
///
/// # Safety
/// All words of all pixels can be read, a vector of weights for each word, and sixteen biases.
#[inline(always)]
pub(super) unsafe fn tile<D: Dots, const M: usize, const STEP: usize, const INNER: usize>(
    dots: D,
    words: Words,
    weights: *const u8,
    bias: *const i32,
) -> [D::Sums; M] {
    debug_assert!(words.bytes <= 4 * INNER, "a run of more words");
    // SAFETY: the caller promises that what is read here can be.
    unsafe {
        let mut sums = [dots.load_sums(bias); M];
        let mut weights = weights;
        for run in 0..words.outer {
            let from = words.first.add(run * words.stride);
            for word in 0..INNER {
                add_word::<D, M, STEP>(dots, &mut sums, from.add(4 * word), weights);
                weights = weights.add(QUAD);
            }
        }
        let from = words.first.add(words.outer * words.stride);
        for word in 0..words.tail {
            add_word::<D, M, STEP>(dots, &mut sums, from.add(4 * word), weights);
            weights = weights.add(QUAD);
        }
        sums
    }
}

/// Adds the products of one word of each of `M` pixels with a vector of weights.
#[inline(always)]
unsafe fn add_word<D: Dots, const M: usize, const STEP: usize>(
    dots: D,
    sums: &mut [D::Sums; M],
    from: *const u8,
    weights: *const u8,
) {
    // SAFETY: the caller promises the words and the weights.
    unsafe {
        let vector = dots.load_quads(weights);
        for (m, sum) in sums.iter_mut().enumerate() {
            *sum = dots.dot(*sum, dots.broadcast(from.add(m * STEP)), vector);
        }
    }
}
