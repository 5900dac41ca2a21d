//! From a weight forward to the nodes that compute with it.

use std::borrow::Borrow;

use tract_onnx::pb::{GraphProto, NodeProto, tensor_proto::DataType};

use crate::{Consumer, GraphIndex, Layer, NodeId, attribute, operator};

/// A node that computes with a weight.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightUse<'g> {
    /// The node, and which of its inputs.
    pub consumer: Consumer,
    /// The node.
    pub node: &'g NodeProto,
    /// The tensor that it reads: the weight itself, or what casts and transpositions make of it.
    pub value: &'g str,
    /// Whether the weight is transposed on the way.
    pub transposed: bool,
    /// Whether it is of 16 bits still: no cast to 32 stands on the way.
    pub is_f16: bool,
}

/// All that a graph does with a weight.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WeightUses<'g> {
    /// The nodes that compute with it, in the order of the graph.
    pub uses: Vec<WeightUse<'g>>,
    /// Casts, transpositions and identities between the weight and its uses.
    pub between: Vec<NodeId>,
    /// Whether others than the graph's nodes read it: an output, a subgraph.
    pub is_read_elsewhere: bool,
}

impl<'g> WeightUse<'g> {
    /// The layer whose weight it is; `None` if the node is no layer, or reads it as something else.
    #[must_use]
    pub fn layer(&self) -> Option<Layer<'g>> {
        Layer::of(self.node).filter(|layer| layer.weight_input() == self.consumer.input)
    }

    /// The axis of the stored weight whose entries are the layer's outputs.
    #[must_use]
    pub fn output_axis(&self) -> Option<usize> {
        let axis = self.layer()?.output_axis();
        Some(if self.transposed { 1 - axis } else { axis })
    }
}

impl<G: Borrow<GraphProto>> GraphIndex<G> {
    /// All that is done with the initializer `name`, through identities, casts to 32 bits and transpositions of two
    /// axes. A token embedding that is the output head too has a look-up and a linear layer among its uses.
    #[must_use]
    pub fn weight_uses(&self, name: &str) -> WeightUses<'_> {
        let mut found = WeightUses::default();
        let Some(weight) = self.initializer(name) else { return found };
        let is_f16 = weight.data_type == DataType::Float16 as i32;
        let mut open = vec![(weight.name.as_str(), false, is_f16)];
        while let Some((value, transposed, is_f16)) = open.pop() {
            found.is_read_elsewhere |= self.is_read_elsewhere(value);
            for (consumer, node) in self.consumers(value) {
                let output = node.output.first().map(String::as_str);
                match (output, passes(node, weight.dims.len())) {
                    (Some(output), Some(passed)) => {
                        found.between.push(consumer.node);
                        let is_f16 = is_f16 && passed != Passed::Widened;
                        open.push((output, transposed != (passed == Passed::Transposed), is_f16));
                    }
                    _ => {
                        found.uses.push(WeightUse { consumer, node, value, transposed, is_f16 });
                    }
                }
            }
        }
        found.uses.sort_by_key(|use_| use_.consumer);
        found
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Unchanged,
    Widened,
    Transposed,
}

/// What a node does to a weight that it only hands on.
fn passes(node: &NodeProto, rank: usize) -> Option<Passed> {
    match operator(node)? {
        "Identity" => Some(Passed::Unchanged),
        "Cast" if attribute::integer(node, "to", 0) == DataType::Float as i64 => {
            Some(Passed::Widened)
        }
        "Transpose" if rank == 2 => match attribute::integers(node, "perm") {
            None | Some([1, 0]) => Some(Passed::Transposed),
            Some(_) => Some(Passed::Unchanged),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Opset,
        builder::{f32_tensor, node},
    };

    #[test]
    fn an_embedding_that_is_the_output_head_too_has_both_uses() {
        let graph = GraphProto {
            node: vec![
                node("Gather", &["embedding", "ids"], "rows", Vec::new()),
                node("Transpose", &["embedding"], "head", Vec::new()),
                node("MatMul", &["rows", "head"], "logits", Vec::new()),
            ],
            initializer: vec![f32_tensor("embedding", &[4, 2], &[0.0; 8])],
            ..GraphProto::default()
        };
        let index = GraphIndex::new(&graph, Opset::new(17));
        let found = index.weight_uses("embedding");
        let axes: Vec<_> = found.uses.iter().map(|use_| use_.output_axis()).collect();
        assert_eq!(axes, [Some(0), Some(0)]);
        assert_eq!(found.between.len(), 1);
        assert!(matches!(found.uses[0].layer(), Some(Layer::Lookup(_))));
    }

    #[test]
    fn a_weight_that_is_the_first_factor_is_no_layer() {
        let graph = GraphProto {
            node: vec![node("MatMul", &["w", "x"], "y", Vec::new())],
            initializer: vec![f32_tensor("w", &[2, 2], &[0.0; 4])],
            ..GraphProto::default()
        };
        let index = GraphIndex::new(&graph, Opset::new(17));
        assert_eq!(index.weight_uses("w").uses[0].layer(), None);
    }
}
