//! A layer's weights in the order in which the product reads them: one linear stream.

use std::ops::Range;

use super::{
    instruction_set::{Cpu, INPUT_PADDING, Isa, Operation, PanelShape},
    lanes::LANES,
    memory::AlignedBytes,
};

/// A weight matrix as it is stored.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a, T> {
    /// `[inputs, outputs]`, as ONNX's `MatMul` has it.
    InputsFirst(&'a [T]),
    /// `[outputs, inputs]`, as PyTorch's `Linear` has it.
    OutputsFirst(&'a [T]),
}

impl<T: Copy> Matrix<'_, T> {
    fn numbers(&self) -> usize {
        match self {
            Self::InputsFirst(values) | Self::OutputsFirst(values) => values.len(),
        }
    }
}

/// The weights of a linear layer, packed for one CPU.
pub enum Weights {
    /// 8 bits a weight, one scale an output.
    Int8(Int8Weights),
    /// 32 bits a weight.
    F32(F32Weights),
}

impl Weights {
    /// Numbers that go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Int8(weights) => weights.inputs,
            Self::F32(weights) => weights.inputs,
        }
    }

    /// Numbers that come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Int8(weights) => weights.outputs,
            Self::F32(weights) => weights.outputs,
        }
    }

    /// Bytes that every use of the layer reads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Int8(weights) => weights.panels.as_i8().len() + 4 * weights.scales.len(),
            Self::F32(weights) => 4 * weights.panels.as_f32().len(),
        }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if matches!(self, Self::Int8(_)) { "int8" } else { "f32" };
        write!(f, "{kind} {}×{}", self.inputs(), self.outputs())
    }
}

/// Panels of int8 weights.
pub struct Int8Weights {
    pub(super) shape: PanelShape,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) panels: AlignedBytes,
    /// One an output, padded with zeros to whole panels.
    pub(super) scales: Vec<f32>,
}

impl Int8Weights {
    /// Packs `matrix`, of `scales.len()` outputs. `None` if its size is another.
    #[must_use]
    pub fn pack(cpu: Cpu, matrix: Matrix<'_, i8>, inputs: usize, scales: &[f32]) -> Option<Self> {
        let fits = matrix.numbers() == inputs.checked_mul(scales.len())?;
        fits.then(|| cpu.run(PackInt8 { matrix, inputs, scales }))
    }

    /// How many panels there are.
    pub(super) fn count(&self) -> usize {
        self.outputs.div_ceil(self.shape.columns)
    }

    /// The weights of one panel.
    pub(super) fn panel(&self, index: usize) -> &[i8] {
        let length = self.inputs.next_multiple_of(INPUT_PADDING) * self.shape.columns;
        &self.panels.as_i8()[index * length..(index + 1) * length]
    }
}

struct PackInt8<'a> {
    matrix: Matrix<'a, i8>,
    inputs: usize,
    scales: &'a [f32],
}

impl Operation for PackInt8<'_> {
    type Output = Int8Weights;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> Int8Weights {
        let PanelShape { columns, depth, offset } = I::PANEL;
        let (inputs, outputs) = (self.inputs, self.scales.len());
        let length = inputs.next_multiple_of(INPUT_PADDING) * columns;
        let count = outputs.div_ceil(columns);
        let mut panels = AlignedBytes::zeroed(count * length);
        let packed = &mut panels.as_i8_mut()[..count * length];
        match self.matrix {
            Matrix::InputsFirst(values) => {
                // A few rows at a time, for all panels: every line of the matrix is read once.
                for (block, rows) in values.chunks((INPUT_PADDING * outputs).max(1)).enumerate() {
                    let at = block * INPUT_PADDING * columns;
                    for (index, panel) in packed.chunks_exact_mut(length).enumerate() {
                        let panel = &mut panel[at..][..INPUT_PADDING * columns];
                        let first = index * columns;
                        let kept = first..outputs.min(first + columns);
                        interleave(panel, columns, depth, rows, outputs, kept);
                        shift(panel, offset);
                    }
                }
            }
            Matrix::OutputsFirst(values) => {
                for (output, row) in values.chunks_exact(inputs.max(1)).enumerate() {
                    let panel = &mut packed[output / columns * length..][..length];
                    let cell = output % columns * depth;
                    for (group, part) in
                        panel.chunks_exact_mut(columns * depth).zip(row.chunks(depth))
                    {
                        group[cell..][..part.len()].copy_from_slice(part);
                    }
                }
                shift(packed, offset);
            }
        }
        let mut scales = self.scales.to_vec();
        scales.resize(count * columns, 0.0);
        Int8Weights { shape: I::PANEL, inputs, outputs, panels, scales }
    }
}

/// Makes weights what an instruction set that takes unsigned ones wants.
#[inline(always)]
fn shift(weights: &mut [i8], offset: u8) {
    if offset != 0 {
        weights.iter_mut().for_each(|weight| *weight = weight.wrapping_add(offset as i8));
    }
}

/// Writes the columns `kept` of a few rows of a matrix into a panel, `depth` rows side by side; what lies beyond stays
/// zero.
#[inline(always)]
fn interleave(
    panel: &mut [i8],
    columns: usize,
    depth: usize,
    rows: &[i8],
    outputs: usize,
    kept: Range<usize>,
) {
    for (group, rows) in panel.chunks_exact_mut(columns * depth).zip(rows.chunks(depth * outputs)) {
        let row = |k: usize| &rows[k * outputs..][kept.clone()];
        let whole = rows.len() == depth * outputs;
        // Written so that it becomes a few shuffles.
        match depth {
            2 if whole => {
                let cells = group.as_chunks_mut::<2>().0.iter_mut();
                for ((cell, &a), &b) in cells.zip(row(0)).zip(row(1)) {
                    *cell = [a, b];
                }
            }
            4 if whole => {
                let cells = group.as_chunks_mut::<4>().0.iter_mut();
                let columns = row(0).iter().zip(row(1)).zip(row(2)).zip(row(3));
                for (cell, (((&a, &b), &c), &d)) in cells.zip(columns) {
                    *cell = [a, b, c, d];
                }
            }
            _ => {
                for k in 0..rows.len() / outputs {
                    for (number, &weight) in group[k..].iter_mut().step_by(depth).zip(row(k)) {
                        *number = weight;
                    }
                }
            }
        }
    }
}

/// Panels of sixteen columns of f32 weights, `[input][column]` each.
pub struct F32Weights {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) panels: AlignedBytes,
}

impl F32Weights {
    /// Packs `matrix`, of so many outputs. `None` if its size is another.
    #[must_use]
    pub fn pack(matrix: Matrix<'_, f32>, inputs: usize, outputs: usize) -> Option<Self> {
        if matrix.numbers() != inputs.checked_mul(outputs)? {
            return None;
        }
        let mut panels = AlignedBytes::zeroed(4 * inputs * outputs.next_multiple_of(LANES));
        let length = (inputs * LANES).max(1);
        for (index, panel) in panels.as_f32_mut().chunks_exact_mut(length).enumerate() {
            let first = index * LANES;
            let filled = LANES.min(outputs.saturating_sub(first));
            for (k, row) in panel.chunks_exact_mut(LANES).enumerate() {
                match matrix {
                    Matrix::InputsFirst(values) => {
                        row[..filled].copy_from_slice(&values[k * outputs + first..][..filled]);
                    }
                    Matrix::OutputsFirst(values) => {
                        for (c, cell) in row[..filled].iter_mut().enumerate() {
                            *cell = values[(first + c) * inputs + k];
                        }
                    }
                }
            }
        }
        Some(Self { inputs, outputs, panels })
    }

    /// How many panels there are.
    pub(super) fn count(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// The weights of one panel.
    pub(super) fn panel(&self, index: usize) -> &[f32] {
        let length = self.inputs * LANES;
        &self.panels.as_f32()[index * length..(index + 1) * length]
    }
}
