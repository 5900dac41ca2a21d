//! Layer norms.

use coca_kernels::LayerNorm;
use coca_onnx::{NodeId, attribute, pb::NodeProto};

use super::{
    Rewriter,
    miss::{Miss, OrMiss, Rule, ensure},
};
use crate::fused;

impl Rewriter<'_> {
    /// Fuses a layer norm that no linear layer took along.
    pub(super) fn fuse_layer_norm(&mut self, id: NodeId) -> Rule {
        let node = self.graph.node(id).or_other()?;
        let [output, others @ ..] = &node.output[..] else { return Err(Miss::Other) };
        ensure(others.iter().all(String::is_empty), "its mean or deviation is an output too")?;
        let norm = self.layer_norm(node)?;
        let (input, output) = (node.input.first().or_other()?.clone(), output.clone());
        let operator = fused::LayerNormalization { norm };
        self.replace(id, vec![input], output, operator);
        Ok(())
    }

    /// The constants of a norm over the last axis.
    pub(super) fn layer_norm(&self, node: &NodeProto) -> Result<LayerNorm, Miss> {
        let is_of_last_axis = attribute::integer(node, "axis", -1) == -1;
        ensure(is_of_last_axis, "it is not said to be over the last axis alone")?;
        ensure(attribute::integer(node, "stash_type", 1) == 1, "it is not computed in 32 bits")?;
        let weight = node.input.get(1).and_then(|name| self.vector(name));
        let weight = weight.or_near("its weight is no constant vector")?;
        // ONNX stretches a weight of one element over any width.
        ensure(weight.len() > 1, "its weight has one element")?;
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => self.vector(name).or_near("its bias is no constant vector")?,
            None => vec![0.0; weight.len()],
        };
        ensure(bias.len() == weight.len(), "its bias is not as long as its weight")?;
        let epsilon = attribute::float(node, "epsilon", 1e-5);
        Ok(LayerNorm { weight, bias, epsilon })
    }

    fn vector(&self, name: &str) -> Option<Vec<f32>> {
        self.constants().weight(name).filter(|stored| stored.dims.len() == 1)?;
        self.constants().floats(name)
    }
}
