//! Activations, however an exporter spells them.

use coca_kernels::Activation;

use super::{
    Rewriter,
    network::{attribute, other_operand},
};

impl Rewriter<'_> {
    /// The activation that alone reads `name`, and the node at which it ends.
    pub(super) fn activation(&self, name: &str) -> Option<(Activation, usize)> {
        if let Some((at, node)) = self.network.only_reader(name) {
            match node.op_type.as_str() {
                "Relu" => return Some((Activation::Clamp { low: 0.0, high: f32::INFINITY }, at)),
                "Clip" => {
                    let bound = |i: usize, default: f32| match node
                        .input
                        .get(i)
                        .filter(|n| !n.is_empty())
                    {
                        Some(name) => self.scalar(name),
                        None => Some(default),
                    };
                    let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
                    return Some((Activation::Clamp { low, high }, at));
                }
                "Gelu" => {
                    let tanh = attribute(node, "approximate").is_some_and(|a| a.s == b"tanh");
                    return (!tanh).then_some((Activation::Gelu, at));
                }
                _ => return None,
            }
        }
        self.gelu(name).or_else(|| self.quick_gelu(name))
    }

    /// `x × (1 + erf(x ÷ √2)) × ½`, its factors in any order.
    fn gelu(&self, x: &str) -> Option<(Activation, usize)> {
        let scaled = self.network.readers(x).find_map(|node| {
            let factor = self.scalar(other_operand(node, x)?)?;
            let root = match node.op_type.as_str() {
                "Div" if node.input[0] == x => factor,
                "Mul" => factor.recip(),
                _ => return None,
            };
            let inner = (root - std::f32::consts::SQRT_2).abs() < 1e-4;
            inner.then(|| node.output.first()).flatten()
        })?;
        let (_, erf) = self.network.only_reader(scaled).filter(|(_, n)| n.op_type == "Erf")?;
        let (_, sum) =
            self.network.only_reader(erf.output.first()?).filter(|(_, n)| n.op_type == "Add")?;
        (self.scalar(other_operand(sum, erf.output.first()?)?)? == 1.0).then_some(())?;
        let (mut factors_left, mut at) = ((true, true), 0);
        let mut product = sum.output.first()?.clone();
        // The product so far is multiplied with x and with ½, in either order, or with x × ½ at once.
        while factors_left != (false, false) {
            let (next, node) =
                self.network.only_reader(&product).filter(|(_, n)| n.op_type == "Mul")?;
            let other = other_operand(node, &product)?;
            if other == x && factors_left.0 {
                factors_left.0 = false;
            } else if factors_left.1 && self.scalar(other) == Some(0.5) {
                factors_left.1 = false;
            } else if factors_left == (true, true) && self.is_half_of(other, x) {
                factors_left = (false, false);
            } else {
                return None;
            }
            (at, product) = (next, node.output.first()?.clone());
        }
        Some((Activation::Gelu, at))
    }

    fn is_half_of(&self, name: &str, x: &str) -> bool {
        let node = self.network.made_by("Mul", name);
        node.and_then(|node| self.scalar(other_operand(node, x)?)) == Some(0.5)
    }

    /// `x × σ(1.702 x)`
    fn quick_gelu(&self, x: &str) -> Option<(Activation, usize)> {
        let scaled = self.network.readers(x).find(|node| {
            let factor = other_operand(node, x).and_then(|other| self.scalar(other));
            node.op_type == "Mul" && factor.is_some_and(|factor| (factor - 1.702).abs() < 1e-5)
        })?;
        let (_, gate) = self.network.only_reader(scaled.output.first()?)?;
        (gate.op_type == "Sigmoid").then_some(())?;
        let (at, product) = self.network.only_reader(gate.output.first()?)?;
        let is_product =
            product.op_type == "Mul" && other_operand(product, gate.output.first()?)? == x;
        is_product.then_some((Activation::QuickGelu, at))
    }
}
