//! Depthwise products of quads: four or two neighbouring outputs of sixteen channels from each quad.

use super::{packed::DepthwiseLayer, quads::QuadShape};
use crate::{
    codes::{Codes, QUAD, QuadLines},
    lanes::LANES,
};

/// One vector of sixteen channels: its quads and where its codes go.
pub(super) struct DepthwisePanel<'a> {
    pub(super) layer: &'a DepthwiseLayer,
    pub(super) shape: QuadShape,
    /// The vector of sixteen channels, of all of the layer's.
    pub(super) vector: usize,
    /// `[lines][quads][64]`
    pub(super) quads: &'a [u8],
    /// `[pixels][16]`
    pub(super) output: &'a mut [u8],
}

/// What all outputs of a vector share.
struct Filter<I: Codes> {
    /// The filter's words or taps.
    words: *const u8,
    bias: *const i32,
    multipliers: I::F32,
    zero_point: i32,
    line_bytes: usize,
}

impl DepthwisePanel<'_> {
    /// Convolves all lines.
    #[inline(always)]
    pub(super) fn run<I: Codes, const M: usize>(self, isa: I) {
        let (layer, requantizer) = (self.layer, &self.layer.requantizer);
        let bias = requantizer.bias[self.vector * LANES..][..LANES].as_ptr();
        let filter = Filter {
            words: layer.filter(self.vector),
            bias,
            multipliers: isa.load(&requantizer.multipliers[self.vector * LANES..]),
            zero_point: i32::from(requantizer.zero_point),
            line_bytes: self.shape.line_bytes(),
        };
        assert!(self.quads.len() >= self.shape.panel_bytes(), "too few quads");
        assert!(
            self.output.len() == self.shape.output[0] * self.shape.output[1] * LANES,
            "another output"
        );
        match (layer.size, layer.stride) {
            (3, 1) => self.lines::<I, M, 3, 1>(isa, &filter),
            (5, 1) => self.lines::<I, M, 5, 1>(isa, &filter),
            (3, _) => self.lines::<I, M, 3, 2>(isa, &filter),
            _ => self.lines::<I, M, 5, 2>(isa, &filter),
        }
    }

    #[inline(always)]
    fn lines<I: Codes, const M: usize, const K: usize, const S: usize>(
        self,
        isa: I,
        filter: &Filter<I>,
    ) {
        let [lines, columns] = self.shape.output;
        let line_bytes = self.shape.line_bytes();
        for line in 0..lines {
            let from = self.quads[line * S * line_bytes..].as_ptr();
            let mut column = 0;
            while column < columns {
                let fours = (columns - column).div_ceil(4);
                // SAFETY: `QuadShape` has a quad for every four outputs and stride, and one more; K lines from this one on.
                unsafe {
                    let from = from.add(column / 4 * S * QUAD);
                    let at = (line * columns + column) * LANES;
                    let to = &mut self.output[at..];
                    let left = columns - column;
                    column += 4 * match (M, fours) {
                        (12, 4..) => store(isa, filter.fours::<K, S, 4>(isa, from), to, left),
                        (12, 3) => store(isa, filter.fours::<K, S, 3>(isa, from), to, left),
                        (12, 2) => store(isa, filter.fours::<K, S, 2>(isa, from), to, left),
                        _ => store(isa, filter.fours::<K, S, 1>(isa, from), to, left),
                    };
                }
            }
        }
    }
}

/// Writes `G` times four pixels. What lies beyond the line is written over by the next line, and not written behind the last.
#[inline(always)]
fn store<I: Codes, const G: usize>(isa: I, codes: [I::Quads; G], to: &mut [u8], _: usize) -> usize {
    for (to, codes) in to.chunks_mut(QUAD).zip(codes) {
        // SAFETY: 64 bytes are there in the first case and in the array.
        unsafe {
            if to.len() == QUAD {
                isa.store_quads(codes, to.as_mut_ptr());
            } else {
                let mut part = [0; QUAD];
                isa.store_quads(codes, part.as_mut_ptr());
                to.copy_from_slice(&part[..to.len()]);
            }
        }
    }
    G
}

impl<I: Codes> Filter<I> {
    /// `G` times four outputs, from the quad at `from` on.
    ///
    /// # Safety
    /// `G × S + 1` quads of each of `K` lines can be read.
    #[inline(always)]
    unsafe fn fours<const K: usize, const S: usize, const G: usize>(
        &self,
        isa: I,
        from: *const u8,
    ) -> [I::Quads; G] {
        let quads = QuadLines { first: from, line_bytes: self.line_bytes };
        // SAFETY: the caller promises the quads; a filter has as many words as are read, and a vector as many biases.
        let sums = unsafe { isa.of_quads::<K, S, G>(quads, self.words, self.bias) };
        // SAFETY: every filter has a word.
        let mut codes = [unsafe { isa.load_pixels(self.words) }; G];
        for (codes, &four) in codes.iter_mut().zip(&sums) {
            *codes = isa.pack_pixels(isa.requantize_four(four, self.multipliers, self.zero_point));
        }
        codes
    }
}
