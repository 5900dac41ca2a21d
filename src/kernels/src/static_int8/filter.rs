//! Sums of depthwise filters over quads.

use crate::codes::{Dots, QUAD, QuadLines};

/// A filter at one place of the quads.
#[derive(Clone, Copy)]
pub(super) struct Filter<D> {
    pub(super) dots: D,
    pub(super) quads: QuadLines,
    /// The words of the filter: see [`FilterWords`](super::filter_layout::FilterWords).
    pub(super) words: *const u8,
    pub(super) bias: *const i32,
}

impl<D: Dots> Filter<D> {
    /// The sums of `G` times four neighbouring outputs of a filter of `K` lines that moves by `S`.
    ///
    /// # Safety
    /// `G × S + 1` quads of each of `K` lines can be read, the filter's words, and the biases of its lanes.
    #[inline(always)]
    pub(super) unsafe fn sums<const K: usize, const S: usize, const G: usize>(
        self,
    ) -> [[D::Sums; 4]; G] {
        // SAFETY: the caller promises what is read.
        unsafe {
            match (K, S) {
                (3, 1) => self.three_at_one::<G>(),
                (5, 1) => self.five_at_one::<G>(),
                _ => self.at_two::<K, G>(),
            }
        }
    }

    /// Two words a line; outputs 2 and 3 take them with columns moved by two.
    #[inline(always)]
    unsafe fn three_at_one<const G: usize>(self) -> [[D::Sums; 4]; G] {
        let dots = self.dots;
        // SAFETY: the caller promises the biases.
        let mut sums = [[unsafe { dots.load_sums(self.bias) }; 4]; G];
        // SAFETY: the caller promises G + 1 quads of three lines; the filter has six words.
        unsafe {
            for line in 0..3 {
                let words = self.words.add(line * 2 * QUAD);
                let words = [dots.load_quads(words), dots.load_quads(words.add(QUAD))];
                let from = self.quads.first.add(line * self.quads.line_bytes);
                let mut quad = dots.load_quads(from);
                for (g, sums) in sums.iter_mut().enumerate() {
                    let next = dots.load_quads(from.add((g + 1) * QUAD));
                    let moved = dots.middle(quad, next);
                    let ([a, b, c, d], [first, second]) = (*sums, words);
                    let codes = [quad, moved, quad, moved];
                    let [a, c, b, d] =
                        dots.dots([a, c, b, d], codes, [first, first, second, second]);
                    *sums = [a, b, c, d];
                    quad = next;
                }
            }
        }
        sums
    }

    /// Eight words a line: two for each of four outputs.
    #[inline(always)]
    unsafe fn five_at_one<const G: usize>(self) -> [[D::Sums; 4]; G] {
        let dots = self.dots;
        // SAFETY: the caller promises the biases.
        let mut sums = [[unsafe { dots.load_sums(self.bias) }; 4]; G];
        // SAFETY: the caller promises G + 1 quads of five lines; the filter has forty words.
        unsafe {
            for line in 0..5 {
                let words = self.words.add(line * 8 * QUAD);
                let from = self.quads.first.add(line * self.quads.line_bytes);
                let mut quads = [dots.load_quads(from); G];
                for (g, quad) in quads.iter_mut().enumerate().skip(1) {
                    *quad = dots.load_quads(from.add(g * QUAD));
                }
                let last = dots.load_quads(from.add(G * QUAD));
                if let [sums] = &mut sums[..] {
                    let mut filter = [dots.load_quads(words); 8];
                    for (i, word) in filter.iter_mut().enumerate().skip(1) {
                        *word = dots.load_quads(words.add(i * QUAD));
                    }
                    let [w0, w1, w2, w3, w4, w5, w6, w7] = filter;
                    *sums = dots.dots(*sums, [quads[0]; 4], [w0, w2, w4, w6]);
                    *sums = dots.dots(*sums, [last; 4], [w1, w3, w5, w7]);
                    continue;
                }
                #[allow(clippy::needless_range_loop)]
                for i in 0..4 {
                    let first = dots.load_quads(words.add(2 * i * QUAD));
                    let second = dots.load_quads(words.add((2 * i + 1) * QUAD));
                    for (g, sums) in sums.iter_mut().enumerate() {
                        let next = if g + 1 < G { quads[g + 1] } else { last };
                        sums[i] = dots.dot(dots.dot(sums[i], quads[g], first), next, second);
                    }
                }
            }
        }
        sums
    }

    /// Four words a line: two for each of two outputs of a quad and the next.
    #[inline(always)]
    unsafe fn at_two<const K: usize, const G: usize>(self) -> [[D::Sums; 4]; G] {
        let dots = self.dots;
        // SAFETY: the caller promises the biases.
        let mut sums = [[unsafe { dots.load_sums(self.bias) }; 4]; G];
        // SAFETY: the caller promises 2 G + 1 quads of K lines; the filter has 4 K words.
        unsafe {
            for line in 0..K {
                let words = self.words.add(line * 4 * QUAD);
                let mut filter = [dots.load_quads(words); 4];
                for (i, word) in filter.iter_mut().enumerate().skip(1) {
                    *word = dots.load_quads(words.add(i * QUAD));
                }
                let from = self.quads.first.add(line * self.quads.line_bytes);
                let mut quad = dots.load_quads(from);
                let [w0, w1, w2, w3] = filter;
                for (g, sums) in sums.iter_mut().enumerate() {
                    let next = dots.load_quads(from.add((2 * g + 1) * QUAD));
                    let last = dots.load_quads(from.add((2 * g + 2) * QUAD));
                    *sums = dots.dots(*sums, [quad, quad, next, next], [w0, w2, w0, w2]);
                    if K == 5 {
                        *sums = dots.dots(*sums, [next, next, last, last], [w1, w3, w1, w3]);
                    } else {
                        // A filter of three columns ends within the quad for the first and the third output.
                        sums[1] = dots.dot(sums[1], next, w3);
                        sums[3] = dots.dot(sums[3], last, w3);
                    }
                    quad = last;
                }
            }
        }
        sums
    }
}
