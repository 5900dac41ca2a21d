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
    /// External data in a file that is not at hand.
    #[error("{tensor}: its data stands in {file}, which is not a file of this model")]
    MissingFile {
        /// The tensor's name.
        tensor: String,
        /// The file that it refers to.
        file: String,
    },
    /// A tensor whose data does not fit what the graph says of it.
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
