//! A linear layer in one pass: product, scale, bias, activation and residual while the sums are in registers.

use std::ops::Range;

use crate::{
    activation::Activation,
    disjoint::DisjointMut,
    dispatch::Cpu,
    f32_product::f32_products,
    isa::{Isa, MAX_F32_ROWS, Operation, QuantizedRow},
    lanes::{LANES, Lanes},
    rows::QuantizedRows,
    weights::{F32Weights, Int8Weights, Weights},
    work_queue::WorkQueue,
};

/// The input of a linear layer.
#[derive(Clone, Copy)]
pub enum LinearInput<'a> {
    /// For int8 weights, `[rows, inputs]`.
    Int8(&'a QuantizedRows),
    /// For f32 weights, `[rows, inputs]`.
    F32(&'a [f32]),
}

/// What follows the product in a linear layer: `activation(product + bias) + residual`.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added to every row, `[outputs]`.
    pub bias: Option<&'a [f32]>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Added last, `[rows, outputs]`.
    pub residual: Option<&'a [f32]>,
}

/// One use of a linear layer, that any number of threads work on.
///
/// ```
/// use coca_kernels::{
///     Activation, Cpu, Epilogue, F32Weights, Linear, LinearInput, Matrix, WeightMemory, Weights,
/// };
///
/// let memory = WeightMemory::new();
/// // Two inputs, three outputs.
/// let matrix = Matrix::InputsFirst(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
/// let weights = Weights::F32(F32Weights::pack(&memory, matrix, 2, 3).expect("2 × 3 weights"));
/// let epilogue = Epilogue { bias: Some(&[0.5; 3]), activation: Activation::Identity, residual: None };
/// let mut output = [0.0; 3];
/// let input = LinearInput::F32(&[1.0, 2.0]);
/// Linear::new(Cpu::best(), input, &weights, epilogue, &mut output, 1).expect("fits").work();
/// assert_eq!(output, [21.5, 42.5, 63.5]);
/// ```
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

/// Pieces of work for each thread, so that a late one costs little.
const PIECES_PER_THREAD: usize = 6;

/// Rows that are multiplied by every panel before the next ones are: as many as stay in a small cache.
const BLOCK: usize = 256;

impl<'a> Linear<'a> {
    /// Prepares `output = epilogue(input × weights)`, `[rows, outputs]`, for `threads` threads.
    ///
    /// Returns `None` if the shapes do not fit each other, or int8 weights were packed for another instruction set.
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
            (LinearInput::Int8(rows), Weights::Int8(weights))
                if rows.width() == inputs && weights.shape == cpu.panel_shape() =>
            {
                (rows.len(), weights.count())
            }
            (LinearInput::F32(rows), Weights::F32(weights))
                if rows.len().is_multiple_of(inputs.max(1)) =>
            {
                (rows.len() / inputs.max(1), weights.count())
            }
            _ => return None,
        };
        let fits = Some(output.len()) == rows.checked_mul(outputs)
            && epilogue.bias.is_none_or(|bias| bias.len() == outputs)
            && epilogue.residual.is_none_or(|residual| residual.len() == output.len());
        let pieces = panels * rows.div_ceil(BLOCK);
        let at_once = pieces.div_ceil(threads.max(1).saturating_mul(PIECES_PER_THREAD));
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

    /// Works until no piece is left. The output is complete when all threads have returned.
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
        let mut sums = [0; MAX_SUMS];
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
const MAX_ROWS: usize = 14;

/// The most sums that any makes at once.
const MAX_SUMS: usize = MAX_ROWS * 32;

impl Linear<'_> {
    #[inline(always)]
    fn int8_panel<I: Isa>(
        &self,
        isa: I,
        rows: &QuantizedRows,
        weights: &Int8Weights,
        index: usize,
        block: Range<usize>,
        sums: &mut [i32; MAX_SUMS],
    ) {
        const { assert!(I::INT8_ROWS <= MAX_ROWS && I::INT8_ROWS * I::PANEL.columns <= MAX_SUMS) };
        let lanes = isa.lanes();
        let panel = weights.panel(index);
        let first_column = index * I::PANEL.columns;
        let columns = I::PANEL.columns.min(weights.outputs - first_column);
        let mut tile = [QuantizedRow::default(); MAX_ROWS];
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
                    subtract_zero_point(
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
            let mut tile: [&[f32]; MAX_F32_ROWS] = Default::default();
            for (r, row) in tile[..count].iter_mut().enumerate() {
                *row = &rows[(start + r) * inputs..(start + r + 1) * inputs];
            }
            let products = f32_products(lanes, &tile[..count], panel, inputs);
            for (r, &product) in products[..count].iter().enumerate() {
                self.finish(lanes, start + r, index * LANES, product);
            }
        }
    }

    /// Applies the epilogue to sixteen products of a row, from `column` on, and writes them to the output.
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
        // SAFETY: the queue gives out each panel of a block once, and no other piece has its columns of the block's rows.
        let output = unsafe { self.output.slice_mut(at, length) };
        lanes.store_part(value, output);
    }
}

/// Subtracts what a row's zero point adds to its sums. Apart from the loop around the products, which is faster without it.
#[cold]
fn subtract_zero_point(sums: &mut [i32], zero_point: i32, column_sums: &[i32]) {
    sums.iter_mut().zip(column_sums).for_each(|(sum, weights)| *sum -= zero_point * weights);
}

/// Partitions `rows` into the fewest tiles of at most `max` rows, of even sizes: their starts and lengths.
#[inline(always)]
pub(crate) fn even_tiles(rows: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(max);
    let (length, longer) = (rows / tiles.max(1), rows % tiles.max(1));
    let lengths = (0..tiles).map(move |i| length + usize::from(i < longer));
    lengths.scan(0, |start, length| {
        *start += length;
        Some((*start - length, length))
    })
}
