//! The patch embedding of a vision transformer: a convolution whose patches do not overlap is a linear layer.

use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, Linear, filled, numbers};
use crate::Engine;

/// `[N, C, H, W]` → `[N, patches, outputs]`, row-major patches of `height × width`.
#[derive(Debug)]
pub(crate) struct PatchEmbedding {
    pub(crate) linear: Linear,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl PatchEmbedding {
    /// One row a patch, in the order of a convolution's weights: channel, line, column.
    fn rows(&self, picture: &[f32], height: usize, width: usize, rows: &mut Vec<f32>) {
        let (lines, columns) = (height / self.height, width / self.width);
        for (line, column) in (0..lines).flat_map(|l| (0..columns).map(move |c| (l, c))) {
            for channel in 0..self.channels {
                for y in line * self.height..(line + 1) * self.height {
                    let start = (channel * height + y) * width + column * self.width;
                    rows.extend_from_slice(&picture[start..start + self.width]);
                }
            }
        }
    }
}

impl FusedOperator for PatchEmbedding {
    fn name(&self) -> &'static str {
        "FusedPatchEmbedding"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let [batch, _, height, width] = inputs[0] else { bail!("a picture has four axes") };
        let patches = height.clone() / self.height * (width.clone() / self.width);
        Ok(tvec![batch.clone(), patches, self.linear.weights.outputs().to_dim()])
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let &[batch, channels, height, width] = inputs[0].shape() else {
            bail!("a picture has four axes")
        };
        ensure!(channels == self.channels, "{channels} channels for {}", self.channels);
        let patches = height / self.height * (width / self.width);
        let mut rows = Vec::with_capacity(batch * patches * self.linear.weights.inputs());
        for picture in numbers(&inputs[0])?.chunks_exact((channels * height * width).max(1)) {
            self.rows(picture, height, width, &mut rows);
        }
        let shape = [batch, patches, self.linear.weights.outputs()];
        filled(&shape, |output| self.linear.apply(engine, &rows, None, output))
    }
}
