//! Depthwise convolutions in f32: each channel has a filter of its own.
//!
//! Channels lie side by side, `[N, H, W, C]`, so that sixteen go through the same taps of their filters at once.

use std::ops::Range;

use crate::{
    activation::Activation,
    conv2d::Conv2d,
    disjoint::DisjointMut,
    dispatch::Cpu,
    isa::{Isa, Operation},
    lanes::{LANES, Lanes},
    weight_memory::{AlignedBytes, WeightMemory},
    weights::PackError,
    work_queue::WorkQueue,
};

/// A filter for each channel, packed in groups of sixteen channels, `[taps, 16]` each.
pub struct DepthwiseFilters {
    channels: usize,
    convolution: Conv2d,
    groups: AlignedBytes,
    /// One for each channel, padded with zeros to whole groups.
    bias: Vec<f32>,
}

/// Sizes of filters, all of which a `usize` holds.
struct Sizes {
    /// Elements of a filter.
    taps: usize,
    /// Elements of all.
    elements: usize,
    /// Channels in whole groups.
    padded: usize,
    /// Bytes of whole groups.
    bytes: usize,
}

impl Sizes {
    fn of(channels: usize, convolution: Conv2d) -> Option<Self> {
        let taps = convolution.size[0].checked_mul(convolution.size[1])?;
        let padded = channels.checked_next_multiple_of(LANES)?;
        let bytes = padded.checked_mul(taps)?.checked_mul(4)?;
        Some(Self { taps, elements: channels.checked_mul(taps)?, padded, bytes })
    }
}

impl DepthwiseFilters {
    /// Packs `filters`, `[channels, lines, columns]`, into `memory`.
    ///
    /// # Errors
    /// [`PackError::Sizes`] if they have another size, a stride is 0, or the padding is as wide as the filter;
    /// [`PackError::Memory`].
    pub fn pack(
        memory: &WeightMemory,
        filters: &[f32],
        bias: Option<&[f32]>,
        channels: usize,
        convolution: Conv2d,
    ) -> Result<Self, PackError> {
        let Some(Sizes { taps, elements, padded, bytes }) = Sizes::of(channels, convolution) else {
            return Err(PackError::Sizes);
        };
        // A filter that can lie beside the image would have nothing to read there.
        let reaches =
            |padding: [usize; 2]| (0..2).all(|axis| padding[axis] < convolution.size[axis]);
        let fits = !convolution.strides.contains(&0)
            && reaches(convolution.pads_begin)
            && reaches(convolution.pads_end)
            && filters.len() == elements
            && bias.is_none_or(|bias| bias.len() == channels);
        fits.then_some(()).ok_or(PackError::Sizes)?;
        let mut groups = memory.zeroed(bytes)?;
        let packed = groups.as_f32_mut();
        for (channel, filter) in filters.chunks_exact(taps).enumerate() {
            let first = channel / LANES * LANES * taps + channel % LANES;
            for (tap, &weight) in filter.iter().enumerate() {
                packed[first + tap * LANES] = weight;
            }
        }
        let mut bias = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        bias.resize(padded, 0.0);
        Ok(Self { channels, convolution, groups, bias })
    }

    /// Channels of the input and of the output.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The geometry of the convolution.
    #[must_use]
    pub fn convolution(&self) -> Conv2d {
        self.convolution
    }

    /// Elements of a group's filters.
    fn group_length(&self) -> usize {
        self.convolution.size[0] * self.convolution.size[1] * LANES
    }

    /// The filters from the first channel of a group on, `[groups, taps, 16]`.
    fn from(&self, channel: usize) -> &[f32] {
        &self.groups.as_f32()[channel / LANES * self.group_length()..]
    }
}

impl std::fmt::Debug for DepthwiseFilters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [lines, columns] = self.convolution.size;
        write!(f, "{} channels of {lines}×{columns}", self.channels)
    }
}

/// One depthwise convolution, that any number of threads work on, line by line.
pub struct Depthwise<'a> {
    cpu: Cpu,
    input: &'a [f32],
    inputs: [usize; 2],
    filters: &'a DepthwiseFilters,
    activation: Activation,
    output: DisjointMut<'a, f32>,
    outputs: [usize; 2],
    /// Columns of the output whose filters lie on the image with all their columns, in whole tiles.
    inside: Range<usize>,
    queue: WorkQueue,
}

impl<'a> Depthwise<'a> {
    /// Prepares the convolution of images `[batch, lines, columns, channels]` of `inputs` lines and columns.
    ///
    /// Returns `None` if the tensors have another size.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        input: &'a [f32],
        inputs: [usize; 2],
        filters: &'a DepthwiseFilters,
        activation: Activation,
        output: &'a mut [f32],
    ) -> Option<Self> {
        let outputs = filters.convolution.outputs(inputs);
        let length = |[lines, columns]: [usize; 2]| {
            lines.checked_mul(columns)?.checked_mul(filters.channels)
        };
        let batch = input.len().checked_div(length(inputs)?)?;
        let fits = input.len() == batch * length(inputs)?
            && Some(output.len()) == batch.checked_mul(length(outputs)?);
        let whole = |&column: &usize| {
            let taps = filters.convolution.taps(1, column, inputs[1]).0;
            taps.len() == filters.convolution.size[1]
        };
        let first = (0..outputs[1]).find(whole).unwrap_or(outputs[1]);
        let count = (first..outputs[1]).take_while(whole).count();
        fits.then(|| Self {
            cpu,
            input,
            inputs,
            filters,
            activation,
            output: DisjointMut::new(output),
            outputs,
            inside: first..first + count / AT_ONCE * AT_ONCE,
            queue: WorkQueue::new(batch * outputs[0], 1),
        })
    }

    /// Works until no line is left. The output is complete when all threads have returned.
    pub fn work(&self) {
        self.cpu.run(Work(self));
    }
}

struct Work<'a, 'b>(&'b Depthwise<'a>);

impl Operation for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        while let Some(lines) = self.0.queue.take() {
            for line in lines {
                self.0.line(isa.lanes(), line);
            }
        }
    }
}

/// Sums that grow side by side, so that none waits for itself.
const AT_ONCE: usize = 4;

impl Depthwise<'_> {
    /// Computes line `index` of the output, counted through all images.
    #[inline(always)]
    fn line<L: Lanes>(&self, lanes: L, index: usize) {
        let (convolution, channels) = (self.filters.convolution, self.filters.channels);
        let [_, columns] = self.outputs;
        let (image, line) = (index / self.outputs[0], index % self.outputs[0]);
        let (lines, first_line) = convolution.taps(0, line, self.inputs[0]);
        let row = self.inputs[1] * channels;
        let input = &self.input[image * self.inputs[0] * row + first_line * row..];
        let skipped = lines.start * convolution.size[1] * LANES;
        // SAFETY: the queue gives out a line once, and no other line has its elements of the output.
        let output =
            unsafe { self.output.slice_mut(index * columns * channels, columns * channels) };
        let full = channels / LANES * LANES;
        for first in (0..full).step_by(LANES) {
            let filter = &self.filters.from(first)[skipped..];
            let bias = lanes.load(&self.filters.bias[first..]);
            for column in self.inside.clone().step_by(AT_ONCE) {
                let (_, first_column) = convolution.taps(1, column, self.inputs[1]);
                let sources = (lines.len(), &input[first_column * channels + first..]);
                let sums = self.neighbours(lanes, sources, filter, bias);
                for (i, sum) in sums.into_iter().enumerate() {
                    let to = &mut output[(column + i) * channels + first..];
                    lanes.store(self.activation.apply(lanes, sum), to);
                }
            }
        }
        for column in 0..columns {
            let (taps, first_column) = convolution.taps(1, column, self.inputs[1]);
            let mut first = if self.inside.contains(&column) { full } else { 0 };
            while first < channels {
                let filter = &self.filters.from(first)[skipped + taps.start * LANES..];
                let size = [lines.len(), taps.len()];
                let input = &input[first_column * channels + first..];
                let output = &mut output[column * channels + first..(column + 1) * channels];
                first += match output.len() >= AT_ONCE * LANES {
                    true => self.groups::<L, AT_ONCE>(lanes, size, input, filter, first, output),
                    false => self.groups::<L, 1>(lanes, size, input, filter, first, output),
                };
            }
        }
    }

    /// Computes outputs side by side whose filters lie on the image with all their columns: each weight is loaded once for all.
    /// `input` starts with the first element under the first filter and is read in so many `lines`.
    #[inline(always)]
    fn neighbours<L: Lanes>(
        &self,
        lanes: L,
        (lines, input): (usize, &[f32]),
        filter: &[f32],
        bias: L::F32,
    ) -> [L::F32; AT_ONCE] {
        let (convolution, channels) = (self.filters.convolution, self.filters.channels);
        let step = convolution.strides[1] * channels;
        let mut sums = [bias; AT_ONCE];
        for line in 0..lines {
            let input = &input[line * self.inputs[1] * channels..];
            let filter = &filter[line * convolution.size[1] * LANES..];
            for column in 0..convolution.size[1] {
                let weights = lanes.load(&filter[column * LANES..]);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let elements = lanes.load(&input[column * channels + i * step..]);
                    *sum = lanes.mul_add(elements, weights, *sum);
                }
            }
        }
        sums
    }

    /// One output, whose filter may lie over the edge, of so many groups of channels from `first` on; a single one may be
    /// a part of a group. Gives the number of channels that are done.
    #[inline(always)]
    fn groups<L: Lanes, const GROUPS: usize>(
        &self,
        lanes: L,
        [lines, columns]: [usize; 2],
        input: &[f32],
        filter: &[f32],
        first: usize,
        output: &mut [f32],
    ) -> usize {
        let (convolution, channels) = (self.filters.convolution, self.filters.channels);
        let width = if GROUPS == 1 { output.len().min(LANES) } else { GROUPS * LANES };
        let parts = |g: usize| g * LANES..width.min((g + 1) * LANES);
        let bias = |g: usize| lanes.load(&self.filters.bias[first + g * LANES..]);
        let mut sums: [L::F32; GROUPS] = std::array::from_fn(bias);
        for line in 0..lines {
            for column in 0..columns {
                let elements = &input[(line * self.inputs[1] + column) * channels..][..width];
                let filter = &filter[(line * convolution.size[1] + column) * LANES..];
                for (g, sum) in sums.iter_mut().enumerate() {
                    let elements = lanes.load_part(&elements[parts(g)], 0.0);
                    let weights = lanes.load(&filter[g * self.filters.group_length()..]);
                    *sum = lanes.mul_add(elements, weights, *sum);
                }
            }
        }
        for (g, sum) in sums.into_iter().enumerate() {
            lanes.store_part(self.activation.apply(lanes, sum), &mut output[parts(g)]);
        }
        width
    }
}
