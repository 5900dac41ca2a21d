//! CoCa's attentional pooler, found in the graph of an image encoder.

use std::{borrow::Borrow, collections::BTreeSet};

use coca_onnx::{GraphIndex, operator, pb::GraphProto};

/// The one tensor that the pooler's keys and values are parts of, `[N, T, 2 × width]`, if `output` can be computed from
/// it alone.
///
/// Its queries are learnt: an initializer `[1, heads, queries, head_width]`, multiplied with the keys.
pub(super) fn pooler_input<G: Borrow<GraphProto>>(
    index: &GraphIndex<G>,
    output: &str,
) -> Option<String> {
    let is_learnt = |name: &String| index.initializer(name).is_some_and(|t| t.dims.len() == 4);
    let mut products = index.nodes().filter(|(_, node)| operator(node) == Some("MatMul"));
    let (_, scores) = products.find(|(_, node)| node.input.first().is_some_and(is_learnt))?;
    let (_, mut node) = index.producer(scores.input.get(1)?)?;
    while matches!(operator(node), Some("Transpose" | "Reshape")) {
        (_, node) = index.producer(node.input.first()?)?;
    }
    let joint = (operator(node) == Some("Split")).then(|| node.input.first())??;
    is_computed_from(index, output, joint).then(|| joint.clone())
}

/// Whether no path from an input of the graph to `output` goes around `tensor`.
fn is_computed_from<G: Borrow<GraphProto>>(
    index: &GraphIndex<G>,
    output: &str,
    tensor: &str,
) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![output]);
    while let Some(name) = open.pop() {
        if index.is_input(name) {
            return false;
        }
        if name != tensor && seen.insert(name) {
            let producer = index.producer(name);
            open.extend(producer.iter().flat_map(|(_, node)| &node.input).map(String::as_str));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use coca_onnx::{
        Opset,
        builder::{GraphBuilder, f32_tensor},
    };

    use super::*;

    /// A pooler of two queries over `x`; `tokens` adds `around` to what it answers, if that is an input.
    fn pooler(is_bypassed: bool) -> GraphProto {
        let mut graph = GraphBuilder::new("pooler");
        let x = graph.input_f32("x", &["N".into(), 3.into(), 8.into()]);
        let joint = graph.op("Exp", &[&x]);
        let [keys, values] = graph.split(&joint, 4);
        let [keys, values] = [(keys, [0, 2, 3, 1]), (values, [0, 2, 1, 3])].map(|(x, order)| {
            let heads = graph.reshape(&x, &[0, 0, 2, 2]);
            graph.transpose(&heads, &order)
        });
        let queries = graph.weight(&f32_tensor("queries", &[1, 2, 2, 2], &[1.0; 8]));
        let scores = graph.op("MatMul", &[&queries, &keys]);
        let shares = graph.softmax(&scores);
        let mut tokens = graph.op("MatMul", &[&shares, &values]);
        if is_bypassed {
            let around = graph.pick(&x, 0, 1);
            tokens = graph.op("Add", &[&tokens, &around]);
        }
        graph.output("tokens", &tokens, &["N".into(), 2.into(), 2.into(), 2.into()]);
        graph.into_graph()
    }

    #[test]
    fn the_joint_keys_and_values_are_what_a_pooler_reads() {
        let graph = pooler(false);
        let index = GraphIndex::new(&graph, Opset::new(17));
        assert_eq!(pooler_input(&index, "tokens").as_ref(), graph.node[0].output.first());
    }

    #[test]
    fn an_output_that_needs_more_than_the_pooler_reads_is_no_pooler_s() {
        let graph = pooler(true);
        assert_eq!(pooler_input(&GraphIndex::new(&graph, Opset::new(17)), "tokens"), None);
    }
}
