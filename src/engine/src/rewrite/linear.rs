//! Linear layers: LayerNormalization → MatMul or Gemm → bias → activation → residual.

use coca_kernels::{Activation, LayerNorm, Weights};
use coca_onnx::{Linear, NodeId};

use super::{
    Rewriter,
    miss::{Miss, OrMiss, Rule, ensure},
    other_operand,
    packing::pack,
};
use crate::fused;

/// A product and what follows it, up to the tensor `output`, which the node `end` produces.
pub(super) struct Chain {
    pub(super) end: NodeId,
    pub(super) output: String,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) activation: Activation,
    pub(super) residual: Option<String>,
}

/// The constants of a product with a constant matrix.
struct Product {
    /// The name of the matrix.
    name: String,
    weights: Weights,
    /// The bias that it brings along.
    bias: Option<Vec<f32>>,
}

impl Chain {
    /// A product alone, which brings its bias along.
    pub(super) fn new(end: NodeId, output: &str, bias: Option<Vec<f32>>) -> Self {
        let activation = Activation::Identity;
        Self { end, output: output.to_owned(), bias, activation, residual: None }
    }

    /// The layer that it is with these weights.
    pub(super) fn linear(
        &self,
        name: &str,
        norm: Option<LayerNorm>,
        weights: Weights,
    ) -> fused::Linear {
        let (name, bias, activation) = (name.to_owned(), self.bias.clone(), self.activation);
        fused::Linear { name, norm, weights, bias, activation, residual: self.residual.is_some() }
    }
}

impl Rewriter<'_> {
    /// Fuses a product with a constant matrix.
    pub(super) fn fuse_linear_layer(&mut self, id: NodeId) -> Rule {
        let node = self.graph.node(id).or_other()?;
        let linear = Linear::of(node).or_other()?;
        let Product { name, weights, bias } = self.product(&linear)?;
        let mut chain = Chain::new(id, node.output.first().or_other()?, bias);
        self.follow_bias(&mut chain, weights.outputs());
        self.follow_activation(&mut chain);
        self.follow_residual(&mut chain);
        let (input, norm) = match self.norm_in_front(linear.input, weights.inputs()) {
            Some((input, norm)) => (input, Some(norm)),
            None => (linear.input.to_owned(), None),
        };
        let operator = chain.linear(&name, norm, weights);
        let inputs = std::iter::once(input).chain(chain.residual).collect();
        self.replace(chain.end, inputs, chain.output, operator);
        // The layer has a copy of its own now.
        self.weights.release();
        Ok(())
    }

    /// The constants of a product with a constant matrix.
    fn product(&self, linear: &Linear<'_>) -> Result<Product, Miss> {
        let stored = match self.constants().weight(linear.weight) {
            None if self.graph.is_constant(linear.weight) => {
                return Err(Miss::Near("its weight is of a type that is not computed with"));
            }
            stored => stored.or_other()?,
        };
        ensure(stored.dims.len() == 2, "its weight has other than two axes")?;
        ensure(!linear.is_general, "it scales its factors, or transposes its input")?;
        let weights = pack(&stored, self.engine, linear.transposes_weight, self.int8);
        let weights = weights.or_near("its weight cannot be packed")?;
        let bias = match linear.bias {
            Some(name) => {
                let bias = self.bias(name, weights.outputs());
                Some(bias.or_near("its bias is no constant of one element an output")?)
            }
            None => None,
        };
        Ok(Product { name: stored.tensor.name.clone(), weights, bias })
    }

    /// A constant with an element for each output, the same for all rows.
    fn bias(&self, name: &str, outputs: usize) -> Option<Vec<f32>> {
        // With more axes than the product has, it would add axes to it.
        let dims = &self.graph.constant(name)?.dims;
        let is_vector = matches!(dims[..], [_] | [1, _]) && dims.last() == Some(&(outputs as i64));
        is_vector.then(|| self.constants().floats(name))?
    }

    /// The layer norm that produces a layer's input, and what that norm reads.
    fn norm_in_front(&self, input: &str, width: usize) -> Option<(String, LayerNorm)> {
        let node = self.graph.produced_by("LayerNormalization", input)?;
        (node.output.first()? == input).then_some(())?;
        let norm = self.layer_norm(node).ok()?;
        (norm.weight.len() == width).then_some((node.input.first()?.clone(), norm))
    }

    fn follow_bias(&self, chain: &mut Chain, outputs: usize) -> Option<()> {
        chain.bias.is_none().then_some(())?;
        let (end, node) = self.graph.only_consumed_by("Add", &chain.output)?;
        chain.bias = Some(self.bias(other_operand(node, &chain.output)?, outputs)?);
        (chain.end, chain.output) = (end, node.output.first()?.clone());
        Some(())
    }

    pub(super) fn follow_activation(&self, chain: &mut Chain) -> Option<()> {
        let (activation, end) = self.activation(&chain.output)?;
        chain.activation = activation;
        (chain.end, chain.output) = (end, self.graph.node(end)?.output.first()?.clone());
        Some(())
    }

    pub(super) fn follow_residual(&self, chain: &mut Chain) -> Option<()> {
        let (end, other, sum) = self.residual(chain)?;
        chain.residual = Some(other.to_owned());
        (chain.end, chain.output) = (end, sum.to_owned());
        Some(())
    }

    /// The sum that alone reads what was found: where it is, its other operand, its name.
    pub(super) fn residual(&self, chain: &Chain) -> Option<(NodeId, &str, &str)> {
        let (end, node) = self.graph.only_consumed_by("Add", &chain.output)?;
        Some((end, other_operand(node, &chain.output)?, node.output.first()?))
    }
}
