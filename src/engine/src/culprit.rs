//! The node that makes tract panic, found by trying again with fewer of them.

use std::collections::HashSet;

use coca_onnx::{
    pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType},
    value_info::{self, Dim},
};

/// Weights of more bytes are no shapes, indices or factors, whose values decide how a graph is prepared.
const MAX_KEPT_BYTES: usize = 4_096;

/// Makes inputs of the large weights, so that their bytes need not be kept to try again.
pub(crate) fn replace_weights_by_inputs(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let is_large = |tensor: &mut TensorProto| tensor.raw_data.len() > MAX_KEPT_BYTES;
    let large: Vec<TensorProto> = graph.initializer.extract_if(.., is_large).collect();
    graph.input.extend(large.iter().map(description));
}

/// The first node, in an order in which they can run, without which tract does not panic: `panics` tells of a graph
/// whether it does.
pub(crate) fn culprit(
    model: &ModelProto,
    panics: impl Fn(&mut ModelProto) -> bool,
) -> Option<&NodeProto> {
    let graph = model.graph.as_ref()?;
    let nodes = in_order(graph);
    let panics = |count: usize| {
        let graph = Some(first_nodes(graph, &nodes[..count]));
        panics(&mut ModelProto { graph, ..model.clone() })
    };
    let (mut sound, mut unsound) = (0, nodes.len());
    if !panics(unsound) {
        return None;
    }
    while unsound - sound > 1 {
        let middle = sound.midpoint(unsound);
        if panics(middle) { unsound = middle } else { sound = middle }
    }
    nodes.get(unsound.checked_sub(1)?).copied()
}

/// A graph of `nodes` alone, whose outputs are all that none of them reads.
fn first_nodes(graph: &GraphProto, nodes: &[&NodeProto]) -> GraphProto {
    let read: HashSet<&String> = nodes.iter().flat_map(|node| &node.input).collect();
    let made = nodes.iter().flat_map(|node| &node.output);
    let unread = made.filter(|name| !name.is_empty() && !read.contains(name));
    let output = |name: &String| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() };
    GraphProto {
        node: nodes.iter().copied().cloned().collect(),
        input: graph.input.clone(),
        initializer: graph.initializer.clone(),
        output: unread.map(output).collect(),
        ..GraphProto::default()
    }
}

/// The nodes in an order in which they can run; rules add nodes at the end.
fn in_order(graph: &GraphProto) -> Vec<&NodeProto> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let weights = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut known: HashSet<&str> = inputs.chain(weights).chain([""]).collect();
    let (mut order, mut left) = (Vec::new(), graph.node.iter().collect::<Vec<_>>());
    loop {
        let before = left.len();
        left.retain(|node| {
            let is_ready = node.input.iter().all(|name| known.contains(name.as_str()));
            if is_ready {
                known.extend(node.output.iter().map(String::as_str));
                order.push(*node);
            }
            !is_ready
        });
        if left.len() == before {
            return order;
        }
    }
}

fn description(weight: &TensorProto) -> ValueInfoProto {
    let sizes = weight.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0));
    let sizes: Vec<Dim> = sizes.map(Dim::from).collect();
    let data_type = DataType::try_from(weight.data_type).unwrap_or(DataType::Float);
    value_info::tensor(&weight.name, data_type, &sizes)
}
