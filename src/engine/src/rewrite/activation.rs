//! Activations, however an exporter spells them.

use coca_kernels::Activation;
use coca_onnx::{NodeId, Opset, attribute, operator, pb::NodeProto};

use super::{Rewriter, other_operand};

/// Bounds are inputs of `Clip` since this version, attributes before.
pub(super) const CLIP_WITH_INPUTS: Opset = Opset::new(11);

impl Rewriter<'_> {
    /// The activation that alone reads `name`, and the node at which it ends.
    pub(super) fn activation(&self, name: &str) -> Option<(Activation, NodeId)> {
        if let Some((id, node)) = self.graph.only_consumer(name) {
            let activation = match operator(node)? {
                "Relu" => Activation::Clamp { low: 0.0, high: f32::INFINITY },
                "Clip" => self.clip(node)?,
                "Gelu" if attribute::string(node, "approximate") != Some(b"tanh") => {
                    Activation::Gelu
                }
                _ => return None,
            };
            return Some((activation, id));
        }
        self.gelu(name).or_else(|| self.quick_gelu(name))
    }

    /// The clamp that a `Clip` is.
    pub(super) fn clip(&self, node: &NodeProto) -> Option<Activation> {
        if self.graph.opset() < CLIP_WITH_INPUTS {
            let low = attribute::float(node, "min", f32::MIN);
            let high = attribute::float(node, "max", f32::MAX);
            return Some(Activation::Clamp { low, high });
        }
        let bound = |input: usize, default: f32| match node
            .input
            .get(input)
            .filter(|name| !name.is_empty())
        {
            Some(name) => self.constants().scalar(name),
            None => Some(default),
        };
        let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
        Some(Activation::Clamp { low, high })
    }

    /// `x × (1 + erf(x ÷ √2)) × ½`, its factors in any order.
    fn gelu(&self, x: &str) -> Option<(Activation, NodeId)> {
        let scaled = self.consumers(x).find_map(|node| {
            let factor = self.constants().scalar(other_operand(node, x)?)?;
            let root = match operator(node)? {
                "Div" if node.input[0] == x => factor,
                "Mul" => factor.recip(),
                _ => return None,
            };
            let is_root_of_two = (root - std::f32::consts::SQRT_2).abs() < 1e-4;
            is_root_of_two.then(|| node.output.first()).flatten()
        })?;
        let (_, erf) = self.graph.only_consumed_by("Erf", scaled)?;
        let erf = erf.output.first()?;
        let (_, sum) = self.graph.only_consumed_by("Add", erf)?;
        (self.constants().scalar(other_operand(sum, erf)?)? == 1.0).then_some(())?;
        self.gated(x, sum.output.first()?)
    }

    /// Where the product of `gate` with `x` and with ½ ends, in either order, or with `x × ½` at once.
    fn gated(&self, x: &str, gate: &str) -> Option<(Activation, NodeId)> {
        let (mut needs_x, mut needs_half) = (true, true);
        let mut product = gate;
        loop {
            let (id, node) = self.graph.only_consumed_by("Mul", product)?;
            let other = other_operand(node, product)?;
            if needs_x && other == x {
                needs_x = false;
            } else if needs_half && self.constants().scalar(other) == Some(0.5) {
                needs_half = false;
            } else if needs_x && needs_half && self.is_half_of(other, x) {
                (needs_x, needs_half) = (false, false);
            } else {
                return None;
            }
            if !needs_x && !needs_half {
                return Some((Activation::Gelu, id));
            }
            product = node.output.first()?;
        }
    }

    fn is_half_of(&self, name: &str, x: &str) -> bool {
        let node = self.graph.produced_by("Mul", name);
        let factor = node.and_then(|node| other_operand(node, x));
        factor.and_then(|factor| self.constants().scalar(factor)) == Some(0.5)
    }

    /// `x × σ(1.702 x)`
    fn quick_gelu(&self, x: &str) -> Option<(Activation, NodeId)> {
        let scaled = self.consumers(x).find(|node| {
            let factor = other_operand(node, x).and_then(|other| self.constants().scalar(other));
            operator(node) == Some("Mul") && factor.is_some_and(|f| (f - 1.702).abs() < 1e-5)
        })?;
        let (_, gate) = self.graph.only_consumed_by("Sigmoid", scaled.output.first()?)?;
        let (id, product) = self.graph.only_consumed_by("Mul", gate.output.first()?)?;
        (other_operand(product, gate.output.first()?)? == x).then_some((Activation::QuickGelu, id))
    }

    fn consumers(&self, name: &str) -> impl Iterator<Item = &NodeProto> {
        self.graph.consumers(name).map(|(_, node)| node)
    }
}
