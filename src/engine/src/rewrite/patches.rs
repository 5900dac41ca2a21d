//! Patch embeddings: a convolution whose patches do not overlap.

use coca_kernels::Activation;

use super::{
    Rewriter,
    network::{integer, integers},
};
use crate::fused;

impl Rewriter<'_> {
    /// Fuses Conv → Reshape `[N, outputs, patches]` → Transpose `[N, patches, outputs]`.
    pub(super) fn fuse_patch_embeddings(&mut self) {
        for at in self.network.all("Conv") {
            self.fuse_patch_embedding(at);
        }
    }

    fn fuse_patch_embedding(&mut self, at: usize) -> Option<()> {
        let conv = self.network.node(at)?;
        let mut stored = self.stored(conv.input.get(1)?)?;
        let [outputs, channels, height, width] = stored.dims[..] else { return None };
        let kernel = [height as i64, width as i64];
        let side_by_side = integers(conv, "strides")? == kernel
            && integers(conv, "pads").is_none_or(|pads| pads.iter().all(|&pad| pad == 0))
            && integers(conv, "dilations").is_none_or(|d| d.iter().all(|&step| step == 1))
            && integer(conv, "group", 1) == 1
            && height * width > 1;
        side_by_side.then_some(())?;
        let bias = self.optional_numbers(conv, 2)?;
        let (_, reshape) = self.network.only_reader(conv.output.first()?)?;
        let shape =
            (reshape.op_type == "Reshape").then(|| self.integers(reshape.input.get(1)?))??;
        let flattened = shape.len() == 3 && shape[1] == outputs as i64;
        let (at, transpose) = self.network.only_reader(reshape.output.first()?)?;
        let turned = transpose.op_type == "Transpose" && integers(transpose, "perm")? == [0, 2, 1];
        (flattened && turned).then_some(())?;
        let (input, output) = (conv.input.first()?.clone(), transpose.output.first()?.clone());
        stored.dims = vec![outputs, channels * height * width];
        let weights = stored.pack(self.engine, true, self.int8)?;
        let linear = fused::Linear {
            norm: None,
            weights,
            bias,
            activation: Activation::Identity,
            residual: false,
        };
        let operator = fused::PatchEmbedding { linear, channels, height, width };
        self.network.replace(at, vec![input], output, operator);
        Some(())
    }
}
