//! Activations as int8: one scale a row, chosen when the row is known.

use crate::{
    disjoint::DisjointMut,
    instruction_set::{Cpu, INPUT_PADDING, Isa, Operation},
    lanes::{LANES, Lanes},
    layer_norm::LayerNorm,
    pool::Pool,
    work_queue::WorkQueue,
};

/// The largest magnitude of an int8 activation or weight: -128 is left out, so that signs are symmetric.
pub(crate) const LARGEST: f32 = 127.0;

/// The zero point of a row without negative numbers: such a row uses all 255 steps.
const LOWEST: i32 = -127;

/// Rows of int8 numbers, each with the zero point and the scale that turn them back.
#[derive(Debug)]
pub struct QuantizedRows {
    values: Vec<i8>,
    zero_points: Vec<i32>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    stride: usize,
}

/// One row: `(values - zero_point) × scale`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuantizedRow<'a> {
    /// In -127..=127, padded with the zero point to a multiple of [`INPUT_PADDING`].
    pub(crate) values: &'a [i8],
    /// The sum of the values, for instruction sets that take unsigned weights.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code))]
    pub(crate) sum: i32,
    /// 0, or -127 in a row without negative numbers.
    pub(crate) zero_point: i32,
    /// What one step is worth.
    pub(crate) scale: f32,
}

impl QuantizedRows {
    /// Quantises `rows` `[rows, width]`, each with the scale that its largest magnitude asks for,
    /// after `norm` if there is one.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        rows: &[f32],
        width: usize,
        norm: Option<&LayerNorm>,
        threads: Option<&Pool>,
    ) -> Self {
        let stride = width.next_multiple_of(INPUT_PADDING);
        let count = rows.len() / width.max(1);
        let mut quantized = Self {
            values: vec![0; count * stride],
            zero_points: vec![0; count],
            scales: vec![0.0; count],
            sums: vec![0; count],
            stride,
        };
        let job = Quantize {
            rows,
            width,
            norm,
            stride,
            values: DisjointMut::new(&mut quantized.values),
            zero_points: DisjointMut::new(&mut quantized.zero_points),
            scales: DisjointMut::new(&mut quantized.scales),
            sums: DisjointMut::new(&mut quantized.sums),
            queue: WorkQueue::new(count, ROWS_AT_ONCE),
        };
        let threads = threads.filter(|_| count > ROWS_AT_ONCE);
        Pool::broadcast(threads, || cpu.run(Work(&job)));
        quantized
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    #[inline(always)]
    pub(crate) fn row(&self, index: usize) -> QuantizedRow<'_> {
        QuantizedRow {
            values: &self.values[index * self.stride..(index + 1) * self.stride],
            sum: self.sums[index],
            zero_point: self.zero_points[index],
            scale: self.scales[index],
        }
    }
}

/// Rows that a thread takes at a time.
const ROWS_AT_ONCE: usize = 4;

struct Quantize<'a> {
    rows: &'a [f32],
    width: usize,
    norm: Option<&'a LayerNorm>,
    stride: usize,
    values: DisjointMut<'a, i8>,
    zero_points: DisjointMut<'a, i32>,
    scales: DisjointMut<'a, f32>,
    sums: DisjointMut<'a, i32>,
    queue: WorkQueue,
}

struct Work<'a, 'b>(&'b Quantize<'a>);

impl Operation for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (job, lanes) = (self.0, isa.lanes());
        let mut normalized = vec![0.0; if job.norm.is_some() { job.width } else { 0 }];
        while let Some(rows) = job.queue.take() {
            for index in rows {
                let row = &job.rows[index * job.width..(index + 1) * job.width];
                let (row, range) = match job.norm {
                    Some(norm) => {
                        let largest = norm.apply_to_row(lanes, row, &mut normalized);
                        (&normalized[..], Range { largest, zero_point: 0 })
                    }
                    None => (row, Range::of(lanes, row)),
                };
                // SAFETY: a row is given out once, and what belongs to it is written only with it.
                let (values, zero_point, scale, sum) = unsafe {
                    let values = job.values.slice_mut(index * job.stride, job.stride);
                    let zero_point = job.zero_points.slice_mut(index, 1);
                    (
                        values,
                        zero_point,
                        job.scales.slice_mut(index, 1),
                        job.sums.slice_mut(index, 1),
                    )
                };
                zero_point[0] = range.zero_point;
                scale[0] = range.largest / range.steps();
                sum[0] = quantize_row(lanes, row, range, values);
            }
        }
    }
}

/// The numbers that a row's steps have to reach.
#[derive(Clone, Copy)]
struct Range {
    /// The largest magnitude.
    largest: f32,
    zero_point: i32,
}

impl Range {
    #[inline(always)]
    fn of<L: Lanes>(lanes: L, row: &[f32]) -> Self {
        let zero = lanes.splat(0.0);
        let (mut above, mut below) = (zero, zero);
        for part in row.chunks(LANES) {
            let part = lanes.load_part(part, 0.0);
            above = lanes.max(part, above);
            below = lanes.max(lanes.sub(zero, part), below);
        }
        let below = lanes.largest(below);
        let largest = lanes.largest(above).max(below);
        Self { largest, zero_point: if below > 0.0 { 0 } else { LOWEST } }
    }

    /// Steps between zero and the largest magnitude.
    fn steps(self) -> f32 {
        LARGEST - self.zero_point as f32
    }
}

/// Gives the sum of the quantised row. A row of zeros, or one with infinities in it, becomes zeros: all of them its zero point.
#[inline(always)]
fn quantize_row<L: Lanes>(lanes: L, row: &[f32], range: Range, values: &mut [i8]) -> i32 {
    let inverse = range.steps() / range.largest;
    if !(inverse.is_finite() && inverse > 0.0) {
        values.fill(range.zero_point as i8);
        return range.zero_point * values.len() as i32;
    }
    let (inverse, bound) = (lanes.splat(inverse), lanes.splat(LARGEST));
    let zero_point = lanes.splat(range.zero_point as f32);
    // Sums of small whole numbers are exact in f32.
    let mut total = lanes.splat(0.0);
    for (part, values) in row.chunks(LANES).zip(values.chunks_exact_mut(LANES)) {
        let scaled = lanes.mul(lanes.load_part(part, 0.0), inverse);
        let whole = lanes.add(lanes.round(scaled), zero_point);
        let whole = lanes.max(lanes.min(whole, bound), lanes.splat(-LARGEST));
        total = lanes.add(whole, total);
        lanes.store_i8(whole, values);
    }
    lanes.sum(total) as i32
}
