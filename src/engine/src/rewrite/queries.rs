//! Learnt queries of an attentional pooler.

use coca_onnx::{Consumer, NodeId, attribute, builder, operator, pb::tensor_proto::DataType};

use super::{
    Rewriter,
    attention_pattern::HEADS_FIRST,
    is_transpose,
    miss::{OrMiss, Rule},
    transpose,
};

/// The only query whose answer is read.
struct OnlyQuery {
    row: usize,
    /// Where the node that picks it reads the index.
    index: Consumer,
}

impl Rewriter<'_> {
    /// Writes learnt queries `[1, heads, queries, head_width]` as rows that the graph splits, like all others; if only
    /// one of them is needed, that one.
    pub(super) fn split_constant_queries(&mut self, id: NodeId) -> Rule {
        let name = self.graph.node(id).and_then(|node| node.input.first()).or_other()?.clone();
        let stored = self.constants().weight(&name).or_other()?;
        let [1, heads, all, head_width] = stored.dims[..] else { return None.or_other() };
        let needed = self.only_query(id).filter(|only| only.row < all);
        let kept = needed.as_ref().map_or(0..all, |only| only.row..only.row + 1);
        let elements = stored.to_f32();
        let element = |query: usize, i: usize| {
            elements[((i / head_width) * all + query) * head_width + i % head_width]
        };
        let (queries, width) = (kept.len(), heads * head_width);
        let rows = kept.flat_map(|query| (0..width).map(move |i| (query, i)));
        let rows: Vec<f32> = rows.map(|(query, i)| element(query, i)).collect();
        let prefix = self.derived("queries", id.position());
        let derived = |what: &str| format!("{prefix} {what}");
        if let Some(only) = needed {
            self.pick_first(&only, &derived("first row"));
        }
        let shape = [0, 0, heads as i64, head_width as i64];
        let dims = [1, queries as i64, width as i64];
        self.graph.add_initializer(builder::f32_tensor(&derived("rows"), &dims, &rows));
        self.graph.add_initializer(builder::i64_tensor(&derived("shape"), &[4], &shape));
        let inputs = [derived("rows"), derived("shape")];
        let inputs = inputs.each_ref().map(String::as_str);
        self.graph.add(builder::node("Reshape", &inputs, &derived("heads"), Vec::new()));
        self.graph.add(transpose(&derived("heads"), &derived("split"), HEADS_FIRST));
        self.graph.reconnect(Consumer { node: id, input: 0 }, &derived("split"));
        Ok(())
    }

    /// Makes the node that picks a query pick the first, with an index of the same axes.
    fn pick_first(&mut self, only: &OnlyQuery, name: &str) {
        let node = self.graph.node(only.index.node);
        let old = node.and_then(|node| node.input.get(only.index.input));
        let dims = old.and_then(|old| self.graph.constant(old)).map(|index| index.dims.clone());
        let Some(dims) = dims else { return };
        self.graph.add_initializer(builder::i64_tensor(name, &dims, &[0]));
        self.graph.reconnect(only.index, name);
    }

    /// The one query whose answer is read, where everything between the product of the scores and the node that picks
    /// it treats queries alone.
    fn only_query(&self, scores: NodeId) -> Option<OnlyQuery> {
        let mut output = self.graph.node(scores)?.output.first()?;
        loop {
            let (id, node) = self.graph.only_consumer(output)?;
            let is_first = node.input.first() == Some(output);
            match operator(node)? {
                "Softmax" if self.is_of_last_axis(node) => {}
                "LayerNormalization" if attribute::integer(node, "axis", -1) == -1 => {}
                "Transpose" if is_transpose(node, HEADS_FIRST) => {}
                "Reshape" if is_first && matches!(self.shape(node)?[..], [0, 0 | -1, _]) => {}
                "MatMul" if is_first => {}
                "Add" if node.input.iter().any(|name| self.is_same_for_all_rows(name)) => {}
                "Gather" if is_first && attribute::integer(node, "axis", 0) == 1 => {
                    let [row] = self.constants().integers(node.input.get(1)?)?[..] else {
                        return None;
                    };
                    let index = Consumer { node: id, input: 1 };
                    return Some(OnlyQuery { row: usize::try_from(row).ok()?, index });
                }
                _ => return None,
            }
            output = node.output.first()?;
        }
    }

    /// Whether a constant has no entries of their own for several rows.
    fn is_same_for_all_rows(&self, name: &str) -> bool {
        let constant = self.graph.constant(name);
        constant.is_some_and(|tensor| {
            tensor.data_type == DataType::Float as i32
                && tensor.dims.iter().rev().skip(1).all(|&size| size == 1)
        })
    }
}
