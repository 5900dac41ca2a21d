//! Producers and consumers of the tensors of a graph.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use crate::{Opset, attribute, opset::is, value_info};

/// A node of an indexed graph. Ids stay valid while the graph is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// Its place among the nodes of the graph as it was indexed.
    #[must_use]
    pub fn position(self) -> usize {
        self.0
    }
}

/// A node that reads a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Consumer {
    /// The node.
    pub node: NodeId,
    /// Which of its inputs the tensor is.
    pub input: usize,
}

/// A graph whose tensors can be asked for their producer and their consumers.
///
/// It borrows a graph to read it (`GraphIndex<&GraphProto>`) or owns one to rewrite it, see [`GraphIndex::replace`].
///
/// # Examples
/// ```
/// use coca_onnx::{GraphIndex, Opset, builder::GraphBuilder};
///
/// let mut builder = GraphBuilder::new("example");
/// let x = builder.input_f32("x", &[2.into()]);
/// let y = builder.op("Relu", &[&x]);
/// let z = builder.op("Exp", &[&y]);
/// builder.output("z", &z, &[2.into()]);
/// let graph = builder.into_graph();
///
/// let index = GraphIndex::new(&graph, Opset::new(17));
/// let (_, relu) = index.nodes().find(|(_, node)| node.op_type == "Relu").unwrap();
/// let (_, consumer) = index.only_consumer(&relu.output[0]).unwrap();
/// assert_eq!(consumer.op_type, "Exp");
/// ```
#[derive(Debug, Clone)]
pub struct GraphIndex<G = GraphProto> {
    pub(crate) graph: G,
    opset: Opset,
    /// Nodes that edits took out; their place in the graph holds an empty node.
    pub(crate) removed: HashSet<usize>,
    pub(crate) initializers: HashMap<String, usize>,
    pub(crate) producers: HashMap<String, usize>,
    pub(crate) consumers: HashMap<String, Vec<Consumer>>,
    /// Inputs without a value in the file, by their places.
    pub(crate) inputs: HashMap<String, usize>,
    outputs: HashSet<String>,
    /// Tensors that a graph inside a node (a branch, a loop's body) reads.
    read_by_subgraphs: HashSet<String>,
}

impl<G: Borrow<GraphProto>> GraphIndex<G> {
    /// Indexes a graph written in the operators of `opset`.
    #[must_use]
    pub fn new(graph: G, opset: Opset) -> Self {
        let proto = graph.borrow();
        let initializers = proto.initializer.iter().enumerate();
        let mut index = Self {
            initializers: initializers.map(|(at, tensor)| (tensor.name.clone(), at)).collect(),
            inputs: HashMap::new(),
            outputs: HashSet::new(),
            removed: HashSet::new(),
            producers: HashMap::with_capacity(proto.node.len()),
            consumers: HashMap::with_capacity(2 * proto.node.len()),
            read_by_subgraphs: HashSet::new(),
            opset,
            graph,
        };
        index.note_signature();
        for at in 0..index.graph.borrow().node.len() {
            index.connect(at);
        }
        index
    }

    /// Notes the inputs and outputs of the graph.
    pub(crate) fn note_signature(&mut self) {
        let proto = self.graph.borrow();
        // Older files list their weights among the inputs.
        let inputs = proto.input.iter().enumerate();
        let inputs = inputs.filter(|(_, input)| !self.initializers.contains_key(&input.name));
        self.inputs = inputs.map(|(at, input)| (input.name.clone(), at)).collect();
        self.outputs = proto.output.iter().map(|output| output.name.clone()).collect();
    }

    /// Notes what node `at` produces and consumes.
    pub(crate) fn connect(&mut self, at: usize) {
        let node = &self.graph.borrow().node[at];
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            self.producers.insert(output.clone(), at);
        }
        for (input, name) in node.input.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let consumer = Consumer { node: NodeId(at), input };
            match self.consumers.get_mut(name) {
                Some(consumers) => consumers.push(consumer),
                None => drop(self.consumers.insert(name.clone(), vec![consumer])),
            }
        }
        add_subgraph_reads(node, &mut self.read_by_subgraphs);
    }

    /// The graph. Nodes that edits removed are empty in it.
    #[must_use]
    pub fn graph(&self) -> &GraphProto {
        self.graph.borrow()
    }

    /// The graph alone.
    #[must_use]
    pub fn into_inner(self) -> G {
        self.graph
    }

    /// The version of the standard operators that it is written in.
    #[must_use]
    pub fn opset(&self) -> Opset {
        self.opset
    }

    /// All nodes, in the order of the file, added ones last.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &NodeProto)> {
        let nodes = self.graph().node.iter().enumerate();
        nodes.filter(|(at, _)| !self.removed.contains(at)).map(|(at, node)| (NodeId(at), node))
    }

    /// The nodes of the standard operator `operator`, in order.
    #[must_use]
    pub fn nodes_of(&self, operator: &str) -> Vec<NodeId> {
        let nodes = self.nodes().filter(|(_, node)| is(node, operator));
        nodes.map(|(id, _)| id).collect()
    }

    /// A node; `None` if it was removed.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeProto> {
        self.graph().node.get(id.0).filter(|_| !self.removed.contains(&id.0))
    }

    /// A node, if it is of the standard operator `operator`.
    #[must_use]
    pub fn node_of(&self, id: NodeId, operator: &str) -> Option<&NodeProto> {
        self.node(id).filter(|node| is(node, operator))
    }

    /// The node that produces the tensor `name`; `None` for inputs and initializers.
    #[must_use]
    pub fn producer(&self, name: &str) -> Option<(NodeId, &NodeProto)> {
        let id = NodeId(*self.producers.get(name)?);
        Some((id, self.node(id)?))
    }

    /// The node of the standard operator `operator` that produces the tensor `name`.
    #[must_use]
    pub fn produced_by(&self, operator: &str, name: &str) -> Option<&NodeProto> {
        self.producer(name).map(|(_, node)| node).filter(|node| is(node, operator))
    }

    /// The nodes that read the tensor `name`, in order, each as often as it reads it.
    pub fn consumers(&self, name: &str) -> impl Iterator<Item = (Consumer, &NodeProto)> {
        let consumers = self.consumers.get(name).into_iter().flatten();
        consumers.filter_map(|&consumer| Some((consumer, self.node(consumer.node)?)))
    }

    /// The one node that reads the tensor `name` once, if nothing else does: no other node, no subgraph, and it is no
    /// output.
    #[must_use]
    pub fn only_consumer(&self, name: &str) -> Option<(NodeId, &NodeProto)> {
        match self.consumers.get(name)?.as_slice() {
            &[consumer] if !self.is_read_elsewhere(name) => {
                Some((consumer.node, self.node(consumer.node)?))
            }
            _ => None,
        }
    }

    /// As [`GraphIndex::only_consumer`], if it is of the standard operator `operator`.
    #[must_use]
    pub fn only_consumed_by(&self, operator: &str, name: &str) -> Option<(NodeId, &NodeProto)> {
        self.only_consumer(name).filter(|(_, node)| is(node, operator))
    }

    /// Whether the tensor is an input of the graph that has no value in the file.
    #[must_use]
    pub fn is_input(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    /// Whether the tensor is an output of the graph.
    #[must_use]
    pub fn is_output(&self, name: &str) -> bool {
        self.outputs.contains(name)
    }

    /// Whether others than the graph's own nodes read the tensor: it is an output, or a graph inside a node reads it.
    #[must_use]
    pub fn is_read_elsewhere(&self, name: &str) -> bool {
        self.outputs.contains(name) || self.read_by_subgraphs.contains(name)
    }

    /// Whether anything reads the tensor.
    pub(crate) fn is_read(&self, name: &str) -> bool {
        self.is_read_elsewhere(name) || self.consumers.get(name).is_some_and(|c| !c.is_empty())
    }

    /// The initializer `name`.
    #[must_use]
    pub fn initializer(&self, name: &str) -> Option<&TensorProto> {
        self.initializers.get(name).map(|&at| &self.graph().initializer[at])
    }

    /// The initializer `name`, or the tensor that a `Constant` makes of that name.
    #[must_use]
    pub fn constant(&self, name: &str) -> Option<&TensorProto> {
        self.initializer(name).or_else(|| {
            let node = self.produced_by("Constant", name)?;
            attribute::get(node, "value")?.t.as_ref()
        })
    }

    /// Whether the tensor is an initializer or made by a `Constant`, whatever of.
    #[must_use]
    pub fn is_constant(&self, name: &str) -> bool {
        self.initializers.contains_key(name) || self.produced_by("Constant", name).is_some()
    }

    /// The description of an input that has no value in the file.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&ValueInfoProto> {
        self.graph().input.get(*self.inputs.get(name)?)
    }

    /// The sizes of an input, `None` for those that a run decides; `None` for what is no input of known rank.
    #[must_use]
    pub fn input_sizes(&self, name: &str) -> Option<Vec<Option<usize>>> {
        value_info::sizes(self.input(name)?)
    }

    /// Whether all that is done with the tensor is to look up rows of it, perhaps behind a cast or a dequantisation.
    #[must_use]
    pub fn is_only_looked_up(&self, name: &str) -> bool {
        let (mut open, mut steps) = (vec![name], 0);
        while let Some(name) = open.pop() {
            // More steps than nodes lead in a circle.
            steps += 1;
            let mut consumers = self.consumers(name).peekable();
            if consumers.peek().is_none() || steps > self.graph().node.len() {
                return false;
            }
            for (consumer, node) in consumers {
                match (node.op_type.as_str(), node.output.first()) {
                    ("Gather", _) if consumer.input == 0 => {}
                    ("Cast" | "DequantizeLinear", Some(output)) => open.push(output),
                    _ => return false,
                }
            }
        }
        true
    }
}

/// Adds the tensors that graphs inside `node` read.
fn add_subgraph_reads(node: &NodeProto, names: &mut HashSet<String>) {
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            names.extend(graph.output.iter().map(|output| output.name.clone()));
            for inner in &graph.node {
                names.extend(inner.input.iter().filter(|name| !name.is_empty()).cloned());
                add_subgraph_reads(inner, names);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{self, GraphBuilder};

    fn branching() -> GraphProto {
        let mut graph = GraphBuilder::new("branching");
        let x = graph.input_f32("x", &[2.into()]);
        let y = graph.op("Exp", &[&x]);
        let z = graph.op("Add", &[&y, &y]);
        graph.output("z", &z, &[2.into()]);
        let mut graph = graph.into_graph();
        let inner = builder::node("Neg", &[&graph.node[0].output[0]], "negative", Vec::new());
        let body = GraphProto { node: vec![inner], ..GraphProto::default() };
        let mut branch = builder::node("If", &["x"], "chosen", Vec::new());
        branch.attribute.push(tract_onnx::pb::AttributeProto {
            name: "then_branch".to_owned(),
            g: Some(body),
            ..Default::default()
        });
        graph.node.push(branch);
        graph
    }

    #[test]
    fn a_node_that_reads_a_tensor_twice_is_two_consumers() {
        let graph = branching();
        let index = GraphIndex::new(&graph, Opset::new(17));
        let y = &graph.node[0].output[0];
        let consumers: Vec<_> = index.consumers(y).map(|(c, _)| (c.node.0, c.input)).collect();
        assert_eq!(consumers, [(1, 0), (1, 1)]);
        assert!(index.only_consumer(y).is_none());
    }

    #[test]
    fn what_a_branch_reads_is_read_elsewhere() {
        let graph = branching();
        let index = GraphIndex::new(&graph, Opset::new(17));
        assert!(index.is_read_elsewhere(&graph.node[0].output[0]));
        assert!(index.is_read_elsewhere("z"));
        assert!(!index.is_read_elsewhere("x"));
    }

    #[test]
    fn operators_of_a_vendor_are_not_those_of_onnx() {
        let mut graph = branching();
        graph.node[0].domain = "com.example".to_owned();
        let index = GraphIndex::new(&graph, Opset::new(17));
        assert_eq!(index.nodes_of("Exp"), []);
        assert!(index.produced_by("Exp", &graph.node[0].output[0]).is_none());
    }
}
