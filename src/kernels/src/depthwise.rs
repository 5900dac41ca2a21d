//! Depthwise convolutions in f32: each channel has a filter of its own.
//!
//! Channels stand side by side, so that sixteen go through the same places of their filters at once.

use std::ops::Range;

use crate::{
    activation::Activation,
    disjoint::DisjointMut,
    instruction_set::{Cpu, Isa, Operation},
    lanes::{LANES, Lanes},
    weight_memory::{AlignedBytes, WeightMemory},
    window::Window,
    work_queue::WorkQueue,
};

/// One filter a channel, in groups of sixteen channels, `[place][channel]` each.
pub struct DepthwiseFilters {
    channels: usize,
    window: Window,
    groups: AlignedBytes,
    /// One a channel, padded with zeros to whole groups.
    bias: Vec<f32>,
}

impl DepthwiseFilters {
    /// Packs `filters` `[channels, lines, columns]` into `memory`. `None` if their number is another.
    #[must_use]
    pub fn pack(
        memory: &WeightMemory,
        filters: &[f32],
        bias: Option<&[f32]>,
        channels: usize,
        window: Window,
    ) -> Option<Self> {
        let places = window.size[0] * window.size[1];
        // A filter that can lie beside the picture would have nothing to read there.
        let reaches = |padding: [usize; 2]| (0..2).all(|axis| padding[axis] < window.size[axis]);
        let fits = reaches(window.before)
            && reaches(window.behind)
            && filters.len() == channels.checked_mul(places)?
            && bias.is_none_or(|bias| bias.len() == channels);
        fits.then_some(())?;
        let padded = channels.next_multiple_of(LANES);
        let mut groups = memory.zeroed(4 * padded * places);
        let packed = groups.as_f32_mut();
        for (channel, filter) in filters.chunks_exact(places).enumerate() {
            let first = channel / LANES * LANES * places + channel % LANES;
            for (place, &weight) in filter.iter().enumerate() {
                packed[first + place * LANES] = weight;
            }
        }
        let mut bias = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        bias.resize(padded, 0.0);
        Some(Self { channels, window, groups, bias })
    }

    /// How many channels go in and come out.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// How the filters move.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Numbers of a group's filters.
    fn group_length(&self) -> usize {
        self.window.size[0] * self.window.size[1] * LANES
    }

    /// The filters from a channel on, which is the first of a group: `[group][place][channel]`.
    fn from(&self, channel: usize) -> &[f32] {
        &self.groups.as_f32()[channel / LANES * self.group_length()..]
    }
}

impl std::fmt::Debug for DepthwiseFilters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [lines, columns] = self.window.size;
        write!(f, "{} channels of {lines}×{columns}", self.channels)
    }
}

/// One depthwise convolution, which any number of threads work on, line by line.
pub struct Depthwise<'a> {
    cpu: Cpu,
    input: &'a [f32],
    inputs: [usize; 2],
    filters: &'a DepthwiseFilters,
    activation: Activation,
    output: DisjointMut<'a, f32>,
    outputs: [usize; 2],
    /// Columns of the output whose filters lie on the picture with all their columns, cut to whole tiles.
    inside: Range<usize>,
    queue: WorkQueue,
}

impl<'a> Depthwise<'a> {
    /// Prepares the convolution of pictures `[batch, lines, columns, channels]`, `inputs` lines and columns
    /// each. `None` if the sizes do not fit.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        input: &'a [f32],
        inputs: [usize; 2],
        filters: &'a DepthwiseFilters,
        activation: Activation,
        output: &'a mut [f32],
    ) -> Option<Self> {
        let outputs = filters.window.outputs(inputs);
        let numbers = |[lines, columns]: [usize; 2]| lines * columns * filters.channels;
        let batch = input.len().checked_div(numbers(inputs))?;
        let fits =
            input.len() == batch * numbers(inputs) && output.len() == batch * numbers(outputs);
        let whole = |&column: &usize| {
            let places = filters.window.places(1, column, inputs[1]).0;
            places.len() == filters.window.size[1]
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

    /// Works until no line is left. The output is complete when every thread has returned.
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
    /// Line `index` of the output, counted through all pictures.
    #[inline(always)]
    fn line<L: Lanes>(&self, lanes: L, index: usize) {
        let (window, channels) = (self.filters.window, self.filters.channels);
        let [_, columns] = self.outputs;
        let (picture, line) = (index / self.outputs[0], index % self.outputs[0]);
        let (lines, first_line) = window.places(0, line, self.inputs[0]);
        let row = self.inputs[1] * channels;
        let input = &self.input[picture * self.inputs[0] * row + first_line * row..];
        let skipped = lines.start * window.size[1] * LANES;
        // SAFETY: a line is given out once, and its places of the output are written only with it.
        let output =
            unsafe { self.output.slice_mut(index * columns * channels, columns * channels) };
        let full = channels / LANES * LANES;
        for first in (0..full).step_by(LANES) {
            let filter = &self.filters.from(first)[skipped..];
            let bias = lanes.load(&self.filters.bias[first..]);
            for column in self.inside.clone().step_by(AT_ONCE) {
                let (_, first_column) = window.places(1, column, self.inputs[1]);
                let sources = (lines.len(), &input[first_column * channels + first..]);
                let sums = self.neighbours(lanes, sources, filter, bias);
                for (i, sum) in sums.into_iter().enumerate() {
                    let to = &mut output[(column + i) * channels + first..];
                    lanes.store(self.activation.apply(lanes, sum), to);
                }
            }
        }
        for column in 0..columns {
            let (places, first_column) = window.places(1, column, self.inputs[1]);
            let mut first = if self.inside.contains(&column) { full } else { 0 };
            while first < channels {
                let filter = &self.filters.from(first)[skipped + places.start * LANES..];
                let size = [lines.len(), places.len()];
                let input = &input[first_column * channels + first..];
                let output = &mut output[column * channels + first..(column + 1) * channels];
                first += match output.len() >= AT_ONCE * LANES {
                    true => self.groups::<L, AT_ONCE>(lanes, size, input, filter, first, output),
                    false => self.groups::<L, 1>(lanes, size, input, filter, first, output),
                };
            }
        }
    }

    /// Outputs side by side, whose filters lie on the picture with all their columns: each weight is loaded once for all.
    /// `sources` holds so many lines, from the first number under the first filter on.
    #[inline(always)]
    fn neighbours<L: Lanes>(
        &self,
        lanes: L,
        (lines, input): (usize, &[f32]),
        filter: &[f32],
        bias: L::F32,
    ) -> [L::F32; AT_ONCE] {
        let (window, channels) = (self.filters.window, self.filters.channels);
        let step = window.strides[1] * channels;
        let mut sums = [bias; AT_ONCE];
        for line in 0..lines {
            let input = &input[line * self.inputs[1] * channels..];
            let filter = &filter[line * window.size[1] * LANES..];
            for column in 0..window.size[1] {
                let weights = lanes.load(&filter[column * LANES..]);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let numbers = lanes.load(&input[column * channels + i * step..]);
                    *sum = lanes.mul_add(numbers, weights, *sum);
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
        let (window, channels) = (self.filters.window, self.filters.channels);
        let width = if GROUPS == 1 { output.len().min(LANES) } else { GROUPS * LANES };
        let parts = |g: usize| g * LANES..width.min((g + 1) * LANES);
        let bias = |g: usize| lanes.load(&self.filters.bias[first + g * LANES..]);
        let mut sums: [L::F32; GROUPS] = std::array::from_fn(bias);
        for line in 0..lines {
            for column in 0..columns {
                let numbers = &input[(line * self.inputs[1] + column) * channels..][..width];
                let filter = &filter[(line * window.size[1] + column) * LANES..];
                for (g, sum) in sums.iter_mut().enumerate() {
                    let numbers = lanes.load_part(&numbers[parts(g)], 0.0);
                    let weights = lanes.load(&filter[g * self.filters.group_length()..]);
                    *sum = lanes.mul_add(numbers, weights, *sum);
                }
            }
        }
        for (g, sum) in sums.into_iter().enumerate() {
            lanes.store_part(self.activation.apply(lanes, sum), &mut output[parts(g)]);
        }
        width
    }
}
