//! Attributes of nodes: reading them with ONNX's defaults, and making them.

use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

/// The attribute `name` of a node.
#[must_use]
pub fn get<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// The integer attribute `name`, or `default` if it is left out.
#[must_use]
pub fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    get(node, name).map_or(default, |attribute| attribute.i)
}

/// The float attribute `name`, or `default` if it is left out.
#[must_use]
pub fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    get(node, name).map_or(default, |attribute| attribute.f)
}

/// The list of integers `name`.
#[must_use]
pub fn integers<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    get(node, name).map(|attribute| &attribute.ints[..])
}

/// The string attribute `name`.
#[must_use]
pub fn string<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [u8]> {
    get(node, name).map(|attribute| &attribute.s[..])
}

/// Makes an integer attribute.
#[must_use]
pub fn of_integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..named(name, AttributeType::Int) }
}

/// Makes a list of integers.
#[must_use]
pub fn of_integers(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), ..named(name, AttributeType::Ints) }
}

/// Makes a float attribute.
#[must_use]
pub fn of_float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..named(name, AttributeType::Float) }
}

/// Makes a string attribute.
#[must_use]
pub fn of_string(name: &str, s: &str) -> AttributeProto {
    AttributeProto { s: s.as_bytes().to_vec(), ..named(name, AttributeType::String) }
}

fn named(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}
