//! Builds an ONNX graph node by node.
//!
//! A [`Value`] can only come from the graph's own inputs, weights and nodes, so that no node refers to a
//! name that does not exist.

use std::collections::HashSet;

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

use super::weight_file::Weight;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The end of a slice that goes to the end.
pub(super) const TO_END: i64 = i64::MAX;

/// A tensor in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(String);

/// A dimension of an input or output.
pub(super) enum Dim {
    Fixed(usize),
    Named(&'static str),
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl From<&'static str> for Dim {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

/// A graph in the making.
pub(super) struct GraphBuilder {
    graph: GraphProto,
    /// Initializers and casts that are there already.
    made: HashSet<String>,
}

impl GraphBuilder {
    pub(super) fn new(name: &str) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Self { graph, made: HashSet::new() }
    }

    pub(super) fn input_f32(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, DataType::Float, dims));
        Value(name.to_owned())
    }

    pub(super) fn input_i64(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, DataType::Int64, dims));
        Value(name.to_owned())
    }

    /// Makes `value` the output `name`.
    pub(super) fn output(&mut self, name: &str, value: &Value, dims: &[Dim]) {
        for node in &mut self.graph.node {
            let names = node.input.iter_mut().chain(&mut node.output);
            names.filter(|n| **n == value.0).for_each(|n| name.clone_into(n));
        }
        self.graph.output.push(value_info(name, DataType::Float, dims));
    }

    /// The file's bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    /// A weight as 32-bit numbers.
    pub(super) fn weight(&mut self, weight: &Weight) -> Value {
        let stored = self.stored(weight);
        if !weight.is_f16() {
            return stored;
        }
        let name = format!("{}.f32", stored.0);
        if self.made.insert(name.clone()) {
            self.push("Cast", &[&stored], &[&name], vec![int("to", DataType::Float as i64)]);
        }
        Value(name)
    }

    /// Rows of a table of weights.
    pub(super) fn lookup(&mut self, table: &Weight, rows: &Value) -> Value {
        let stored = self.stored(table);
        let found = self.node("Gather", &[&stored, rows], vec![int("axis", 0)]);
        if table.is_f16() { self.cast_to_f32(&found) } else { found }
    }

    fn stored(&mut self, weight: &Weight) -> Value {
        self.initializer(weight.proto().clone())
    }

    fn initializer(&mut self, tensor: TensorProto) -> Value {
        let name = tensor.name.clone();
        if self.made.insert(name.clone()) {
            self.graph.initializer.push(tensor);
        }
        Value(name)
    }

    pub(super) fn constant(&mut self, value: f32) -> Value {
        self.initializer(TensorProto {
            name: format!("f32 {value}"),
            data_type: DataType::Float as i32,
            raw_data: value.to_le_bytes().to_vec(),
            ..TensorProto::default()
        })
    }

    pub(super) fn index(&mut self, value: i64) -> Value {
        self.integers(format!("i64 {value}"), Vec::new(), &[value])
    }

    fn indices(&mut self, values: &[i64]) -> Value {
        self.integers(format!("i64 {values:?}"), vec![values.len() as i64], values)
    }

    fn integers(&mut self, name: String, dims: Vec<i64>, values: &[i64]) -> Value {
        self.initializer(TensorProto {
            name,
            dims,
            data_type: DataType::Int64 as i32,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        })
    }

    /// A node with inputs, one output and no attributes: `MatMul`, `Add`, `Erf`, …
    pub(super) fn op(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.node(operator, inputs, Vec::new())
    }

    pub(super) fn layer_norm(&mut self, x: &Value, weight: &Value, bias: &Value) -> Value {
        let attributes = vec![int("axis", -1), float("epsilon", 1e-5)];
        self.node("LayerNormalization", &[x, weight, bias], attributes)
    }

    pub(super) fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![int("axis", -1)])
    }

    /// In a shape of `dims`, ONNX's 0 copies a size of the input and -1 is what remains.
    pub(super) fn reshape(&mut self, x: &Value, dims: &[i64]) -> Value {
        let dims = self.indices(dims);
        self.op("Reshape", &[x, &dims])
    }

    pub(super) fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![ints("perm", order)])
    }

    pub(super) fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        self.node("Concat", values, vec![int("axis", axis)])
    }

    /// `N` equal parts along the last axis, each `size` wide.
    pub(super) fn split<const N: usize>(&mut self, x: &Value, size: usize) -> [Value; N] {
        let sizes = self.indices(&[size as i64; N]);
        let at = self.graph.node.len();
        let parts: [String; N] = std::array::from_fn(|part| format!("Split {at}.{part}"));
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.push("Split", &[x, &sizes], &names, vec![int("axis", -1)]);
        parts.map(Value)
    }

    /// Entry `index` along `axis`, which disappears; -1 is the last.
    pub(super) fn pick(&mut self, x: &Value, index: i64, axis: i64) -> Value {
        let index = self.index(index);
        self.node("Gather", &[x, &index], vec![int("axis", axis)])
    }

    /// Entries `start` to before `end` along `axis`.
    pub(super) fn slice(&mut self, x: &Value, start: i64, end: i64, axis: i64) -> Value {
        let end = self.indices(&[end]);
        self.slice_until(x, start, &end, axis)
    }

    /// As [`GraphBuilder::slice`], with an end `[1]` that is computed.
    pub(super) fn slice_until(&mut self, x: &Value, start: i64, end: &Value, axis: i64) -> Value {
        let (start, axis) = (self.indices(&[start]), self.indices(&[axis]));
        self.op("Slice", &[x, &start, end, &axis])
    }

    /// Zeros around `x`: as many as `before` at the start of each axis, as many as `after` at its end.
    pub(super) fn pad(&mut self, x: &Value, before: &[i64], after: &[i64]) -> Value {
        let amounts = self.indices(&[before, after].concat());
        self.op("Pad", &[x, &amounts])
    }

    pub(super) fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.indices(axes);
        self.op("Unsqueeze", &[x, &axes])
    }

    pub(super) fn cast_to_f32(&mut self, x: &Value) -> Value {
        self.node("Cast", &[x], vec![int("to", DataType::Float as i64)])
    }

    /// Rows of Euclidean length 1: torch's `F.normalize` with its eps of 1e-12.
    pub(super) fn l2_normalize(&mut self, x: &Value) -> Value {
        let length = self.node("ReduceL2", &[x], vec![ints("axes", &[-1]), int("keepdims", 1)]);
        let smallest = self.constant(1e-12);
        let length = self.op("Clip", &[&length, &smallest]);
        self.op("Div", &[x, &length])
    }

    pub(super) fn conv(&mut self, x: &Value, weight: &Value, patch: [usize; 2]) -> Value {
        let patch = patch.map(|size| size as i64);
        self.node("Conv", &[x, weight], vec![ints("kernel_shape", &patch), ints("strides", &patch)])
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let output = format!("{operator} {}", self.graph.node.len());
        self.push(operator, inputs, &[&output], attributes);
        Value(output)
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(NodeProto {
            name: format!("{operator} {}", self.graph.node.len()),
            op_type: operator.to_owned(),
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: outputs.iter().map(|&name| name.to_owned()).collect(),
            attribute: attributes,
            ..NodeProto::default()
        });
    }
}

fn value_info(name: &str, data_type: DataType, dims: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| Dimension {
        value: Some(match dim {
            Dim::Fixed(size) => dimension::Value::DimValue(*size as i64),
            Dim::Named(name) => dimension::Value::DimParam((*name).to_owned()),
        }),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape: Some(shape) };
    let kind =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (name.to_owned(), values.to_vec());
    AttributeProto { name, r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}
