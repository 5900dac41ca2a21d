//! Activations as int8: one scale a row, chosen when the row is known.

use super::{
    instruction_set::{Cpu, INPUT_PADDING, Isa, Operation},
    lanes::{LANES, Lanes},
    layer_norm::LayerNorm,
    pool::Pool,
    shared_output::{SharedOutput, Shares},
};

/// The largest magnitude of an int8 activation or weight: -128 is left out, so that signs are symmetric.
pub(super) const LARGEST: f32 = 127.0;

/// Rows of int8 numbers, each with the scale that turns them back.
#[derive(Debug)]
pub struct QuantizedRows {
    values: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    stride: usize,
}

/// One row: `values × scale`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QuantizedRow<'a> {
    /// In -127..=127, padded with zeros to a multiple of [`INPUT_PADDING`].
    pub(super) values: &'a [i8],
    /// The sum of the values, for instruction sets that take unsigned weights.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code))]
    pub(super) sum: i32,
    /// What one step is worth.
    pub(super) scale: f32,
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
            scales: vec![0.0; count],
            sums: vec![0; count],
            stride,
        };
        let job = Quantize {
            rows,
            width,
            norm,
            stride,
            values: SharedOutput::new(&mut quantized.values),
            scales: SharedOutput::new(&mut quantized.scales),
            sums: SharedOutput::new(&mut quantized.sums),
            shares: Shares::new(count, ROWS_AT_ONCE),
        };
        let threads = threads.filter(|_| count > ROWS_AT_ONCE);
        Pool::share(threads, || cpu.run(Work(&job)));
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

    pub(super) fn row(&self, index: usize) -> QuantizedRow<'_> {
        QuantizedRow {
            values: &self.values[index * self.stride..(index + 1) * self.stride],
            sum: self.sums[index],
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
    values: SharedOutput<'a, i8>,
    scales: SharedOutput<'a, f32>,
    sums: SharedOutput<'a, i32>,
    shares: Shares,
}

struct Work<'a, 'b>(&'b Quantize<'a>);

impl Operation for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (job, lanes) = (self.0, isa.lanes());
        let mut normalized = vec![0.0; if job.norm.is_some() { job.width } else { 0 }];
        while let Some(rows) = job.shares.take() {
            for index in rows {
                let row = &job.rows[index * job.width..(index + 1) * job.width];
                let (row, largest) = match job.norm {
                    Some(norm) => {
                        let largest = norm.apply_to_row(lanes, row, &mut normalized);
                        (&normalized[..], largest)
                    }
                    None => (row, largest_magnitude(lanes, row)),
                };
                // SAFETY: a row is given out once, and what belongs to it is written only with it.
                let (values, scale, sum) = unsafe {
                    let values = job.values.part(index * job.stride, job.stride);
                    (values, job.scales.part(index, 1), job.sums.part(index, 1))
                };
                scale[0] = largest / LARGEST;
                sum[0] = quantize_row(lanes, row, largest, values);
            }
        }
    }
}

#[inline(always)]
fn largest_magnitude<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let mut largest = lanes.splat(0.0);
    for part in row.chunks(LANES) {
        largest = lanes.max(lanes.abs(lanes.load_part(part, 0.0)), largest);
    }
    lanes.largest(largest)
}

/// Gives the sum of the quantised row. A row of zeros, or one with infinities in it, becomes zeros.
#[inline(always)]
fn quantize_row<L: Lanes>(lanes: L, row: &[f32], largest: f32, values: &mut [i8]) -> i32 {
    let inverse = LARGEST / largest;
    if !(inverse.is_finite() && inverse > 0.0) {
        values.fill(0);
        return 0;
    }
    let (inverse, bound) = (lanes.splat(inverse), lanes.splat(LARGEST));
    // Sums of small whole numbers are exact in f32.
    let mut total = lanes.splat(0.0);
    for (part, values) in row.chunks(LANES).zip(values.chunks_exact_mut(LANES)) {
        let scaled = lanes.mul(lanes.load_part(part, 0.0), inverse);
        let bounded = lanes.max(lanes.min(scaled, bound), lanes.splat(-LARGEST));
        let whole = lanes.round(bounded);
        total = lanes.add(whole, total);
        lanes.store_i8(whole, values);
    }
    lanes.sum(total) as i32
}
