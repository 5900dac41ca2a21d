//! Layer normalisation of rows.

use crate::{
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::{LANES, Lanes},
};

/// Layer normalisation: `(x - mean) / √(variance + epsilon) × weight + bias` over each row.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Factors, one for each element of a row.
    pub weight: Vec<f32>,
    /// Summands, one for each element of a row.
    pub bias: Vec<f32>,
    /// Keeps a constant row from dividing by zero.
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalises `rows`, `[rows, width]`, into `normalized`, of the same shape.
    ///
    /// # Panics
    /// When the shapes differ, the elements are not whole rows, or there are not as many summands as factors.
    pub fn apply(&self, cpu: Cpu, rows: &[f32], normalized: &mut [f32]) {
        let width = self.weight.len();
        assert!(self.fits(width) && rows.len().is_multiple_of(width.max(1)), "whole rows");
        assert_eq!(rows.len(), normalized.len(), "as many normalized elements as elements");
        cpu.run(Apply { norm: self, rows, normalized });
    }

    /// Whether rows have `width` elements.
    pub(crate) fn fits(&self, width: usize) -> bool {
        [self.weight.len(), self.bias.len()] == [width; 2]
    }

    /// Normalises one row and returns the largest magnitude in it.
    #[inline(always)]
    pub(crate) fn apply_to_row<L: Lanes>(
        &self,
        lanes: L,
        row: &[f32],
        normalized: &mut [f32],
    ) -> f32 {
        let width = row.len() as f32;
        let mean = lanes.splat(sum(lanes, row, |x| x) / width);
        let square = |x| {
            let distance = lanes.sub(x, mean);
            lanes.mul(distance, distance)
        };
        // The empty lanes of a last, partial vector would each count as the distance of 0 to the mean.
        let whole = row.len() - row.len() % LANES;
        let mut squares = sum(lanes, &row[..whole], square);
        for &x in &row[whole..] {
            let distance = x - lanes.to_array(mean)[0];
            squares = distance.mul_add(distance, squares);
        }
        let factor = lanes.splat(1.0 / (squares / width + self.epsilon).sqrt());
        let mut largest = lanes.splat(0.0);
        let parts = row.chunks(LANES).zip(normalized.chunks_mut(LANES));
        let affine = self.weight.chunks(LANES).zip(self.bias.chunks(LANES));
        for ((from, to), (weight, bias)) in parts.zip(affine) {
            let distance = lanes.sub(lanes.load_part(from, 0.0), mean);
            let weight = lanes.mul(lanes.load_part(weight, 0.0), factor);
            let value = lanes.mul_add(distance, weight, lanes.load_part(bias, 0.0));
            largest = lanes.max(lanes.abs(value), largest);
            lanes.store_part(value, to);
        }
        lanes.largest(largest)
    }
}

#[inline(always)]
fn sum<L: Lanes>(lanes: L, row: &[f32], of: impl Fn(L::F32) -> L::F32) -> f32 {
    let mut total = lanes.splat(0.0);
    for part in row.chunks(LANES) {
        total = lanes.add(of(lanes.load_part(part, 0.0)), total);
    }
    lanes.sum(total)
}

struct Apply<'a> {
    norm: &'a LayerNorm,
    rows: &'a [f32],
    normalized: &'a mut [f32],
}

impl Operation for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let width = self.norm.weight.len().max(1);
        for (row, normalized) in
            self.rows.chunks_exact(width).zip(self.normalized.chunks_exact_mut(width))
        {
            self.norm.apply_to_row(isa.lanes(), row, normalized);
        }
    }
}
