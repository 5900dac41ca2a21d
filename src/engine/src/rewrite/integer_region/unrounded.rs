//! Activations in f32, where codes would round them.

use coca_kernels::Activation;
use coca_onnx::{NodeId, builder};

use super::super::{
    Rewriter,
    activation::CLIP_WITH_INPUTS,
    miss::{OrMiss, Rule},
};

impl Rewriter<'_> {
    /// Replaces `QuantizeLinear` → `DequantizeLinear` by what they do but for rounding: a `Clip` to the range of the codes. It is
    /// one with the activation in front, which quantisers leave out where codes begin and end with it.
    pub(in super::super) fn clamp_without_rounding(&mut self, id: NodeId) -> Rule {
        (self.graph.opset() >= CLIP_WITH_INPUTS).then_some(()).or_other()?;
        let node = self.graph.node(id).or_other()?;
        let value = node.output.first().or_other()?.clone();
        let quantization = self.codes_of(&value)?.quantization;
        let source = self.quantized_from(&value).or_other()?;
        let (mut input, [mut low, mut high]) =
            (source, [0, 255].map(|code| quantization.value(code)));
        if let Some((unclamped, [from, to])) = self.clamp_that_makes(source)
            && low.max(from) <= high.min(to)
        {
            (input, low, high) = (unclamped, low.max(from), high.min(to));
        }
        let input = input.to_owned();
        let bounds = [("low", low), ("high", high)].map(|(kind, bound)| {
            let name = self.derived(kind, &value);
            self.graph.add_initializer(builder::f32_tensor(&name, &[], &[bound]));
            name
        });
        let clip = builder::node("Clip", &[&input, &bounds[0], &bounds[1]], &value, Vec::new());
        self.graph.replace(id, clip);
        Ok(())
    }

    /// The tensor that is clamped to make another, which nothing else reads, and the bounds.
    fn clamp_that_makes(&self, name: &str) -> Option<(&str, [f32; 2])> {
        self.graph.only_consumer(name)?;
        let (_, node) = self.graph.producer(name)?;
        let bounds = match coca_onnx::operator(node)? {
            "Relu" => [0.0, f32::INFINITY],
            "Clip" => match self.clip(node)? {
                Activation::Clamp { low, high } => [low, high],
                _ => return None,
            },
            _ => return None,
        };
        Some((node.input.first()?, bounds))
    }
}
