//! A part of the model: its graph, indexed once, and the uses of its weights.

use std::collections::BTreeMap;

use coca_onnx::{
    GraphIndex, Model, Opset, element_count,
    pb::{GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_proto::DataType},
};
use prost::Message;

use super::{
    error::Error,
    uses::{self, Uses},
};

/// `DequantizeLinear` has an axis since this version of ONNX's operators.
const MIN_OPSET: Opset = Opset::new(13);

/// A parsed part.
pub(super) struct Part {
    /// Its file name.
    pub(super) name: String,
    index: GraphIndex<GraphProto>,
    /// The model without its graph.
    rest: ModelProto,
    /// Uses of the weights of two or more dimensions, by their names.
    uses: BTreeMap<String, Uses>,
    elements: usize,
}

/// A part that is taken apart to be rewritten.
pub(super) struct Rewritable {
    pub(super) name: String,
    pub(super) graph: GraphProto,
    pub(super) rest: ModelProto,
    pub(super) uses: BTreeMap<String, Uses>,
}

impl Part {
    /// Parses and indexes the ONNX file `name`.
    ///
    /// # Errors
    /// When it is no ONNX file, or its operators are of a version without int8 for each channel.
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let part = || name.to_owned();
        let model = Model::parse(bytes).map_err(|source| Error::Onnx { part: part(), source })?;
        let opset = model.opset();
        if opset < MIN_OPSET {
            return Err(Error::OldOpset {
                part: part(),
                expected: MIN_OPSET.version(),
                found: opset.version(),
            });
        }
        let (graph, rest) = model.into_parts();
        Self::new(name, GraphIndex::new(graph, opset), rest)
    }

    fn new(name: &str, index: GraphIndex<GraphProto>, rest: ModelProto) -> Result<Self, Error> {
        let mut elements = 0;
        for tensor in &index.graph().initializer {
            let count = element_count(tensor).ok_or_else(|| Error::Tensor {
                part: name.to_owned(),
                tensor: tensor.name.clone(),
                expected: "a shape whose elements can be counted".to_owned(),
                found: format!("{:?}", tensor.dims),
            })?;
            let types = [DataType::Float, DataType::Float16, DataType::Int8];
            if types.iter().any(|&kind| kind as i32 == tensor.data_type) {
                elements += count;
            }
        }
        let mut part = Self { name: name.to_owned(), index, rest, uses: BTreeMap::new(), elements };
        let uses = part.matrices().map(|weight| {
            let found = uses::of(weight, &part.index, elements);
            (weight.name.clone(), found)
        });
        part.uses = uses.collect();
        Ok(part)
    }

    /// A part of these nodes and weights.
    #[cfg(test)]
    pub(super) fn of_graph(name: &str, graph: GraphProto) -> Self {
        Self::new(name, GraphIndex::new(graph, MIN_OPSET), ModelProto::default()).unwrap()
    }

    pub(super) fn index(&self) -> &GraphIndex<GraphProto> {
        &self.index
    }

    pub(super) fn graph(&self) -> &GraphProto {
        self.index.graph()
    }

    pub(super) fn opset(&self) -> Opset {
        self.index.opset()
    }

    /// The model without its graph.
    pub(super) fn rest(&self) -> &ModelProto {
        &self.rest
    }

    /// The part with another graph.
    pub(super) fn with_graph(&self, graph: GraphProto) -> Result<Self, Error> {
        Self::new(&self.name, GraphIndex::new(graph, self.opset()), self.rest.clone())
    }

    /// The weights of two or more dimensions.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &TensorProto> {
        self.graph().initializer.iter().filter(|tensor| tensor.dims.len() >= 2)
    }

    /// The uses of one of [`Part::matrices`].
    pub(super) fn uses(&self, weight: &TensorProto) -> Option<&Uses> {
        self.uses.get(&weight.name)
    }

    /// Elements of all weights, whatever their type.
    pub(super) fn elements(&self) -> usize {
        self.elements
    }

    /// The file's bytes with other outputs.
    pub(super) fn encode_with_outputs(&self, outputs: Vec<ValueInfoProto>) -> Vec<u8> {
        let graph = GraphProto { output: outputs, ..self.graph().clone() };
        ModelProto { graph: Some(graph), ..self.rest.clone() }.encode_to_vec()
    }

    pub(super) fn into_rewritable(self) -> Rewritable {
        let Self { name, index, rest, uses, .. } = self;
        Rewritable { name, graph: index.into_inner(), rest, uses }
    }
}

impl Rewritable {
    /// The file's bytes.
    pub(super) fn encode(self) -> Vec<u8> {
        ModelProto { graph: Some(self.graph), ..self.rest }.encode_to_vec()
    }
}
