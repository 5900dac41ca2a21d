//! An ONNX graph that can be asked who makes and who reads a tensor, and that forgets what nobody reads.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

use crate::fused::FusedOperator;

/// The operator type of nodes that [`Network::replace`] makes; their names count up.
pub(crate) const FUSED: &str = "CocaFused";

/// A graph in the course of being rewritten.
pub(super) struct Network {
    graph: GraphProto,
    nodes: Vec<Option<NodeProto>>,
    initializers: HashMap<String, TensorProto>,
    makers: HashMap<String, usize>,
    readers: HashMap<String, Vec<usize>>,
    inputs: BTreeSet<String>,
    outputs: BTreeSet<String>,
    operators: Vec<(String, Arc<dyn FusedOperator>)>,
}

impl Network {
    pub(super) fn new(mut graph: GraphProto) -> Self {
        let initializers = std::mem::take(&mut graph.initializer);
        let mut network = Self {
            nodes: std::mem::take(&mut graph.node).into_iter().map(Some).collect(),
            initializers: initializers.into_iter().map(|t| (t.name.clone(), t)).collect(),
            makers: HashMap::new(),
            readers: HashMap::new(),
            inputs: graph.input.iter().map(|input| input.name.clone()).collect(),
            outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
            operators: Vec::new(),
            graph,
        };
        for at in 0..network.nodes.len() {
            // A tensor that is given need not be made.
            if let Some(node) = &mut network.nodes[at] {
                for output in node.output.iter_mut().filter(|name| network.inputs.contains(*name)) {
                    output.clear();
                }
            }
            network.index(at);
        }
        let unread = (0..network.nodes.len()).rev().filter(|&at| network.is_unread(at));
        for at in unread.collect::<Vec<_>>() {
            network.remove(at);
        }
        network
    }

    /// The graph as it is now, without what nobody reads, and its fused operators by node name.
    pub(super) fn finish(mut self) -> (GraphProto, Vec<(String, Arc<dyn FusedOperator>)>) {
        let read =
            |name: &String| self.readers.get(name).is_some_and(|readers| !readers.is_empty());
        let mut initializers: Vec<_> = self
            .initializers
            .into_values()
            .filter(|t| read(&t.name) || self.outputs.contains(&t.name))
            .collect();
        initializers.sort_by(|a, b| a.name.cmp(&b.name));
        self.graph.initializer = initializers;
        self.graph.node = self.nodes.into_iter().flatten().collect();
        // Shapes that an exporter noted would contradict the symbols of the fused graph.
        self.graph.value_info.clear();
        (self.graph, self.operators)
    }

    /// The places of all nodes of one type.
    pub(super) fn all(&self, kind: &str) -> Vec<usize> {
        let of_kind = |at: &usize| self.nodes[*at].as_ref().is_some_and(|n| n.op_type == kind);
        (0..self.nodes.len()).filter(of_kind).collect()
    }

    pub(super) fn node(&self, at: usize) -> Option<&NodeProto> {
        self.nodes.get(at)?.as_ref()
    }

    /// The node that makes a tensor.
    pub(super) fn maker(&self, name: &str) -> Option<&NodeProto> {
        self.nodes[*self.makers.get(name)?].as_ref()
    }

    /// The node of type `kind` that makes a tensor.
    pub(super) fn made_by(&self, kind: &str, name: &str) -> Option<&NodeProto> {
        self.maker(name).filter(|node| node.op_type == kind)
    }

    /// The one node that reads a tensor, if nothing else does.
    pub(super) fn only_reader(&self, name: &str) -> Option<(usize, &NodeProto)> {
        match self.readers.get(name)?.as_slice() {
            &[at] if !self.outputs.contains(name) => Some((at, self.nodes[at].as_ref()?)),
            _ => None,
        }
    }

    /// The nodes that read a tensor.
    pub(super) fn readers(&self, name: &str) -> impl Iterator<Item = &NodeProto> {
        let readers = self.readers.get(name).map_or(&[][..], Vec::as_slice);
        readers.iter().filter_map(|&at| self.nodes[at].as_ref())
    }

    pub(super) fn initializer(&self, name: &str) -> Option<&TensorProto> {
        self.initializers.get(name)
    }

    pub(super) fn is_input(&self, name: &str) -> bool {
        self.inputs.contains(name)
    }

    /// The sizes of an input of the graph; `None` for those it leaves open.
    pub(super) fn input_sizes(&self, name: &str) -> Option<Vec<Option<usize>>> {
        let input = self.graph.input.iter().find(|input| input.name == name)?;
        let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
        let size = |dim: &Dimension| match dim.value {
            Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        };
        Some(tensor.shape.as_ref()?.dim.iter().map(size).collect())
    }

    /// Changes how an input of the graph is described, or adds one.
    pub(super) fn set_input(&mut self, input: ValueInfoProto) {
        match self.graph.input.iter_mut().find(|i| i.name == input.name) {
            Some(found) => *found = input,
            None => {
                self.inputs.insert(input.name.clone());
                self.graph.input.push(input);
            }
        }
    }

    /// Adds a constant.
    pub(super) fn add_initializer(&mut self, tensor: TensorProto) {
        self.initializers.insert(tensor.name.clone(), tensor);
    }

    /// Adds a node.
    pub(super) fn add(&mut self, node: NodeProto) {
        self.nodes.push(Some(node));
        self.index(self.nodes.len() - 1);
    }

    /// Makes the node at `at` read `name` as its input `index`.
    pub(super) fn reconnect(&mut self, at: usize, index: usize, name: &str) {
        let input = self.nodes[at].as_mut().and_then(|node| node.input.get_mut(index));
        if let Some(old) = input.map(|input| std::mem::replace(input, name.to_owned())) {
            self.readers.entry(name.to_owned()).or_default().push(at);
            self.unread(at, &old);
        }
    }

    /// Puts `operator` in the place of the node at `at`, which makes `output`.
    pub(super) fn replace(
        &mut self,
        at: usize,
        inputs: Vec<String>,
        output: String,
        operator: impl FusedOperator + 'static,
    ) {
        let name = format!("{FUSED} {}", self.operators.len());
        self.operators.push((name.clone(), Arc::new(operator)));
        let node = NodeProto {
            name,
            op_type: FUSED.to_owned(),
            input: inputs,
            output: vec![output],
            ..NodeProto::default()
        };
        self.exchange(at, node);
    }

    /// Puts `node` in the place of the one at `at`.
    pub(super) fn exchange(&mut self, at: usize, node: NodeProto) {
        let old = self.nodes[at].replace(node);
        for output in old.iter().flat_map(|node| &node.output) {
            self.makers.remove(output);
        }
        self.index(at);
        for input in old.iter().flat_map(|node| &node.input) {
            self.unread(at, input);
        }
    }

    fn index(&mut self, at: usize) {
        let Some(node) = &self.nodes[at] else { return };
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            self.makers.insert(output.clone(), at);
        }
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            self.readers.entry(input.clone()).or_default().push(at);
        }
    }

    /// Node `at` reads `name` no more, once.
    fn unread(&mut self, at: usize, name: &str) {
        if let Some(readers) = self.readers.get_mut(name)
            && let Some(found) = readers.iter().position(|&reader| reader == at)
        {
            readers.swap_remove(found);
        }
        if let Some(&maker) = self.makers.get(name)
            && self.is_unread(maker)
        {
            self.remove(maker);
        }
    }

    fn is_unread(&self, at: usize) -> bool {
        let read = |name: &String| {
            !name.is_empty() && self.outputs.contains(name)
                || self.readers.get(name).is_some_and(|r| !r.is_empty())
        };
        self.nodes[at].as_ref().is_some_and(|node| !node.output.iter().any(read))
    }

    fn remove(&mut self, at: usize) {
        let Some(node) = self.nodes[at].take() else { return };
        for output in &node.output {
            self.makers.remove(output);
        }
        for input in &node.input {
            self.unread(at, input);
        }
    }
}

/// The attribute `name` of a node.
pub(super) fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// The integer attribute `name`, or what ONNX says it is when it is left out.
pub(super) fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |attribute| attribute.i)
}

/// The float attribute `name`, or what ONNX says it is when it is left out.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |attribute| attribute.f)
}

/// The integers of attribute `name`.
pub(super) fn integers<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    attribute(node, name).map(|attribute| &attribute.ints[..])
}

/// The other operand of a node with two inputs, one of which is `name`.
pub(super) fn other_operand<'n>(node: &'n NodeProto, name: &str) -> Option<&'n str> {
    match &node.input[..] {
        [a, b] if a == name && b != name => Some(b),
        [a, b] if b == name && a != name => Some(a),
        _ => None,
    }
}

/// The node that lays the axes of `from` out in another order, as `to`.
pub(super) fn transpose(from: &str, to: &str, order: &[i64]) -> NodeProto {
    NodeProto {
        op_type: "Transpose".to_owned(),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        attribute: vec![AttributeProto {
            name: "perm".to_owned(),
            r#type: AttributeType::Ints as i32,
            ints: order.to_vec(),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}

/// Whether a node lays axes out in this order.
pub(super) fn is_transpose(node: &NodeProto, order: &[i64]) -> bool {
    node.op_type == "Transpose" && integers(node, "perm") == Some(order)
}
