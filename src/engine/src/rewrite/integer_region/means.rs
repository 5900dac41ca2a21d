//! Means over height and width of a region's images, which the region takes of the codes themselves.

use coca_onnx::{NodeId, attribute};

use super::super::Rewriter;

impl Rewriter<'_> {
    /// The node that alone reads what `dequantizer` makes `[N, C, H, W]`, and takes its mean over height and width:
    /// `[N, C, 1, 1]`.
    pub(super) fn mean_of(&self, dequantizer: NodeId) -> Option<NodeId> {
        let values = self.graph.node(dequantizer)?.output.first()?;
        if let Some((pooling, _)) = self.graph.only_consumed_by("GlobalAveragePool", values) {
            return Some(pooling);
        }
        let (id, node) = self.graph.only_consumed_by("ReduceMean", values)?;
        // An input since opset 18.
        let axes = match node.input.get(1) {
            Some(name) => self.constants().integers(name)?,
            None => attribute::integers(node, "axes")?.to_vec(),
        };
        let is_axis = |axis: i64| axes.contains(&axis) || axes.contains(&(axis - 4));
        let keeps_axes = attribute::integer(node, "keepdims", 1) == 1;
        (keeps_axes && axes.len() == 2 && is_axis(2) && is_axis(3)).then_some(id)
    }
}
