//! Rewriting an indexed graph.

use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::Dimension,
};

use crate::{Consumer, GraphIndex, NodeId, value_info};

impl GraphIndex<GraphProto> {
    /// Takes out the nodes whose results nothing needs. A tensor that is an input of the graph is given, and needs no
    /// producer.
    pub fn remove_unused(&mut self) {
        for at in 0..self.graph.node.len() {
            for output in &mut self.graph.node[at].output {
                if self.inputs.contains_key(output) {
                    self.producers.remove(output);
                    output.clear();
                }
            }
        }
        // In this order a node's consumers are gone before it is looked at.
        for at in (0..self.graph.node.len()).rev() {
            self.remove_if_unused(at);
        }
    }

    /// The dimensions that inputs and outputs are described with.
    pub fn dimensions_mut(&mut self) -> impl Iterator<Item = &mut Dimension> {
        let tensors = self.graph.input.iter_mut().chain(&mut self.graph.output);
        tensors.flat_map(value_info::dimensions_mut)
    }

    /// Gives the graph other inputs and outputs, which may be tensors inside it.
    pub fn set_signature(&mut self, inputs: Vec<ValueInfoProto>, outputs: Vec<ValueInfoProto>) {
        (self.graph.input, self.graph.output) = (inputs, outputs);
        self.note_signature();
    }

    /// Adds an initializer.
    pub fn add_initializer(&mut self, tensor: TensorProto) {
        self.initializers.insert(tensor.name.clone(), self.graph.initializer.len());
        self.graph.initializer.push(tensor);
    }

    /// Adds a node.
    pub fn add(&mut self, node: NodeProto) -> NodeId {
        let at = self.graph.node.len();
        self.graph.node.push(node);
        self.connect(at);
        NodeId(at)
    }

    /// Puts `node` in the place of `id`; what produced only for the old one is removed.
    pub fn replace(&mut self, id: NodeId, node: NodeProto) {
        let Some(old) = self.graph.node.get_mut(id.0) else { return };
        let old = std::mem::replace(old, node);
        for output in &old.output {
            self.producers.remove(output);
        }
        self.connect(id.0);
        for (input, name) in old.input.iter().enumerate() {
            self.disconnect(Consumer { node: id, input }, name);
        }
    }

    /// Makes a consumer read the tensor `name` instead; what produced only for it is removed.
    pub fn reconnect(&mut self, consumer: Consumer, name: &str) {
        let node = self.graph.node.get_mut(consumer.node.0);
        let Some(input) = node.and_then(|node| node.input.get_mut(consumer.input)) else { return };
        let old = std::mem::replace(input, name.to_owned());
        self.consumers.entry(name.to_owned()).or_default().push(consumer);
        self.disconnect(consumer, &old);
    }

    /// Changes how an input of the graph is described, or adds one.
    pub fn set_input(&mut self, input: ValueInfoProto) {
        match self.inputs.get(&input.name) {
            Some(&at) => self.graph.input[at] = input,
            None => {
                self.inputs.insert(input.name.clone(), self.graph.input.len());
                self.graph.input.push(input);
            }
        }
    }

    /// The graph as edited, without the initializers that nothing reads, the others by name.
    ///
    /// Shapes that an exporter noted for tensors inside are dropped: edits made other tensors of them.
    #[must_use]
    pub fn into_graph(mut self) -> GraphProto {
        let mut initializers = std::mem::take(&mut self.graph.initializer);
        initializers.retain(|tensor| self.is_read(&tensor.name));
        initializers.sort_by(|a, b| a.name.cmp(&b.name));
        let nodes = std::mem::take(&mut self.graph.node).into_iter().enumerate();
        let nodes = nodes.filter(|(at, _)| !self.removed.contains(at)).map(|(_, node)| node);
        GraphProto {
            node: nodes.collect(),
            initializer: initializers,
            value_info: Vec::new(),
            ..self.graph
        }
    }

    /// Notes that `consumer` reads `name` no more.
    fn disconnect(&mut self, consumer: Consumer, name: &str) {
        if let Some(producer) = self.forget(consumer, name) {
            self.remove_if_unused(producer);
        }
    }

    /// Notes that `consumer` reads `name` no more, and returns the node that produces it.
    fn forget(&mut self, consumer: Consumer, name: &str) -> Option<usize> {
        if let Some(consumers) = self.consumers.get_mut(name)
            // Nodes go from the last to the first.
            && let Some(found) = consumers.iter().rposition(|&c| c == consumer)
        {
            consumers.remove(found);
        }
        self.producers.get(name).copied()
    }

    /// Removes node `at` if nothing reads what it produces, then those that produced only for it, and so on.
    fn remove_if_unused(&mut self, at: usize) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let node = &self.graph.node[at];
            let is_read = |name: &String| !name.is_empty() && self.is_read(name);
            if self.removed.contains(&at) || node.output.iter().any(is_read) {
                continue;
            }
            self.removed.insert(at);
            let node = std::mem::take(&mut self.graph.node[at]);
            for output in &node.output {
                self.producers.remove(output);
            }
            for (input, name) in node.input.iter().enumerate().rev() {
                open.extend(self.forget(Consumer { node: NodeId(at), input }, name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        GraphIndex, Opset,
        builder::{self, GraphBuilder},
    };

    #[test]
    fn replacing_a_node_removes_what_produced_for_it_alone() {
        let mut graph = GraphBuilder::new("chain");
        let x = graph.input_f32("x", &[2.into()]);
        let shared = graph.op("Exp", &[&x]);
        let alone = graph.op("Neg", &[&shared]);
        let sum = graph.op("Add", &[&alone, &shared]);
        graph.output("sum", &sum, &[2.into()]);
        let mut index = GraphIndex::new(graph.into_graph(), Opset::new(17));
        let [add] = index.nodes_of("Add")[..] else { panic!("one Add") };
        let [exp] = index.nodes_of("Exp")[..] else { panic!("one Exp") };
        let shared = index.node(exp).unwrap().output[0].clone();
        index.replace(add, builder::node("Sub", &["x", &shared], "sum", Vec::new()));
        let left: Vec<_> = index.into_graph().node.into_iter().map(|n| n.op_type).collect();
        assert_eq!(left, ["Exp", "Sub"]);
    }

    #[test]
    fn a_graph_that_is_asked_for_an_inner_tensor_keeps_the_nodes_that_make_it() {
        let mut graph = GraphBuilder::new("chain");
        let x = graph.input_f32("x", &[2.into()]);
        let [y, z] = ["Exp", "Neg"].map(|operator| graph.op(operator, &[&x]));
        graph.output("y", &y, &[2.into()]);
        graph.output("z", &z, &[2.into()]);
        let mut index = GraphIndex::new(graph.into_graph(), Opset::new(17));
        let (x, z) = (index.graph().input.clone(), index.graph().output[1].clone());
        index.set_signature(x, vec![z]);
        index.remove_unused();
        assert!(!index.is_output("y") && index.is_output("z"));
        let left: Vec<_> = index.nodes().map(|(_, node)| node.op_type.as_str()).collect();
        assert_eq!(left, ["Neg"]);
    }

    #[test]
    fn initializers_that_nothing_reads_are_dropped() {
        let mut graph = GraphBuilder::new("constants");
        let x = graph.input_f32("x", &[2.into()]);
        let (one, two) = (graph.constant(1.0), graph.constant(2.0));
        let y = graph.op("Add", &[&x, &one]);
        graph.output("y", &y, &[2.into()]);
        let unused = graph.op("Neg", &[&two]);
        drop(unused);
        let mut index = GraphIndex::new(graph.into_graph(), Opset::new(17));
        index.remove_unused();
        let graph = index.into_graph();
        let names: Vec<_> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        assert_eq!((names, graph.node.len()), (vec!["f32 1"], 1));
    }
}
