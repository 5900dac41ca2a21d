//! Layer norms.

use coca_kernels::LayerNorm;
use tract_onnx::pb::NodeProto;

use super::{
    Rewriter,
    network::{float, integer},
};
use crate::fused;

impl Rewriter<'_> {
    /// Fuses the layer norms that no linear layer took along.
    pub(super) fn fuse_layer_norms(&mut self) {
        for at in self.network.all("LayerNormalization") {
            let found = self.network.node(at).and_then(|node| {
                (node.output.len() == 1).then_some(())?;
                Some((
                    node.input.first()?.clone(),
                    node.output.first()?.clone(),
                    self.layer_norm(node)?,
                ))
            });
            if let Some((input, output, norm)) = found {
                let operator = fused::LayerNormalization { norm };
                self.network.replace(at, vec![input], output, operator);
            }
        }
    }

    /// The constants of a norm over the last axis.
    pub(super) fn layer_norm(&self, node: &NodeProto) -> Option<LayerNorm> {
        (integer(node, "axis", -1) == -1).then_some(())?;
        let weight = self.numbers(node.input.get(1)?)?;
        let bias = self.optional_numbers(node, 2)?.unwrap_or_else(|| vec![0.0; weight.len()]);
        let epsilon = float(node, "epsilon", 1e-5);
        (bias.len() == weight.len()).then_some(LayerNorm { weight, bias, epsilon })
    }
}
