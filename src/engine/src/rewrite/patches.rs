//! Patch embeddings: a convolution whose patches do not overlap.

use coca_kernels::Activation;
use coca_onnx::{Convolution, NodeId, Spatial};

use super::{
    Rewriter, is_transpose,
    miss::{OrMiss, Rule, ensure},
    packing::pack,
};
use crate::fused;

impl Rewriter<'_> {
    /// Fuses Conv → Reshape `[N, outputs, patches]` → Transpose `[N, patches, outputs]`.
    pub(super) fn fuse_patch_embedding(&mut self, id: NodeId) -> Rule {
        let node = self.graph.node(id).or_other()?;
        let conv = Convolution::of(node).or_other()?;
        (!self.is_quantized(conv.input)).then_some(()).or_other()?;
        let mut stored = self.constants().weight(conv.weight).or_other()?;
        let [outputs, channels, height, width] = stored.dims[..] else { return None.or_other() };
        let spatial: Spatial<2> = conv.spatial().or_other()?;
        let is_side_by_side = spatial.strides == [height, width]
            && spatial.is_unpadded()
            && spatial.is_dense()
            && conv.groups == 1
            && height * width > 1;
        is_side_by_side.then_some(()).or_other()?;
        let bias = self.constants().optional_floats(node, 2).or_near("its bias is no constant")?;
        let is_fitting = bias.as_ref().is_none_or(|bias| bias.len() == outputs);
        ensure(is_fitting, "its bias has not one element an output")?;
        let convolved = node.output.first().or_other()?;
        let (_, reshape) = self.graph.only_consumed_by("Reshape", convolved).or_other()?;
        let shape =
            self.shape(reshape).or_near("its patches are flattened to no constant shape")?;
        let is_flattened = self.flattens(&shape, outputs, conv.input);
        ensure(is_flattened, "its patches are flattened otherwise than [N, outputs, patches]")?;
        let flattened = reshape.output.first().or_other()?;
        let (end, last) = self.graph.only_consumed_by("Transpose", flattened).or_other()?;
        is_transpose(last, &[0, 2, 1]).then_some(()).or_other()?;
        let (input, output) = (conv.input.to_owned(), last.output.first().or_other()?.clone());
        stored.dims = vec![outputs, channels * height * width];
        let weights = pack(&stored, self.engine, true, self.int8);
        let linear = fused::Linear {
            name: stored.tensor.name.clone(),
            norm: None,
            weights: weights.or_near("its weight cannot be packed")?,
            bias,
            activation: Activation::Identity,
            residual: false,
        };
        let operator = fused::PatchEmbedding { linear, channels, height, width };
        self.replace(end, vec![input], output, operator);
        Ok(())
    }

    /// Whether a shape makes `[N, channels, cells]` of `[N, channels, height, width]`, where `N` is that of `picture`.
    pub(super) fn flattens(&self, shape: &[i64], channels: usize, picture: &str) -> bool {
        let &[batch, rows, _] = shape else { return false };
        let is_batch_kept = batch <= 0 || {
            let sizes = self.graph.input_sizes(picture);
            let stated = sizes.and_then(|sizes| sizes.first().copied().flatten());
            stated.is_some_and(|stated| i64::try_from(stated) == Ok(batch))
        };
        is_batch_kept && usize::try_from(rows) == Ok(channels)
    }
}
