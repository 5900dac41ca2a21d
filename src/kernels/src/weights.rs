//! A layer's weights in the order in which the product reads them, one linear stream (see [`PanelShape`] for a drawing).

use std::{ops::Range, sync::OnceLock};

use crate::{
    dispatch::Cpu,
    isa::{INPUT_PADDING, Isa, Operation, PanelShape},
    lanes::LANES,
    weight_memory::{AlignedBytes, OutOfMemory, WeightMemory},
};

/// Weights that cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// There are more or fewer than the layer's sizes ask for, or there is no layer of such sizes.
    #[error("the weights do not fit the layer's sizes")]
    Sizes,
    /// The system has no memory left for them.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

/// A weight matrix, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a, T> {
    /// `[inputs, outputs]`, the order of ONNX's `MatMul`.
    InputsFirst(&'a [T]),
    /// `[outputs, inputs]`, the order of PyTorch's `Linear`.
    OutputsFirst(&'a [T]),
}

impl<T: Copy> Matrix<'_, T> {
    fn elements(&self) -> usize {
        match self {
            Self::InputsFirst(values) | Self::OutputsFirst(values) => values.len(),
        }
    }
}

/// The weights of a linear layer, packed for one CPU.
pub enum Weights {
    /// 8 bits a weight, one scale for each output.
    Int8(Int8Weights),
    /// 32 bits a weight.
    F32(F32Weights),
}

impl Weights {
    /// Input features, `K`.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Int8(weights) => weights.inputs,
            Self::F32(weights) => weights.inputs,
        }
    }

    /// Output features, `N`.
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

/// int8 weights in panels, with a scale for each output.
pub struct Int8Weights {
    pub(crate) shape: PanelShape,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) panels: AlignedBytes,
    /// One for each output, padded with zeros to whole panels.
    pub(crate) scales: Vec<f32>,
    column_sums: OnceLock<Vec<i32>>,
}

impl Int8Weights {
    /// Packs a matrix of `inputs` by `scales.len()` weights into `memory`, in `cpu`'s layout.
    ///
    /// # Errors
    /// [`PackError::Sizes`] if the matrix has another size, or so many inputs (more than 66,572) that a sum could leave 32
    /// bits; [`PackError::Memory`].
    pub fn pack(
        memory: &WeightMemory,
        cpu: Cpu,
        matrix: Matrix<'_, i8>,
        inputs: usize,
        scales: &[f32],
    ) -> Result<Self, PackError> {
        let PanelShape { columns, .. } = cpu.panel_shape();
        let bytes = || {
            let panel = inputs.checked_next_multiple_of(INPUT_PADDING)?.checked_mul(columns)?;
            panel.checked_mul(scales.len().div_ceil(columns))
        };
        let is_fitting = Some(matrix.elements()) == inputs.checked_mul(scales.len());
        if !is_fitting || inputs > MAX_INPUTS || bytes().is_none() {
            return Err(PackError::Sizes);
        }
        Ok(cpu.run(PackInt8 { memory, matrix, inputs, scales })?)
    }

    /// The number of panels.
    pub(crate) fn count(&self) -> usize {
        self.outputs.div_ceil(self.shape.columns)
    }

    /// The weights of one panel.
    pub(crate) fn panel(&self, index: usize) -> &[i8] {
        let length = self.inputs.next_multiple_of(INPUT_PADDING) * self.shape.columns;
        &self.panels.as_i8()[index * length..(index + 1) * length]
    }

    /// The sum of each output's weights, by which one step of an input's zero point moves a product; summed when it is first
    /// needed.
    pub(crate) fn column_sums(&self) -> &[i32] {
        self.column_sums.get_or_init(|| {
            let PanelShape { columns, depth, offset } = self.shape;
            let mut sums = vec![0; self.count() * columns];
            for (index, sums) in sums.chunks_exact_mut(columns).enumerate() {
                for group in self.panel(index).chunks_exact(columns * depth) {
                    for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(depth)) {
                        let weight = |&stored: &i8| i32::from(stored.wrapping_sub(offset as i8));
                        *sum += weights.iter().map(weight).sum::<i32>();
                    }
                }
            }
            sums
        })
    }
}

/// Inputs whose products, each at most 254 × 127 with the zero point subtracted, fit into a 32-bit sum.
const MAX_INPUTS: usize = i32::MAX as usize / (254 * 127);

struct PackInt8<'a> {
    memory: &'a WeightMemory,
    matrix: Matrix<'a, i8>,
    inputs: usize,
    scales: &'a [f32],
}

impl Operation for PackInt8<'_> {
    type Output = Result<Int8Weights, OutOfMemory>;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> Self::Output {
        let PanelShape { columns, depth, offset } = I::PANEL;
        const { assert!(matches!(I::PANEL.depth, 1 | 2 | 4 | 8 | 16)) };
        let (inputs, outputs) = (self.inputs, self.scales.len());
        let length = inputs.next_multiple_of(INPUT_PADDING) * columns;
        let count = outputs.div_ceil(columns);
        let mut panels = self.memory.zeroed(count * length)?;
        let packed = &mut panels.as_i8_mut()[..count * length];
        match self.matrix {
            Matrix::InputsFirst(values) => {
                // A few rows at a time, for all panels: every line of the matrix is read once.
                for (block, rows) in
                    values.chunks(INPUT_PADDING.saturating_mul(outputs).max(1)).enumerate()
                {
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
                let rows = values.chunks((columns * inputs).max(1));
                for (rows, panel) in rows.zip(packed.chunks_exact_mut(length.max(1))) {
                    for (column, row) in rows.chunks_exact(inputs).enumerate() {
                        match depth {
                            1 => spread::<1>(panel, row, column, columns),
                            2 => spread::<2>(panel, row, column, columns),
                            4 => spread::<4>(panel, row, column, columns),
                            8 => spread::<8>(panel, row, column, columns),
                            _ => spread::<16>(panel, row, column, columns),
                        }
                    }
                    shift(panel, offset);
                }
            }
        }
        let mut scales = self.scales.to_vec();
        scales.resize(count * columns, 0.0);
        let column_sums = OnceLock::new();
        Ok(Int8Weights { shape: I::PANEL, inputs, outputs, panels, scales, column_sums })
    }
}

/// Adds the offset of an instruction set that takes unsigned weights.
#[inline(always)]
fn shift(weights: &mut [i8], offset: u8) {
    if offset != 0 {
        weights.iter_mut().for_each(|weight| *weight = weight.wrapping_add(offset as i8));
    }
}

/// Writes the columns `kept` of a few rows of a matrix into a panel, `depth` rows side by side; the padding stays zero.
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
        // The compiler makes a few shuffles of this form.
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
                    for (cell, &weight) in group[k..].iter_mut().step_by(depth).zip(row(k)) {
                        *cell = weight;
                    }
                }
            }
        }
    }
}

/// Writes a column of a panel, `DEPTH` inputs side by side.
#[inline(always)]
fn spread<const DEPTH: usize>(panel: &mut [i8], inputs: &[i8], column: usize, columns: usize) {
    let cells = panel.as_chunks_mut::<DEPTH>().0.iter_mut().skip(column).step_by(columns);
    let (whole, rest) = inputs.as_chunks::<DEPTH>();
    let mut last = [0; DEPTH];
    last[..rest.len()].copy_from_slice(rest);
    cells.zip(whole.iter().chain([&last])).for_each(|(cell, part)| *cell = *part);
}

/// f32 weights in panels of sixteen columns, `[inputs, 16]` each.
pub struct F32Weights {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) panels: AlignedBytes,
}

impl F32Weights {
    /// Packs a matrix of `inputs` by `outputs` weights into `memory`.
    ///
    /// # Errors
    /// [`PackError::Sizes`] if it has another size, [`PackError::Memory`].
    pub fn pack(
        memory: &WeightMemory,
        matrix: Matrix<'_, f32>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, PackError> {
        let bytes = || inputs.checked_mul(4 * LANES)?.checked_mul(outputs.div_ceil(LANES));
        let is_fitting = Some(matrix.elements()) == inputs.checked_mul(outputs);
        let bytes = bytes().filter(|_| is_fitting).ok_or(PackError::Sizes)?;
        let mut panels = memory.zeroed(bytes)?;
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
        Ok(Self { inputs, outputs, panels })
    }

    /// The number of panels.
    pub(crate) fn count(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// The weights of one panel.
    pub(crate) fn panel(&self, index: usize) -> &[f32] {
        let length = self.inputs * LANES;
        &self.panels.as_f32()[index * length..(index + 1) * length]
    }
}
