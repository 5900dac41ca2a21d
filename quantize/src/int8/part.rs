//! A part of a bundle: its graph, and who makes and who reads each of its tensors.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, tensor_proto::DataType,
};

use super::{Error, source};

/// `DequantizeLinear` has an axis since this version of ONNX's operators.
const OLDEST_OPSET: i64 = 13;

/// A parsed part.
pub(super) struct Part {
    /// Its file.
    pub(super) name: String,
    pub(super) graph: GraphProto,
    /// All but the graph.
    model: ModelProto,
}

impl Part {
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let not_onnx = |reason: String| Error::NotOnnx { part: name.to_owned(), reason };
        let mut model = ModelProto::decode(bytes).map_err(|e| not_onnx(e.to_string()))?;
        let graph = model.graph.take().ok_or_else(|| not_onnx("it holds no graph".to_owned()))?;
        let opset = model.opset_import.iter().find(|set| set.domain.is_empty());
        match opset.map(|set| set.version) {
            Some(version) if version >= OLDEST_OPSET => {
                Ok(Self { name: name.to_owned(), graph, model })
            }
            version => Err(not_onnx(format!(
                "it needs operators of version {OLDEST_OPSET} or newer, and has {}",
                version.unwrap_or(0)
            ))),
        }
    }

    /// A part without nodes.
    #[cfg(test)]
    pub(super) fn empty(name: &str) -> Self {
        let (graph, model) = (GraphProto::default(), ModelProto::default());
        Self { name: name.to_owned(), graph, model }
    }

    /// The file's bytes.
    pub(super) fn encode(mut self) -> Vec<u8> {
        self.model.graph = Some(self.graph);
        self.model.encode_to_vec()
    }

    /// The file's bytes with other outputs.
    pub(super) fn encode_with_outputs(&self, outputs: Vec<ValueInfoProto>) -> Vec<u8> {
        let graph = GraphProto { output: outputs, ..self.graph.clone() };
        ModelProto { graph: Some(graph), ..self.model.clone() }.encode_to_vec()
    }

    /// Numbers in all weights, whatever they are stored as.
    pub(super) fn numbers(&self) -> usize {
        let types = [DataType::Float, DataType::Float16, DataType::Int8].map(|kind| kind as i32);
        let weights = self.graph.initializer.iter().filter(|t| types.contains(&t.data_type));
        weights.map(source::count).sum()
    }
}

/// Who makes and who reads each tensor of a graph.
pub(super) struct Wiring<'a> {
    graph: &'a GraphProto,
    makers: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<Reader>>,
    /// Tensors that are outputs, or read by a graph inside the graph.
    outside: HashSet<&'a str>,
}

/// A node that reads a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reader {
    /// Its place among the nodes.
    pub(super) node: usize,
    /// Its place among the node's inputs.
    pub(super) input: usize,
}

impl<'a> Wiring<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let mut readers: HashMap<&str, Vec<Reader>> = HashMap::new();
        let mut makers = HashMap::new();
        let mut outside: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
        for (node, proto) in graph.node.iter().enumerate() {
            makers.extend(proto.output.iter().map(|name| (name.as_str(), node)));
            for (input, name) in proto.input.iter().enumerate() {
                readers.entry(name).or_default().push(Reader { node, input });
            }
            read_inside(proto, &mut outside);
        }
        Self { graph, makers, readers, outside }
    }

    /// The node that makes the tensor `name`.
    pub(super) fn maker(&self, name: &str) -> Option<(usize, &'a NodeProto)> {
        self.makers.get(name).map(|&node| (node, &self.graph.node[node]))
    }

    /// The nodes that read the tensor `name`, in order.
    pub(super) fn readers(&self, name: &str) -> impl Iterator<Item = (Reader, &'a NodeProto)> {
        let readers = self.readers.get(name).into_iter().flatten();
        readers.map(|&reader| (reader, &self.graph.node[reader.node]))
    }

    /// Whether the tensor is an initializer or made by a `Constant`.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        let made = self.maker(name).is_some_and(|(_, node)| node.op_type == "Constant");
        made || self.graph.initializer.iter().any(|tensor| tensor.name == name)
    }

    /// Whether others than the graph's own nodes read the tensor.
    pub(super) fn is_read_outside(&self, name: &str) -> bool {
        self.outside.contains(name)
    }
}

/// Adds what the graphs inside a node (branches, loops) read.
fn read_inside<'a>(node: &'a NodeProto, names: &mut HashSet<&'a str>) {
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            for inner in &graph.node {
                names.extend(inner.input.iter().map(String::as_str));
                read_inside(inner, names);
            }
        }
    }
}

/// The attribute `name` of a node.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
