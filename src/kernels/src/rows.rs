//! Activations as int8: dynamic quantisation with one scale for each row.

use crate::{
    disjoint::DisjointMut,
    dispatch::Cpu,
    isa::{INPUT_PADDING, Isa, Operation, QuantizedRow},
    lanes::{LANES, Lanes},
    layer_norm::LayerNorm,
    pool::Pool,
    work_queue::WorkQueue,
};

/// The largest magnitude of an int8 activation: -128 is left out, so that signs are symmetric.
pub(crate) const MAX_INT8: f32 = 127.0;

/// The zero point of a row without negative elements: such a row uses all 255 steps.
const MIN_INT8: i32 = -127;

/// Rows of int8 activations, `[rows, width]`, each row with a zero point and a scale: `(value - zero_point) × scale`.
#[derive(Debug)]
pub struct QuantizedRows {
    values: Vec<i8>,
    zero_points: Vec<i32>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    width: usize,
    stride: usize,
}

impl QuantizedRows {
    /// Quantises `rows`, `[rows, width]`, after `norm` if there is one. A row's scale maps its largest magnitude to 127, or to
    /// 254 steps from the zero point if it has no negative elements.
    ///
    /// Returns `None` if the elements are not whole rows, or `norm` is of another width.
    #[must_use]
    pub fn new(
        cpu: Cpu,
        rows: &[f32],
        width: usize,
        norm: Option<&LayerNorm>,
        threads: Option<&Pool>,
    ) -> Option<Self> {
        let stride = width.checked_next_multiple_of(INPUT_PADDING)?;
        let count = rows.len() / width.max(1);
        let fits = rows.len() == count * width && norm.is_none_or(|norm| norm.fits(width));
        fits.then_some(())?;
        let mut quantized = Self {
            values: vec![0; count.checked_mul(stride)?],
            zero_points: vec![0; count],
            scales: vec![0.0; count],
            sums: vec![0; count],
            width,
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
        Some(quantized)
    }

    /// Elements of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether every element of every row was finite. A row in which one is not has a scale of NaN, which makes NaN of all
    /// that is computed from it.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.scales.iter().all(|scale| scale.is_finite())
    }

    /// Whether there are no rows.
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
                // SAFETY: the queue gives out a row once, and no other row has its elements.
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
                let quantized = quantize_row(lanes, row, range, values);
                scale[0] = quantized.map_or(f32::NAN, |_| range.largest / range.steps());
                sum[0] = quantized.unwrap_or(0);
            }
        }
    }
}

/// The range that a row's steps span.
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
        Self { largest, zero_point: if below > 0.0 { 0 } else { MIN_INT8 } }
    }

    /// Steps between zero and the largest magnitude.
    fn steps(self) -> f32 {
        MAX_INT8 - self.zero_point as f32
    }
}

/// Quantises a row and returns the sum of its values; `None` if an element is not finite. A row of zeros, or of next to
/// nothing, becomes zeros: each value is the zero point.
#[inline(always)]
fn quantize_row<L: Lanes>(lanes: L, row: &[f32], range: Range, values: &mut [i8]) -> Option<i32> {
    let inverse = range.steps() / range.largest;
    if !(inverse.is_finite() && inverse > 0.0) {
        values.fill(range.zero_point as i8);
        let is_finite = row.iter().all(|value| value.is_finite());
        return is_finite.then_some(range.zero_point * values.len() as i32);
    }
    let (inverse, bound) = (lanes.splat(inverse), lanes.splat(MAX_INT8));
    let zero_point = lanes.splat(range.zero_point as f32);
    // Sums of small integers are exact in f32.
    let mut total = lanes.splat(0.0);
    for (part, values) in row.chunks(LANES).zip(values.chunks_exact_mut(LANES)) {
        let scaled = lanes.mul(lanes.load_part(part, 0.0), inverse);
        let whole = lanes.add(lanes.round(scaled), zero_point);
        // Bounds would make a number of NaN, and change no other.
        total = lanes.add(whole, total);
        let whole = lanes.max(lanes.min(whole, bound), lanes.splat(-MAX_INT8));
        lanes.store_i8(whole, values);
    }
    let total = lanes.sum(total);
    total.is_finite().then_some(total as i32)
}
