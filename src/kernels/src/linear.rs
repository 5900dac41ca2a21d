//! A linear layer in one pass: product, scale, bias, activation and residual while the sums are at hand.

use std::ops::Range;

use crate::{
    activation::Activation,
    disjoint::DisjointMut,
    f32_product::f32_products,
    instruction_set::{Cpu, Isa, Operation},
    lanes::{LANES, Lanes},
    rows::{QuantizedRow, QuantizedRows},
    weights::{F32Weights, Int8Weights, Weights},
    work_queue::WorkQueue,
};

/// What goes into a linear layer.
#[derive(Clone, Copy)]
pub enum LinearInput<'a> {
    /// For int8 weights.
    Int8(&'a QuantizedRows),
    /// For f32 weights, `[rows, inputs]`.
    F32(&'a [f32]),
}

/// What a linear layer does with its products.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added to every row, if there is one.
    pub bias: Option<&'a [f32]>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Added in the end `[rows, outputs]`, if there is one.
    pub residual: Option<&'a [f32]>,
}

/// One use of a linear layer, which any number of threads work on.
pub struct Linear<'a> {
    cpu: Cpu,
    input: LinearInput<'a>,
    weights: &'a Weights,
    epilogue: Epilogue<'a>,
    rows: usize,
    panels: usize,
    output: DisjointMut<'a, f32>,
    /// Panels, block of rows after block of rows.
    queue: WorkQueue,
}

/// How many pieces of work each thread finds, so that a late one costs little.
const PIECES_PER_THREAD: usize = 6;

/// Rows that meet every panel before the next ones do: as many as stay in a small cache.
const BLOCK: usize = 256;

impl<'a> Linear<'a> {
    /// Prepares `output = epilogue(input × weights)`, `[rows, outputs]`, for `threads` threads.
    /// `None` if the shapes do not fit each other.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        input: LinearInput<'a>,
        weights: &'a Weights,
        epilogue: Epilogue<'a>,
        output: &'a mut [f32],
        threads: usize,
    ) -> Option<Self> {
        let (inputs, outputs) = (weights.inputs(), weights.outputs());
        let (rows, panels) = match (input, weights) {
            (LinearInput::Int8(rows), Weights::Int8(weights)) => (rows.len(), weights.count()),
            (LinearInput::F32(rows), Weights::F32(weights)) => {
                (rows.len() / inputs.max(1), weights.count())
            }
            _ => return None,
        };
        let fits = output.len() == rows * outputs
            && epilogue.bias.is_none_or(|bias| bias.len() == outputs)
            && epilogue.residual.is_none_or(|residual| residual.len() == output.len());
        let pieces = panels * rows.div_ceil(BLOCK);
        let at_once = pieces.div_ceil(threads.max(1) * PIECES_PER_THREAD);
        fits.then(|| Self {
            cpu,
            input,
            weights,
            epilogue,
            rows,
            panels,
            output: DisjointMut::new(output),
            queue: WorkQueue::new(pieces, if threads > 1 { at_once } else { pieces }),
        })
    }

    /// Works until no piece is left. The output is complete when every thread has returned.
    pub fn work(&self) {
        self.cpu.run(Work(self));
    }
}

struct Work<'a, 'b>(&'b Linear<'a>);

impl Operation for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let layer = self.0;
        // Cleared once, not for every panel: a step of one row has thousands of them.
        let mut sums = [0; MOST_SUMS];
        while let Some(pieces) = layer.queue.take() {
            for piece in pieces {
                let (block, panel) = (piece / layer.panels, piece % layer.panels);
                let block = block * BLOCK..((block + 1) * BLOCK).min(layer.rows);
                match (layer.input, layer.weights) {
                    (LinearInput::Int8(rows), Weights::Int8(weights)) => {
                        layer.int8_panel(isa, rows, weights, panel, block, &mut sums);
                    }
                    (LinearInput::F32(rows), Weights::F32(weights)) => {
                        layer.f32_panel(isa, rows, weights, panel, block);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The most rows that any instruction set's int8 product takes.
const MOST_ROWS: usize = 14;

/// The most sums that any makes at once.
const MOST_SUMS: usize = MOST_ROWS * 32;

impl Linear<'_> {
    #[inline(always)]
    fn int8_panel<I: Isa>(
        &self,
        isa: I,
        rows: &QuantizedRows,
        weights: &Int8Weights,
        index: usize,
        block: Range<usize>,
        sums: &mut [i32; MOST_SUMS],
    ) {
        const { assert!(I::INT8_ROWS <= MOST_ROWS && I::INT8_ROWS * I::PANEL.columns <= MOST_SUMS) };
        let lanes = isa.lanes();
        let panel = weights.panel(index);
        let first_column = index * I::PANEL.columns;
        let columns = I::PANEL.columns.min(weights.outputs - first_column);
        let mut tile = [QuantizedRow::default(); MOST_ROWS];
        let next = weights.panel((index + 1).min(weights.count() - 1));
        // Each row of this panel asks for its share of the next.
        let share = next.len() / block.len().max(1);
        for (offset, count) in even_tiles(block.len(), I::INT8_ROWS) {
            let start = block.start + offset;
            let tile = &mut tile[..count];
            tile.iter_mut().zip(start..).for_each(|(row, index)| *row = rows.row(index));
            let ahead = &next[share * offset..share * (offset + count)];
            isa.int8_products(tile, panel, ahead, sums);
            for (r, row) in tile.iter().enumerate() {
                if row.zero_point != 0 {
                    let sums = &mut sums[r * I::PANEL.columns..][..columns];
                    take_off_zero_point(
                        sums,
                        row.zero_point,
                        &weights.column_sums()[first_column..],
                    );
                }
                let scale = lanes.splat(row.scale);
                for column in (0..columns).step_by(LANES) {
                    let sum = lanes.load_i32(&sums[r * I::PANEL.columns + column..]);
                    let scales = lanes.load(&weights.scales[first_column + column..]);
                    let product = lanes.mul(sum, lanes.mul(scale, scales));
                    self.finish(lanes, start + r, first_column + column, product);
                }
            }
        }
    }

    #[inline(always)]
    fn f32_panel<I: Isa>(
        &self,
        isa: I,
        rows: &[f32],
        weights: &F32Weights,
        index: usize,
        block: Range<usize>,
    ) {
        let lanes = isa.lanes();
        let panel = weights.panel(index);
        let inputs = weights.inputs;
        for (offset, count) in even_tiles(block.len(), I::F32_ROWS) {
            let start = block.start + offset;
            let mut tile: [&[f32]; super::f32_product::MOST_ROWS] = Default::default();
            for (r, row) in tile[..count].iter_mut().enumerate() {
                *row = &rows[(start + r) * inputs..(start + r + 1) * inputs];
            }
            let products = f32_products(lanes, &tile[..count], panel, inputs);
            for (r, &product) in products[..count].iter().enumerate() {
                self.finish(lanes, start + r, index * LANES, product);
            }
        }
    }

    /// Makes sixteen products of a row, from `column` on, part of the output.
    #[inline(always)]
    fn finish<L: Lanes>(&self, lanes: L, row: usize, column: usize, product: L::F32) {
        let outputs = self.weights.outputs();
        let length = LANES.min(outputs - column);
        let at = row * outputs + column;
        let mut value = product;
        if let Some(bias) = self.epilogue.bias {
            value = lanes.add(value, lanes.load_part(&bias[column..column + length], 0.0));
        }
        value = self.epilogue.activation.apply(lanes, value);
        if let Some(residual) = self.epilogue.residual {
            value = lanes.add(value, lanes.load_part(&residual[at..at + length], 0.0));
        }
        // SAFETY: a panel is given out once for a block, and its columns of the block's rows are written only with it.
        let output = unsafe { self.output.slice_mut(at, length) };
        lanes.store_part(value, output);
    }
}

/// Takes off what a row's zero point adds to its sums. Not part of the loop around the products, which is faster without.
#[cold]
fn take_off_zero_point(sums: &mut [i32], zero_point: i32, column_sums: &[i32]) {
    sums.iter_mut().zip(column_sums).for_each(|(sum, weights)| *sum -= zero_point * weights);
}

/// Cuts `rows` into as few tiles of at most `most` as can be, all about as large: their starts and lengths.
#[inline(always)]
pub(crate) fn even_tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(most);
    let (length, longer) = (rows / tiles.max(1), rows % tiles.max(1));
    let lengths = (0..tiles).map(move |i| length + usize::from(i < longer));
    lengths.scan(0, |start, length| {
        *start += length;
        Some((*start - length, length))
    })
}
