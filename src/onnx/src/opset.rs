//! Versions of ONNX's operators.

use tract_onnx::pb::{ModelProto, NodeProto};

/// The version of the standard operators that a model is written in.
///
/// The same operator means different things in different versions: `Clip` has its bounds in attributes
/// before 11, `Softmax` flattens its input before 13.
///
/// ```
/// use coca_onnx::Opset;
///
/// assert!(Opset::new(17) > Opset::new(11));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opset(i64);

impl Opset {
    /// The version `version`.
    #[must_use]
    pub const fn new(version: i64) -> Self {
        Self(version)
    }

    /// The version that `model` imports; 0 if it imports none.
    #[must_use]
    pub fn of(model: &ModelProto) -> Self {
        let imported = model.opset_import.iter().find(|set| is_standard_domain(&set.domain));
        Self(imported.map_or(0, |set| set.version))
    }

    /// Its number.
    #[must_use]
    pub fn version(self) -> i64 {
        self.0
    }
}

/// The operator of `node`, if ONNX itself defines it; `None` for those of a vendor, whatever they are called.
#[must_use]
pub fn operator(node: &NodeProto) -> Option<&str> {
    is_standard_domain(&node.domain).then_some(&node.op_type)
}

/// Whether `node` is of the standard operator `name`.
pub(crate) fn is(node: &NodeProto, name: &str) -> bool {
    operator(node) == Some(name)
}

fn is_standard_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}
