//! Linear layers: LayerNormalization → MatMul or Gemm → bias → activation → residual.

use coca_kernels::{Activation, LayerNorm, Weights};

use super::{
    Rewriter,
    network::{float, integer, other_operand},
};
use crate::fused;

/// A product and what follows it, up to the tensor `output`, which the node `at` makes.
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) output: String,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) activation: Activation,
    pub(super) residual: Option<String>,
}

impl Found {
    /// A product alone, which brings its bias along.
    pub(super) fn new(at: usize, output: &str, bias: Option<Vec<f32>>) -> Self {
        let activation = Activation::Identity;
        Self { at, output: output.to_owned(), bias, activation, residual: None }
    }

    /// The layer that it is with these weights.
    pub(super) fn linear(&self, norm: Option<LayerNorm>, weights: Weights) -> fused::Linear {
        let (bias, activation) = (self.bias.clone(), self.activation);
        fused::Linear { norm, weights, bias, activation, residual: self.residual.is_some() }
    }
}

impl Rewriter<'_> {
    /// Fuses every product with a constant matrix.
    pub(super) fn fuse_linear_layers(&mut self) {
        for at in self.network.all("MatMul").into_iter().chain(self.network.all("Gemm")) {
            self.fuse_linear_layer(at);
            // The layer has a copy of its own now.
            self.weights.release();
        }
    }

    fn fuse_linear_layer(&mut self, at: usize) -> Option<()> {
        let node = self.network.node(at)?;
        let input = node.input.first()?;
        let (weights, bias) = self.product(at)?;
        let mut found = Found::new(at, node.output.first()?, bias);
        self.follow_bias(&mut found, weights.outputs());
        self.follow_activation(&mut found);
        self.follow_residual(&mut found);
        let norm = self.network.made_by("LayerNormalization", input);
        let norm =
            norm.and_then(|node| Some((node.input.first()?.clone(), self.layer_norm(node)?)));
        let norm = norm.filter(|(_, norm)| norm.weight.len() == weights.inputs());
        let (input, norm) = match norm {
            Some((input, norm)) => (input, Some(norm)),
            None => (input.clone(), None),
        };
        let operator = found.linear(norm, weights);
        let inputs = std::iter::once(input).chain(found.residual).collect();
        self.network.replace(found.at, inputs, found.output, operator);
        Some(())
    }

    /// The packed weights of a product with a constant matrix, and the bias that it brings along.
    fn product(&self, at: usize) -> Option<(Weights, Option<Vec<f32>>)> {
        let node = self.network.node(at)?;
        let stored = self.stored(node.input.get(1)?)?;
        if node.op_type == "MatMul" {
            return Some((stored.pack(self.engine, false, self.int8)?, None));
        }
        let plain = float(node, "alpha", 1.0) == 1.0
            && float(node, "beta", 1.0) == 1.0
            && integer(node, "transA", 0) == 0;
        plain.then_some(())?;
        let bias = self.optional_numbers(node, 2)?;
        let weights = stored.pack(self.engine, integer(node, "transB", 0) == 1, self.int8)?;
        bias.as_ref().is_none_or(|bias| bias.len() == weights.outputs()).then_some(())?;
        Some((weights, bias))
    }

    fn follow_bias(&self, found: &mut Found, outputs: usize) -> Option<()> {
        let (at, node) =
            self.network.only_reader(&found.output).filter(|(_, n)| n.op_type == "Add")?;
        let other = other_operand(node, &found.output)?;
        let bias = self.stored(other).filter(|stored| !stored.turned)?;
        let only_last_axis = bias.dims.iter().rev().skip(1).all(|&dim| dim == 1);
        (found.bias.is_none() && only_last_axis && bias.dims.last() == Some(&outputs))
            .then_some(())?;
        found.bias = self.numbers(other);
        found.bias.as_ref()?;
        (found.at, found.output) = (at, node.output.first()?.clone());
        Some(())
    }

    pub(super) fn follow_activation(&self, found: &mut Found) -> Option<()> {
        let (activation, at) = self.activation(&found.output)?;
        found.activation = activation;
        (found.at, found.output) = (at, self.network.node(at)?.output.first()?.clone());
        Some(())
    }

    pub(super) fn follow_residual(&self, found: &mut Found) -> Option<()> {
        let (at, other, sum) = self.residual(found)?;
        found.residual = Some(other.to_owned());
        (found.at, found.output) = (at, sum.to_owned());
        Some(())
    }

    /// The sum that alone reads what was found: where it is, its other operand, its name.
    pub(super) fn residual(&self, found: &Found) -> Option<(usize, &str, &str)> {
        let (at, node) =
            self.network.only_reader(&found.output).filter(|(_, n)| n.op_type == "Add")?;
        Some((at, other_operand(node, &found.output)?, node.output.first()?))
    }
}
