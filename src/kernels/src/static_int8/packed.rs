//! Weights of static int8 layers as the kernels read them.

use super::filter_layout::{FilterTaps, FilterWords};
use crate::{
    codes::{Codes, ColumnOrder, Products, QUAD},
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::LANES,
    weight_memory::{AlignedBytes, OutOfMemory, WeightMemory},
};

/// A convolution's elements as ONNX gives them.
#[derive(Debug, Clone, Copy)]
pub struct LayerParameters<'a> {
    /// Weights: `[outputs][inputs]` of a pointwise layer, `[channels][height][width]` of a depthwise one,
    /// `[outputs][3][3][3]` (line, column, colour) of a stem; -127 to 127.
    pub weights: &'a [i8],
    /// Added to every sum, in units of the input's scale times the weights'.
    pub bias: &'a [i32],
    /// The input's scale times the weights' over the output's, for each output.
    pub multipliers: &'a [f32],
    /// The code of zero in the input.
    pub input_zero_point: u8,
    /// The code of zero in the output.
    pub output_zero_point: u8,
}

/// Elements that cannot be a layer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// Too few or too many of something.
    #[error("{elements} {what} were expected for {outputs} outputs, found {found}")]
    Count {
        /// Weights, biases or multipliers.
        what: &'static str,
        /// How many there must be.
        elements: usize,
        /// The layer's outputs.
        outputs: usize,
        /// How many there are.
        found: usize,
    },
    /// A sum, or what becomes of it, can leave the range in which every CPU rounds alike.
    #[error(
        "output {output}: weights, bias and multiplier allow codes beyond 2^30, where CPUs round differently"
    )]
    Range {
        /// The output.
        output: usize,
    },
    /// Filters of a kind that there is no kernel for.
    #[error(
        "depthwise filters of {size} × {size} at stride {stride} were given; 3 × 3 and 5 × 5 at stride 1 and 2 are known"
    )]
    Filter {
        /// The filter's side.
        size: usize,
        /// The stride.
        stride: usize,
    },
    /// The system has no memory left for its weights.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

/// What follows the products: bias, with everything that zero points add, multipliers and zero point.
#[derive(Debug, Clone)]
pub(super) struct Requantizer {
    pub(super) bias: Vec<i32>,
    pub(super) multipliers: Vec<f32>,
    pub(super) zero_point: u8,
}

impl Requantizer {
    /// Checks the parameters of `outputs` outputs with `inputs` weights each.
    fn new(
        cpu: Cpu,
        parameters: &LayerParameters<'_>,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, LayerError> {
        let counts = [
            ("weights", parameters.weights.len(), outputs.saturating_mul(inputs)),
            ("biases", parameters.bias.len(), outputs),
            ("multipliers", parameters.multipliers.len(), outputs),
        ];
        for (what, found, elements) in counts {
            if found != elements {
                return Err(LayerError::Count { what, elements, outputs, found });
            }
        }
        let padded = outputs.next_multiple_of(2 * LANES);
        let (mut bias, mut multipliers) = (vec![0; padded], vec![0.0; padded]);
        let stored_zero = i64::from(parameters.input_zero_point) - i64::from(flip(cpu));
        for output in 0..outputs {
            let weights = &parameters.weights[output * inputs..(output + 1) * inputs];
            let sum =
                |value: fn(i64) -> i64| weights.iter().map(|&w| value(i64::from(w))).sum::<i64>();
            let offset = i64::from(parameters.bias[output]) - stored_zero * sum(|w| w);
            let largest = offset.abs() + 255 * sum(i64::abs);
            let multiplier = parameters.multipliers[output];
            let codes = largest as f32 * multiplier;
            if largest > i64::from(i32::MAX) || !(0.0..1_073_741_824.0).contains(&codes) {
                return Err(LayerError::Range { output });
            }
            bias[output] = offset as i32;
            multipliers[output] = multiplier;
        }
        Ok(Self { bias, multipliers, zero_point: parameters.output_zero_point })
    }
}

/// A pointwise (1×1) convolution.
pub struct PointwiseLayer {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) panels: Panels,
    pub(super) requantizer: Requantizer,
}

impl PointwiseLayer {
    /// Packs a layer of `inputs` inputs; outputs follow from the biases.
    ///
    /// # Errors
    /// [`LayerError`] when the elements do not fit each other, sums can overflow, or there is no memory.
    pub fn pack(
        memory: &WeightMemory,
        cpu: Cpu,
        inputs: usize,
        parameters: &LayerParameters<'_>,
    ) -> Result<Self, LayerError> {
        let outputs = parameters.bias.len();
        let requantizer = Requantizer::new(cpu, parameters, outputs, inputs)?;
        let weight = |output: usize, input: usize| parameters.weights[output * inputs + input];
        let panels = Panels::pack(memory, PanelLayout::of(cpu), outputs, inputs, weight)?;
        Ok(Self { inputs, outputs, panels, requantizer })
    }

    /// Channels that go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Channels that come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// A 3×3 convolution at stride 2 of a picture's three colours: 27 inputs of a pointwise layer, or, where filters are words, three
/// lines of three words, of which three bytes meet weights of zero.
pub struct StemLayer {
    pub(super) outputs: usize,
    pub(super) panels: Panels,
    pub(super) requantizer: Requantizer,
}

impl StemLayer {
    /// Words of four bytes that cover a line of three pixels.
    pub(super) const WORDS: usize = 3;
    /// Weights of an output that lie in a line.
    pub(super) const LINE: usize = 9;
    /// The side of its filters.
    pub const SIZE: usize = 3;
    /// How far they move.
    pub const STRIDE: usize = 2;

    /// Packs a stem; outputs follow from the biases.
    ///
    /// # Errors
    /// As [`PointwiseLayer::pack`].
    pub fn pack(
        memory: &WeightMemory,
        cpu: Cpu,
        parameters: &LayerParameters<'_>,
    ) -> Result<Self, LayerError> {
        let outputs = parameters.bias.len();
        let inputs = Self::SIZE * Self::LINE;
        let requantizer = Requantizer::new(cpu, parameters, outputs, inputs)?;
        let layout = PanelLayout::of(cpu);
        let panels = match layout.columns {
            ColumnOrder::Quads => {
                let line = 4 * Self::WORDS;
                let weight = |output: usize, input: usize| match (input / line, input % line) {
                    (line, byte @ ..Self::LINE) => {
                        parameters.weights[output * inputs + line * Self::LINE + byte]
                    }
                    _ => 0,
                };
                let layout = PanelLayout { depth: 4, padding: 4, ..layout };
                Panels::pack(memory, layout, outputs, Self::SIZE * line, weight)?
            }
            ColumnOrder::Pixels => {
                let weight =
                    |output: usize, input: usize| parameters.weights[output * inputs + input];
                Panels::pack(memory, layout, outputs, inputs, weight)?
            }
        };
        Ok(Self { outputs, panels, requantizer })
    }
}

/// Depthwise filters of 3×3 or 5×5: words `[channels / 16][line][word][16][4]`, or taps `[channels / 16][tap][16]`.
pub struct DepthwiseLayer {
    pub(super) channels: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    /// Lines above and columns before the picture.
    pub(super) pads: [usize; 2],
    pub(super) filters: AlignedBytes,
    pub(super) requantizer: Requantizer,
    pub(super) input_zero_point: u8,
}

impl DepthwiseLayer {
    /// Packs filters of `size` × `size` that move by `stride`, with `pads` lines above and columns before the picture.
    ///
    /// # Errors
    /// As [`PointwiseLayer::pack`], and for other sizes and strides.
    pub fn pack(
        memory: &WeightMemory,
        cpu: Cpu,
        size: usize,
        stride: usize,
        pads: [usize; 2],
        parameters: &LayerParameters<'_>,
    ) -> Result<Self, LayerError> {
        if !matches!((size, stride), (3 | 5, 1 | 2)) || pads.iter().any(|&pad| pad >= size) {
            return Err(LayerError::Filter { size, stride });
        }
        let channels = parameters.bias.len();
        let requantizer = Requantizer::new(cpu, parameters, channels, size * size)?;
        let columns = PanelLayout::of(cpu).columns;
        let vector = match columns {
            ColumnOrder::Quads => size * FilterWords::of_line(size, stride) * QUAD,
            ColumnOrder::Pixels => size * size * LANES,
        };
        let mut filters = memory.zeroed(channels.div_ceil(LANES) * vector)?;
        for (channel, filter) in parameters.weights.chunks_exact(size * size).enumerate() {
            let (start, lane) = (channel / LANES * vector, channel % LANES);
            let packed = &mut filters.as_i8_mut()[start..][..vector];
            match columns {
                ColumnOrder::Quads => {
                    for (tap, &weight) in filter.iter().enumerate() {
                        let first = tap / size * FilterWords::of_line(size, stride);
                        for (word, byte) in FilterWords::places(size, stride, tap % size) {
                            packed[(first + word) * QUAD + lane * 4 + byte] = weight;
                        }
                    }
                }
                ColumnOrder::Pixels => {
                    for tap in 0..size * size {
                        let (line, column) =
                            (FilterTaps::line(size, tap), FilterTaps::column(size, tap));
                        packed[tap * LANES + lane] = filter[line * size + column];
                    }
                }
            }
        }
        let input_zero_point = parameters.input_zero_point;
        Ok(Self { channels, size, stride, pads, filters, requantizer, input_zero_point })
    }

    /// Channels that go in and come out.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The stride of its filters.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The words or taps of the filters of a vector of sixteen channels.
    pub(super) fn filter(&self, vector: usize) -> *const u8 {
        let bytes = self.filters.as_i8().len() / self.channels.div_ceil(LANES);
        self.filters.as_i8()[vector * bytes..][..bytes].as_ptr().cast()
    }
}

/// The order in which an instruction set reads weights.
#[derive(Clone, Copy)]
struct PanelLayout {
    /// [`Products::DEPTH`]
    depth: usize,
    /// [`Products::PADDING`]
    padding: usize,
    /// [`Products::column_order`]
    columns: ColumnOrder,
}

impl PanelLayout {
    /// The layout of pointwise weights and of filters.
    fn of(cpu: Cpu) -> Self {
        cpu.run(AskLayout)
    }
}

/// Weights of a matrix in panels of sixteen outputs, `[vector][group][16][depth]`.
pub(super) struct Panels {
    pub(super) bytes: AlignedBytes,
    /// Inputs with their padding.
    pub(super) inputs: usize,
    /// Vectors of sixteen outputs, a panel each.
    pub(super) vectors: usize,
}

impl Panels {
    fn pack(
        memory: &WeightMemory,
        PanelLayout { depth, padding, .. }: PanelLayout,
        outputs: usize,
        inputs: usize,
        weight: impl Fn(usize, usize) -> i8,
    ) -> Result<Self, OutOfMemory> {
        let (padded, vectors) = (inputs.next_multiple_of(padding), outputs.div_ceil(LANES));
        let mut bytes = memory.zeroed(padded * vectors * LANES)?;
        for output in 0..outputs {
            let (vector, lane) = (output / LANES, output % LANES);
            for input in 0..inputs {
                let group = vector * padded / depth + input / depth;
                bytes.as_i8_mut()[(group * LANES + lane) * depth + input % depth] =
                    weight(output, input);
            }
        }
        Ok(Self { bytes, inputs: padded, vectors })
    }

    /// The panel of a vector.
    pub(super) fn from(&self, vector: usize) -> *const u8 {
        self.bytes.as_i8()[vector * self.inputs * LANES..].as_ptr().cast()
    }
}

/// What an instruction set asks for, without computing anything.
struct Flip;

impl Operation for Flip {
    type Output = u8;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> u8 {
        I::Codes::FLIP
    }
}

struct AskLayout;

impl Operation for AskLayout {
    type Output = PanelLayout;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> PanelLayout {
        let (depth, padding) = (I::Codes::DEPTH, I::Codes::PADDING);
        PanelLayout { depth, padding, columns: isa.codes().column_order() }
    }
}

/// How codes are stored for a CPU: see [`Codes::FLIP`].
pub(super) fn flip(cpu: Cpu) -> u8 {
    cpu.run(Flip)
}
