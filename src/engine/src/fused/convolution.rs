//! Convolutions over pictures whose channels stand side by side, `[N, H, W, C]`.

use coca_kernels::{Activation, Conv2d, DepthwiseFilters};
use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, Linear, filled, numbers};
use crate::Engine;

/// A linear layer over what lies under the filter: `[N, H, W, C]` → `[N, H', W', outputs]`.
///
/// Its inputs are in the order line, column, channel.
#[derive(Debug)]
pub(crate) struct Convolution {
    pub(crate) linear: Linear,
    pub(crate) window: Conv2d,
}

impl Convolution {
    /// One row for each output: the numbers under the filter, zeros where it lies over the edge.
    fn rows(&self, picture: &[f32], inputs: [usize; 2], channels: usize, rows: &mut Vec<f32>) {
        let [lines, columns] = self.window.outputs(inputs);
        let width = self.window.size[1];
        for (line, column) in (0..lines).flat_map(|l| (0..columns).map(move |c| (l, c))) {
            let (filter_lines, first_line) = self.window.taps(0, line, inputs[0]);
            let (filter_columns, first_column) = self.window.taps(1, column, inputs[1]);
            let row = rows.len();
            rows.resize(row + self.linear.weights.inputs(), 0.0);
            for (i, filter_line) in filter_lines.enumerate() {
                let from = ((first_line + i) * inputs[1] + first_column) * channels;
                let to = row + (filter_line * width + filter_columns.start) * channels;
                let length = filter_columns.len() * channels;
                rows[to..to + length].copy_from_slice(&picture[from..from + length]);
            }
        }
    }
}

impl FusedOperator for Convolution {
    fn name(&self) -> &'static str {
        "FusedConvolution"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let shape = output_shape(inputs[0], self.window, self.linear.weights.outputs())?;
        self.linear.shape_of_sum(shape, inputs)
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let &[batch, height, width, channels] = inputs[0].shape() else {
            bail!("a picture has four axes")
        };
        let places = self.window.size[0] * self.window.size[1];
        ensure!(channels * places == self.linear.weights.inputs(), "{channels} channels");
        let [lines, columns] = self.window.outputs([height, width]);
        let shape = [batch, lines, columns, self.linear.weights.outputs()];
        let pictures = numbers(&inputs[0])?;
        if self.window.is_pointwise() {
            return self.linear.apply_with_residual(engine, pictures, &shape, inputs);
        }
        let mut rows = Vec::with_capacity(batch * lines * columns * self.linear.weights.inputs());
        for picture in pictures.chunks_exact((height * width * channels).max(1)) {
            self.rows(picture, [height, width], channels, &mut rows);
        }
        self.linear.apply_with_residual(engine, &rows, &shape, inputs)
    }
}

/// A filter for each channel: `[N, H, W, C]` → `[N, H', W', C]`.
#[derive(Debug)]
pub(crate) struct DepthwiseConvolution {
    pub(crate) filters: DepthwiseFilters,
    pub(crate) activation: Activation,
}

impl FusedOperator for DepthwiseConvolution {
    fn name(&self) -> &'static str {
        "FusedDepthwiseConvolution"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        output_shape(inputs[0], self.filters.convolution(), self.filters.channels())
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let &[batch, height, width, channels] = inputs[0].shape() else {
            bail!("a picture has four axes")
        };
        ensure!(channels == self.filters.channels(), "{channels} channels");
        let [lines, columns] = self.filters.convolution().outputs([height, width]);
        let pictures = numbers(&inputs[0])?;
        filled(&[batch, lines, columns, channels], |output| {
            let size = [height, width];
            let job = coca_kernels::Depthwise::new(
                engine.cpu(),
                pictures,
                size,
                &self.filters,
                self.activation,
                output,
            );
            let job = job.ok_or_else(|| format_err!("a convolution's shapes do not fit"))?;
            engine.broadcast(|| job.work());
            Ok(())
        })
    }
}

fn output_shape(input: &[TDim], window: Conv2d, channels: usize) -> TractResult<TVec<TDim>> {
    let [batch, height, width, _] = input else { bail!("a picture has four axes") };
    let outputs = |axis: usize, length: &TDim| {
        let padding = (window.pads_begin[axis] + window.pads_end[axis]) as i64;
        (length.clone() + padding - window.size[axis] as i64) / window.strides[axis] + 1
    };
    Ok(tvec![batch.clone(), outputs(0, height), outputs(1, width), channels.to_dim()])
}
