//! Means and variances over height and width of a region's images, which the region takes of the codes themselves.

use std::collections::BTreeSet;

use coca_onnx::{NodeId, attribute, pb::NodeProto};

use super::super::Rewriter;

/// The nodes that take mean and variance of rows, `[N, C, 1]` each.
pub(super) struct RowMoments {
    pub(super) mean: NodeId,
    pub(super) variance: NodeId,
}

impl Rewriter<'_> {
    /// The node that alone reads what `dequantizer` makes `[N, C, H, W]`, and takes its mean over height and width:
    /// `[N, C, 1, 1]`.
    pub(super) fn mean_of(&self, dequantizer: NodeId) -> Option<NodeId> {
        let values = self.graph.node(dequantizer)?.output.first()?;
        if let Some((pooling, _)) = self.graph.only_consumed_by("GlobalAveragePool", values) {
            return Some(pooling);
        }
        let (id, node) = self.graph.only_consumed_by("ReduceMean", values)?;
        let mut axes = self.averaged_axes(node, 4)?;
        axes.sort_unstable();
        (axes == [2, 3]).then_some(id)
    }

    /// The nodes that take mean and variance over height and width of what `dequantizer` makes `[N, C, H, W]`, if they
    /// alone read it beside `nodes`: of rows `[N, C, H × W]`, the mean, and the mean of the squared differences from it.
    pub(super) fn moments_of(
        &self,
        dequantizer: NodeId,
        channels: usize,
        nodes: &BTreeSet<NodeId>,
    ) -> Option<RowMoments> {
        let values = self.graph.node(dequantizer)?.output.first()?;
        let reshape = self.only_reader_beside(nodes, values)?;
        let reshape = self.graph.node_of(reshape, "Reshape")?;
        let shape = self.constants().integers(reshape.input.get(1)?)?;
        let is_rows =
            matches!(shape[..], [0, c, -1] if c == 0 || usize::try_from(c) == Ok(channels));
        let rows = reshape.output.first().filter(|_| is_rows)?;

        let (mean, difference) = self.two_readers(rows)?;
        let mean_of_rows = self.row_mean(mean)?;
        let difference = self.graph.node_of(difference, "Sub")?;
        let is_difference = difference.input == [rows.clone(), mean_of_rows.clone()];
        let difference = difference.output.first().filter(|_| is_difference)?;

        let (square, again) = self.two_readers(difference)?;
        let square = self.graph.node_of(square, "Mul").filter(|_| square == again)?;
        let (variance, _) = self.graph.only_consumer(square.output.first()?)?;
        self.row_mean(variance)?;
        Some(RowMoments { mean, variance })
    }

    /// The one node that reads a tensor beside `nodes`, if no other does.
    fn only_reader_beside(&self, nodes: &BTreeSet<NodeId>, value: &str) -> Option<NodeId> {
        let readers = self.graph.consumers(value).map(|(consumer, _)| consumer.node);
        let others: Vec<NodeId> = readers.filter(|reader| !nodes.contains(reader)).collect();
        match others[..] {
            [reader] if !self.graph.is_read_elsewhere(value) => Some(reader),
            _ => None,
        }
    }

    /// The two readers of a tensor in their order, if there are no more; one that reads it twice is both.
    fn two_readers(&self, value: &str) -> Option<(NodeId, NodeId)> {
        let readers: Vec<_> = self.graph.consumers(value).map(|(reader, _)| reader.node).collect();
        match readers[..] {
            [first, second] if !self.graph.is_read_elsewhere(value) => Some((first, second)),
            _ => None,
        }
    }

    /// The result of a node that takes the mean of rows `[N, C, H × W]`: `[N, C, 1]`.
    fn row_mean(&self, id: NodeId) -> Option<&String> {
        let node = self.graph.node_of(id, "ReduceMean")?;
        let axes = self.averaged_axes(node, 3)?;
        node.output.first().filter(|_| axes == [2])
    }

    /// The axes that a `ReduceMean` of a tensor of so many axes takes the mean over and keeps, from 0.
    fn averaged_axes(&self, node: &NodeProto, rank: i64) -> Option<Vec<i64>> {
        // An input since opset 18.
        let axes = match node.input.get(1) {
            Some(name) => self.constants().integers(name)?,
            None => attribute::integers(node, "axes")?.to_vec(),
        };
        let keeps_axes = attribute::integer(node, "keepdims", 1) == 1;
        let from_the_first = |axis: i64| if axis < 0 { axis + rank } else { axis };
        keeps_axes.then(|| axes.into_iter().map(from_the_first).collect())
    }
}
