//! Values of a pickle.

/// Index of a value in its pickle. Values refer to each other by index, so that a small file cannot unfold
/// into a large tree.
pub(in crate::checkpoint) type Id = usize;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) enum Node {
    /// `None`, floats, sets: values that no table of tensors needs.
    Opaque,
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A `dict` or `OrderedDict`.
    Dict(Vec<(Id, Id)>),
    /// A function or class: `module name`.
    Global(String),
    /// An object that torch stores beside the pickle: a tensor's storage.
    Persistent(Id),
    /// A call that is not made.
    Call {
        callee: Id,
        arguments: Id,
    },
}
