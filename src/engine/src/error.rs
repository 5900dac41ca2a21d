//! What can go wrong between an ONNX file and its answer.

use tract_onnx::prelude::TractError;

/// A graph that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not an ONNX model.
    #[error("{part}: not an ONNX graph: {reason}")]
    NotOnnx {
        /// The part's file name.
        part: String,
        /// What the parser said.
        reason: String,
    },
    /// The graph is beyond a limit.
    #[error("{part}: {found} {what}, where at most {limit} are taken")]
    Limit {
        /// The part's file name.
        part: String,
        /// The things that are counted.
        what: &'static str,
        /// The most that there may be.
        limit: usize,
        /// Their number.
        found: usize,
    },
    /// A node cannot be run where it stands, or as its attributes say.
    #[error("{part}: the node {node}: expected {expected}, found {found}")]
    Node {
        /// The part's file name.
        part: String,
        /// The node's name, or that of its output, and its operator.
        node: String,
        /// The inputs, or the range of an attribute, that it should have.
        expected: String,
        /// Those that it has.
        found: String,
    },
    /// The graph is ONNX but tract cannot run it.
    #[error("{part}: the graph cannot be prepared: {reason}")]
    Unsupported {
        /// The part's file name.
        part: String,
        /// What tract said.
        reason: String,
    },
    /// The system has no memory left for weights of the graph.
    #[error("{part}: no memory for {bytes} bytes of weights")]
    Memory {
        /// The part's file name.
        part: String,
        /// Bytes that were asked for at once.
        bytes: usize,
    },
    /// The graph lacks an input or an output that its part must have.
    #[error("{part}: expected an {direction} named {expected}, found {found}")]
    Signature {
        /// The part's file name.
        part: String,
        /// `input` or `output`.
        direction: &'static str,
        /// The name that is missing.
        expected: String,
        /// The names that are there, separated by commas.
        found: String,
    },
    /// The graph refers to weights that lie outside the model.
    #[error("{part}: its weights refer to {file}, which is not a file of this model")]
    ForeignWeights {
        /// The part's file name.
        part: String,
        /// The file that the graph names.
        file: String,
    },
    /// The graph was given or gave something of an unexpected shape or type.
    #[error("{part}: {tensor} was expected to be {expected}, found {found}")]
    Tensor {
        /// The part's file name.
        part: String,
        /// The input's or output's name.
        tensor: String,
        /// The expected shape or type.
        expected: String,
        /// The shape or type that was found.
        found: String,
    },
    /// Rows of a KV cache have another width than the cache.
    #[error(
        "a KV cache with rows of {expected} elements was given {found} elements: not whole rows"
    )]
    CacheRows {
        /// Elements of a row.
        expected: usize,
        /// All elements that were given.
        found: usize,
    },
    /// The graph stopped while it ran.
    #[error("{part}: the graph stopped while it ran: {reason}")]
    Run {
        /// The part's file name.
        part: String,
        /// What tract said.
        reason: String,
    },
    /// A layer was given NaN or infinity: the weights in front of it, or what the graph was given, are damaged.
    #[error("{part}: the layer {layer} was given a number that is not finite")]
    NotFinite {
        /// The part's file name.
        part: String,
        /// The name of the layer's weight.
        layer: String,
    },
    /// `COCA_CPU` names an instruction set that there is no kernel for, or that this CPU lacks.
    #[error("COCA_CPU={found}: {reason}; leave it out, or take one of {supported}")]
    Cpu {
        /// What the variable says.
        found: String,
        /// What is wrong with it.
        reason: String,
        /// The names that this CPU can run, separated by commas.
        supported: String,
    },
    /// `COCA_RULES` says neither `on` nor `off`.
    #[error("COCA_RULES={found}: expected on or off")]
    Rules {
        /// What the variable says.
        found: String,
    },
    /// The thread pool could not be started.
    #[error("could not start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// A fault of the file of `part`.
    pub(crate) fn in_part(part: &str, error: coca_onnx::Error) -> Self {
        let part = part.to_owned();
        match error {
            coca_onnx::Error::MissingFile { file, .. } => Self::ForeignWeights { part, file },
            coca_onnx::Error::Tensor { tensor, expected, found } => {
                Self::Tensor { part, tensor, expected, found }
            }
            coca_onnx::Error::Limit { what, limit, found } => {
                Self::Limit { part, what, limit, found }
            }
            coca_onnx::Error::Node { node, expected, found } => {
                Self::Node { part, node, expected, found }
            }
            coca_onnx::Error::Decode(error) => Self::NotOnnx { part, reason: error.to_string() },
            _ => Self::NotOnnx { part, reason: "it holds no graph".to_owned() },
        }
    }
}

/// Characters of an error of tract's: some quote a whole node, weights included.
const MAX_REASON: usize = 1_000;

/// An error and its causes in one line.
pub(crate) fn chain(error: &TractError) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(cause.to_string().trim());
    }
    one_line(&line)
}

/// A text of others on one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.trim().chars().take(MAX_REASON);
    text.map(|character| if character == '\n' { ' ' } else { character }).collect()
}
