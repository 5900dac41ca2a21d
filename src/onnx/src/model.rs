//! A parsed ONNX file.

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};

use crate::{Error, GraphIndex, Opset, check::check, decoded_size};

/// A parsed ONNX file, whose external data is not read.
///
/// Its graph was checked: every node reads what earlier ones make, every output is made, and names, nodes, axes, sizes
/// and attributes are within limits.
#[derive(Debug, Clone)]
pub struct Model {
    graph: GraphProto,
    /// All but the graph.
    rest: ModelProto,
}

impl Model {
    /// Parses the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Decode`] when the bytes are something else or cut off, [`Error::Limit`] when so many messages are in them
    /// that parsing would take more than 64 MiB beside their texts and numbers; else as [`Model::from_proto`].
    ///
    /// # Examples
    /// ```
    /// let error = coca_onnx::Model::parse(b"").unwrap_err();
    /// assert_eq!(error.to_string(), "not an ONNX graph: it holds no graph");
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        decoded_size::check(bytes)?;
        Self::from_proto(ModelProto::decode(bytes)?)
    }

    pub(crate) fn new(graph: GraphProto, rest: ModelProto) -> Self {
        Self { graph, rest }
    }

    /// Takes a model that is parsed already.
    ///
    /// # Errors
    /// [`Error::NoGraph`] when it holds no graph; [`Error::Limit`] when that is too large; [`Error::Node`] when a node reads
    /// what none before it makes, or has attributes out of their range; [`Error::Tensor`] when nothing makes an output,
    /// or two make the same tensor.
    pub fn from_proto(mut rest: ModelProto) -> Result<Self, Error> {
        let graph = rest.graph.take().ok_or(Error::NoGraph)?;
        check(&graph)?;
        Ok(Self { graph, rest })
    }

    /// The model as protobuf has it.
    #[must_use]
    pub fn into_proto(self) -> ModelProto {
        ModelProto { graph: Some(self.graph), ..self.rest }
    }

    /// The graph, and the model without it.
    #[must_use]
    pub fn into_parts(self) -> (GraphProto, ModelProto) {
        (self.graph, self.rest)
    }

    /// The bytes of a file.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        self.into_proto().encode_to_vec()
    }

    /// The version of the standard operators that it is written in.
    #[must_use]
    pub fn opset(&self) -> Opset {
        Opset::of(&self.rest)
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// The graph, to be changed.
    pub fn graph_mut(&mut self) -> &mut GraphProto {
        &mut self.graph
    }

    /// The index of the graph as it is.
    #[must_use]
    pub fn index(&self) -> GraphIndex<&GraphProto> {
        GraphIndex::new(&self.graph, self.opset())
    }
}
