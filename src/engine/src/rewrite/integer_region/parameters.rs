//! Elements of a quantised convolution: weights, biases and multipliers, from ONNX's to the kernels'.

use coca_kernels::static_int8::{LayerError, LayerParameters, Quantization};
use coca_onnx::{Elements, StoredWeight};

use super::super::miss::{Miss, OrMiss, ensure};

/// The largest bias, in units of the input's scale times the weights'.
const MAX_BIAS: f64 = (1 << 30) as f64;

/// The elements that [`LayerParameters`] borrow.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    /// `[outputs][…]`, as they are stored.
    pub(super) weights: Vec<i8>,
    pub(super) bias: Vec<i32>,
    multipliers: Vec<f32>,
    zero_points: [u8; 2],
}

impl Parameters {
    /// The elements of a convolution with a `weight` of int8, whose `bias` is given as it is added, from codes of `input` to
    /// codes of `output`.
    pub(super) fn new(
        weight: &StoredWeight<'_>,
        bias: Option<Vec<f64>>,
        input: Quantization,
        output: Quantization,
    ) -> Result<Self, Miss> {
        let outputs = weight.dims[0];
        let scales =
            output_scales(weight).or_near("its weight is not int8 with scales of outputs")?;
        ensure(
            scales.iter().all(|s| s.is_finite() && *s >= 0.0),
            "a scale of its weight is negative",
        )?;
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        ensure(bias.len() == outputs, "its bias has not one element an output")?;
        let mut weights: Vec<i8> = bytemuck::cast_slice(&weight.bytes).to_vec();
        ensure(!weights.contains(&i8::MIN), "its weight holds -128")?;
        let (mut integers, mut multipliers) = (Vec::new(), Vec::new());
        let filter = (weights.len() / outputs.max(1)).max(1);
        for ((weights, &scale), &bias) in weights.chunks_exact_mut(filter).zip(&scales).zip(&bias) {
            let stored = input.scale * scale;
            let unit = coarser(stored, bias, weights);
            integers.push((bias / f64::from(unit)).round_ties_even() as i32);
            multipliers.push(unit / output.scale);
        }
        let zero_points = [input.zero_point, output.zero_point];
        Ok(Self { weights, bias: integers, multipliers, zero_points })
    }

    /// The same with the weights `[outputs][channels][taps]` in the order `[outputs][taps][channels]`.
    pub(super) fn taps_first(mut self, channels: usize) -> Self {
        let filter = self.weights.len() / self.bias.len().max(1);
        let taps = filter / channels.max(1);
        let order = (0..filter).map(|i| i % channels * taps + i / channels);
        let order: Vec<usize> = order.collect();
        for weights in self.weights.chunks_exact_mut(filter.max(1)) {
            let stored = weights.to_vec();
            for (weight, &from) in weights.iter_mut().zip(&order) {
                *weight = stored[from];
            }
        }
        self
    }

    pub(super) fn borrow(&self) -> LayerParameters<'_> {
        LayerParameters {
            weights: &self.weights,
            bias: &self.bias,
            multipliers: &self.multipliers,
            input_zero_point: self.zero_points[0],
            output_zero_point: self.zero_points[1],
        }
    }
}

/// The unit of an output's sums: that of its weights, or a coarser one, to which they are rounded, where the bias would
/// exceed an integer. Such an output has hardly any weights: it was quantised by the range of nothing.
fn coarser(unit: f32, bias: f64, weights: &mut [i8]) -> f32 {
    if bias.abs() <= MAX_BIAS * f64::from(unit) {
        // An output of zeros may have a scale of zero.
        return if unit > 0.0 { unit } else { 1.0 };
    }
    let coarse = (bias.abs() / MAX_BIAS) as f32;
    let ratio = f64::from(unit) / f64::from(coarse);
    for weight in weights {
        *weight = (f64::from(*weight) * ratio).round_ties_even() as i8;
    }
    coarse
}

/// The scale of each output's weights.
fn output_scales(weight: &StoredWeight<'_>) -> Option<Vec<f32>> {
    let Elements::Int8 { scales, axis } = &weight.elements else { return None };
    if *axis == 0 {
        return Some(scales.clone());
    }
    let first = *scales.first()?;
    scales.iter().all(|&scale| scale == first).then(|| vec![first; weight.dims[0]])
}

/// Why the kernels take no layer of these elements.
pub(super) fn miss(error: LayerError) -> Miss {
    match error {
        LayerError::Range { .. } => Miss::Near("its sums can exceed what all CPUs round alike"),
        LayerError::Filter { .. } => {
            Miss::Near("its filters are other than 3×3 and 5×5 at stride 1 and 2")
        }
        LayerError::Memory(refused) => Miss::Memory(refused),
        _ => Miss::Near("its elements do not fit each other"),
    }
}
