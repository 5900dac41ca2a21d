//! Why a rule leaves a node to tract.

use coca_kernels::{OutOfMemory, PackError};
use coca_onnx::pb::NodeProto;

/// What a rule ends in: the node is fused, or left.
pub(super) type Rule = Result<(), Miss>;

/// Why a rule leaves a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// It is of the operator that a pattern begins with, and nothing else says that it should be one.
    Other,
    /// It begins like a pattern, but for this.
    Near(&'static str),
    /// The system has no memory for its weights, and so none for the graph.
    Memory(OutOfMemory),
}

/// A node that begins like a known pattern and runs on tract all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfused {
    /// Its operator.
    pub operator: String,
    /// Its name in the file, or that of its output.
    pub node: String,
    /// Why no rule took it.
    pub reason: &'static str,
}

impl Unfused {
    /// A whole graph that rules leave.
    pub(super) fn every_operator(reason: &'static str) -> Self {
        Self { operator: "every operator".to_owned(), node: "of the graph".to_owned(), reason }
    }

    /// `node` with the reason, if there is one worth telling.
    pub(super) fn new(node: &NodeProto, miss: &Miss) -> Option<Self> {
        let Miss::Near(reason) = *miss else { return None };
        let named = Some(&node.name).filter(|name| !name.is_empty()).or(node.output.first());
        Some(Self {
            operator: node.op_type.clone(),
            node: named.cloned().unwrap_or_default(),
            reason,
        })
    }
}

/// Values that a rule cannot do without.
pub(super) trait OrMiss<T> {
    /// The value, or the reason why there is none.
    fn or_near(self, reason: &'static str) -> Result<T, Miss>;

    /// The value, or nothing to tell.
    fn or_other(self) -> Result<T, Miss>;
}

impl<T> OrMiss<T> for Option<T> {
    fn or_near(self, reason: &'static str) -> Result<T, Miss> {
        self.ok_or(Miss::Near(reason))
    }

    fn or_other(self) -> Result<T, Miss> {
        self.ok_or(Miss::Other)
    }
}

impl<T> OrMiss<T> for Result<T, PackError> {
    fn or_near(self, reason: &'static str) -> Result<T, Miss> {
        self.map_err(|error| memory_or(error, Miss::Near(reason)))
    }

    fn or_other(self) -> Result<T, Miss> {
        self.map_err(|error| memory_or(error, Miss::Other))
    }
}

/// Memory that was refused ends all rules; any other `error` leaves the node, for the reason that the rule gives.
fn memory_or(error: PackError, otherwise: Miss) -> Miss {
    match error {
        PackError::Memory(refused) => Miss::Memory(refused),
        _ => otherwise,
    }
}

/// Goes on if `holds`, and gives `reason` if not.
pub(super) fn ensure(holds: bool, reason: &'static str) -> Rule {
    holds.then_some(()).or_near(reason)
}
