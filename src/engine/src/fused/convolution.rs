//! Convolutions over pictures whose channels stand side by side, `[N, H, W, C]`.

use coca_kernels::{Activation, Conv2d, DepthwiseFilters};
use tract_onnx::tract_hir::internal::*;

use super::{Linear, SingleOutput, numbers};
use crate::{Engine, buffers::filled};

/// A linear layer over what lies under the filter: `[N, H, W, C]` → `[N, H', W', outputs]`.
///
/// Its inputs are in the order line, column, channel.
#[derive(Debug)]
pub(crate) struct Convolution {
    pub(crate) linear: Linear,
    pub(crate) window: Conv2d,
}

impl Convolution {
    /// Writes one row for each output (im2col): what lies under the filter, zeros where it lies over the edge.
    fn cut(&self, image: &[f32], inputs: [usize; 2], channels: usize, rows: &mut [f32]) {
        let [lines, columns] = self.window.outputs(inputs);
        let width = self.window.size[1];
        let outputs = (0..lines).flat_map(|line| (0..columns).map(move |column| (line, column)));
        let rows = rows.chunks_exact_mut(self.linear.weights.inputs().max(1));
        for ((line, column), row) in outputs.zip(rows) {
            row.fill(0.0);
            let (filter_lines, first_line) = self.window.taps(0, line, inputs[0]);
            let (filter_columns, first_column) = self.window.taps(1, column, inputs[1]);
            for (i, filter_line) in filter_lines.enumerate() {
                let from = ((first_line + i) * inputs[1] + first_column) * channels;
                let to = (filter_line * width + filter_columns.start) * channels;
                let length = filter_columns.len() * channels;
                row[to..to + length].copy_from_slice(&image[from..from + length]);
            }
        }
    }
}

impl SingleOutput for Convolution {
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
        let images = numbers(&inputs[0])?;
        if self.window.is_pointwise() {
            return self.linear.apply_with_residual(engine, images, &shape, inputs);
        }
        let images = images.chunks_exact((height * width * channels).max(1));
        let [outputs, row] = [lines * columns, self.linear.weights.inputs()];
        let rows = filled(engine.buffers(), &[batch, outputs, row], |rows| {
            let rows = rows.chunks_exact_mut((outputs * row).max(1));
            images
                .zip(rows)
                .for_each(|(image, rows)| self.cut(image, [height, width], channels, rows));
            Ok(())
        })?;
        let rows = TValue::from(rows);
        let output = self.linear.apply_with_residual(engine, numbers(&rows)?, &shape, inputs);
        engine.buffers().give_back(rows);
        output
    }
}

/// A filter for each channel: `[N, H, W, C]` → `[N, H', W', C]`.
#[derive(Debug)]
pub(crate) struct DepthwiseConvolution {
    pub(crate) filters: DepthwiseFilters,
    pub(crate) activation: Activation,
}

impl SingleOutput for DepthwiseConvolution {
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
        filled(engine.buffers(), &[batch, lines, columns, channels], |output| {
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
