//! Faults of an ONNX file.

/// A file that is no ONNX model, or tensors in it that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are something else, or cut off.
    #[error("not an ONNX graph: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A model without a graph.
    #[error("not an ONNX graph: it holds no graph")]
    NoGraph,
    /// A graph beyond a limit.
    #[error("{found} {what}, where at most {limit} are taken")]
    Limit {
        /// The things that are counted.
        what: &'static str,
        /// The most that there may be.
        limit: usize,
        /// Their number.
        found: usize,
    },
    /// A node that cannot be run where it stands, or as its attributes say.
    #[error("the node {node}: expected {expected}, found {found}")]
    Node {
        /// The node's name, or that of its output, and its operator.
        node: String,
        /// The inputs, or the range of an attribute, that it should have.
        expected: String,
        /// Those that it has.
        found: String,
    },
    /// External data in a file that is not at hand.
    #[error("{tensor}: its data stands in {file}, which is not a file of this model")]
    MissingFile {
        /// The tensor's name.
        tensor: String,
        /// The file that it refers to.
        file: String,
    },
    /// A tensor that nothing or too much gives, or whose data or shape does not fit what the graph says of it.
    #[error("{tensor}: expected {expected}, found {found}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// The shape, type or range of bytes that it should have.
        expected: String,
        /// The shape, type or range of bytes that it has.
        found: String,
    },
}
