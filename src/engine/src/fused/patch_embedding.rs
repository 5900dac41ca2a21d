//! The patch embedding of a vision transformer: a convolution whose patches do not overlap is a linear layer.

use tract_onnx::tract_hir::internal::*;

use super::{Linear, SingleOutput, numbers};
use crate::{Engine, buffers::filled};

/// `[N, C, H, W]` → `[N, patches, outputs]`, row-major patches of `height × width`.
#[derive(Debug)]
pub(crate) struct PatchEmbedding {
    pub(crate) linear: Linear,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl PatchEmbedding {
    /// Writes one row a patch, in the order of a convolution's weights: channel, line, column.
    fn cut(&self, image: &[f32], height: usize, width: usize, rows: &mut [f32]) {
        let (lines, columns) = (height / self.height, width / self.width);
        let patches = (0..lines).flat_map(|line| (0..columns).map(move |column| (line, column)));
        let mut parts = rows.chunks_exact_mut(self.width);
        for (line, column) in patches {
            for channel in 0..self.channels {
                let patch_lines = line * self.height..(line + 1) * self.height;
                for (y, part) in patch_lines.zip(&mut parts) {
                    let start = (channel * height + y) * width + column * self.width;
                    part.copy_from_slice(&image[start..start + self.width]);
                }
            }
        }
    }
}

impl SingleOutput for PatchEmbedding {
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
        let row = channels * self.height * self.width;
        let images = numbers(&inputs[0])?.chunks_exact((channels * height * width).max(1));
        let rows = filled(engine.buffers(), &[batch, patches, row], |rows| {
            let rows = rows.chunks_exact_mut((patches * row).max(1));
            images.zip(rows).for_each(|(image, rows)| self.cut(image, height, width, rows));
            Ok(())
        })?;
        let rows = TValue::from(rows);
        let shape = [batch, patches, self.linear.weights.outputs()];
        let output = filled(engine.buffers(), &shape, |output| {
            self.linear.apply(engine, numbers(&rows)?, None, output)
        });
        engine.buffers().give_back(rows);
        output
    }
}
