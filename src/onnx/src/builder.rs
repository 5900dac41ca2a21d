//! Builds an ONNX graph node by node.
//!
//! A [`Value`] can only come from the graph's own inputs, weights and nodes, so that no node refers to a
//! name that does not exist.

use std::collections::HashSet;

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    tensor_proto::DataType,
};

use crate::{
    Model, Opset,
    attribute::{of_float, of_integer, of_integers},
    value_info::{self, Dim},
};

const IR_VERSION: i64 = 8;
/// The version of the operators that [`GraphBuilder`] writes.
pub const OPSET: Opset = Opset::new(17);
/// The end of a slice that goes to the end.
pub const TO_END: i64 = i64::MAX;

/// A tensor in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A graph in the making.
///
/// # Examples
/// ```
/// use coca_onnx::builder::{GraphBuilder, f32_tensor};
///
/// let mut graph = GraphBuilder::new("linear");
/// let x = graph.input_f32("x", &["N".into(), 2.into()]);
/// let weight = graph.weight(&f32_tensor("weight", &[2, 1], &[0.5, 0.5]));
/// let mean = graph.op("MatMul", &[&x, &weight]);
/// graph.output("mean", &mean, &["N".into(), 1.into()]);
/// assert!(!graph.finish("example", "1.0").encode().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    graph: GraphProto,
    /// Initializers and casts that are there already.
    made: HashSet<String>,
}

impl GraphBuilder {
    /// A graph without nodes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Self { graph, made: HashSet::new() }
    }

    /// Adds an input of 32-bit floating point.
    pub fn input_f32(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info::tensor(name, DataType::Float, dims));
        Value(name.to_owned())
    }

    /// Adds an input of 64-bit integers.
    pub fn input_i64(&mut self, name: &str, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info::tensor(name, DataType::Int64, dims));
        Value(name.to_owned())
    }

    /// Makes `value` the output `name`.
    pub fn output(&mut self, name: &str, value: &Value, dims: &[Dim]) {
        for node in &mut self.graph.node {
            let names = node.input.iter_mut().chain(&mut node.output);
            names.filter(|n| **n == value.0).for_each(|n| name.clone_into(n));
        }
        self.graph.output.push(value_info::tensor(name, DataType::Float, dims));
    }

    /// The graph alone.
    #[must_use]
    pub fn into_graph(self) -> GraphProto {
        self.graph
    }

    /// The model, made by `producer`.
    #[must_use]
    pub fn finish(self, producer: &str, version: &str) -> Model {
        self.finish_as(OPSET, producer, version)
    }

    /// The model, which says that it is written in `opset`. Methods of the builder write what [`OPSET`] means.
    #[must_use]
    pub fn finish_as(self, opset: Opset, producer: &str, version: &str) -> Model {
        let rest = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: opset.version(),
            }],
            producer_name: producer.to_owned(),
            producer_version: version.to_owned(),
            ..ModelProto::default()
        };
        Model::new(self.graph, rest)
    }

    /// A weight in 32 bits.
    pub fn weight(&mut self, weight: &TensorProto) -> Value {
        let stored = self.initializer(weight.clone());
        if weight.data_type != DataType::Float16 as i32 {
            return stored;
        }
        let name = format!("{}.f32", stored.0);
        if self.made.insert(name.clone()) {
            let to = vec![of_integer("to", DataType::Float as i64)];
            self.push("Cast", &[&stored], &[&name], to);
        }
        Value(name)
    }

    /// Rows of a table of weights, in 32 bits.
    pub fn lookup(&mut self, table: &TensorProto, rows: &Value) -> Value {
        let stored = self.initializer(table.clone());
        let found = self.node("Gather", &[&stored, rows], vec![of_integer("axis", 0)]);
        match table.data_type == DataType::Float16 as i32 {
            true => self.cast_to_f32(&found),
            false => found,
        }
    }

    /// A tensor as it is stored.
    pub fn initializer(&mut self, tensor: TensorProto) -> Value {
        let name = tensor.name.clone();
        if self.made.insert(name.clone()) {
            self.graph.initializer.push(tensor);
        }
        Value(name)
    }

    /// A constant without axes.
    pub fn constant(&mut self, value: f32) -> Value {
        self.initializer(f32_tensor(&format!("f32 {value}"), &[], &[value]))
    }

    /// A constant index without axes.
    pub fn index(&mut self, value: i64) -> Value {
        self.initializer(i64_tensor(&format!("i64 {value}"), &[], &[value]))
    }

    /// A constant list of integers, like a shape.
    pub fn indices(&mut self, values: &[i64]) -> Value {
        let dims = [values.len() as i64];
        self.initializer(i64_tensor(&format!("i64 {values:?}"), &dims, values))
    }

    /// A node with inputs, one output and no attributes: `MatMul`, `Add`, `Erf`, …
    pub fn op(&mut self, operator: &str, inputs: &[&Value]) -> Value {
        self.node(operator, inputs, Vec::new())
    }

    /// A layer norm of the last axis.
    pub fn layer_norm(&mut self, x: &Value, weight: &Value, bias: &Value) -> Value {
        let attributes = vec![of_integer("axis", -1), of_float("epsilon", 1e-5)];
        self.node("LayerNormalization", &[x, weight, bias], attributes)
    }

    /// A softmax of the last axis.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![of_integer("axis", -1)])
    }

    /// In a shape of `dims`, ONNX's 0 copies a size of the input and -1 is what remains.
    pub fn reshape(&mut self, x: &Value, dims: &[i64]) -> Value {
        let dims = self.indices(dims);
        self.op("Reshape", &[x, &dims])
    }

    /// Axes in another order.
    pub fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![of_integers("perm", order)])
    }

    /// Tensors one behind the other along `axis`.
    pub fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        self.node("Concat", values, vec![of_integer("axis", axis)])
    }

    /// `N` equal parts along the last axis, each `size` wide.
    pub fn split<const N: usize>(&mut self, x: &Value, size: usize) -> [Value; N] {
        let sizes = self.indices(&[size as i64; N]);
        let at = self.graph.node.len();
        let parts: [String; N] = std::array::from_fn(|part| format!("Split {at}.{part}"));
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.push("Split", &[x, &sizes], &names, vec![of_integer("axis", -1)]);
        parts.map(Value)
    }

    /// The `k` largest entries in falling order, of the last axis unless `attributes` say otherwise, and their indices.
    pub fn top_k(&mut self, x: &Value, k: i64, attributes: Vec<AttributeProto>) -> [Value; 2] {
        let (k, at) = (self.indices(&[k]), self.graph.node.len());
        let outputs = ["values", "indices"].map(|output| format!("TopK {at} {output}"));
        let names = outputs.each_ref().map(String::as_str);
        self.push("TopK", &[x, &k], &names, attributes);
        outputs.map(Value)
    }

    /// Entry `index` along `axis`, which disappears; -1 is the last.
    pub fn pick(&mut self, x: &Value, index: i64, axis: i64) -> Value {
        let index = self.index(index);
        self.node("Gather", &[x, &index], vec![of_integer("axis", axis)])
    }

    /// Index of the largest entry along `axis`, the first of several; the axis keeps one entry.
    pub fn first_largest(&mut self, x: &Value, axis: i64) -> Value {
        self.node("ArgMax", &[x], vec![of_integer("axis", axis), of_integer("keepdims", 1)])
    }

    /// Rows of `x` `[N, L, D]` at the indices `at` `[N, K, 1]`, of each batch its own: `[N, K, D]`.
    pub fn gather_in_batch(&mut self, x: &Value, at: &Value) -> Value {
        self.node("GatherND", &[x, at], vec![of_integer("batch_dims", 1)])
    }

    /// Entries `start` to before `end` along `axis`.
    pub fn slice(&mut self, x: &Value, start: i64, end: i64, axis: i64) -> Value {
        let end = self.indices(&[end]);
        self.slice_until(x, start, &end, axis)
    }

    /// As [`GraphBuilder::slice`], with an end `[1]` that is computed.
    pub fn slice_until(&mut self, x: &Value, start: i64, end: &Value, axis: i64) -> Value {
        let (start, axis) = (self.indices(&[start]), self.indices(&[axis]));
        self.op("Slice", &[x, &start, end, &axis])
    }

    /// Zeros around `x`: as many as `before` at the start of each axis, as many as `after` at its end.
    pub fn pad(&mut self, x: &Value, before: &[i64], after: &[i64]) -> Value {
        let amounts = self.indices(&[before, after].concat());
        self.op("Pad", &[x, &amounts])
    }

    /// New axes of one entry.
    pub fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.indices(axes);
        self.op("Unsqueeze", &[x, &axes])
    }

    /// Elements in 32 bits.
    pub fn cast_to_f32(&mut self, x: &Value) -> Value {
        self.node("Cast", &[x], vec![of_integer("to", DataType::Float as i64)])
    }

    /// Rows of Euclidean length 1: torch's `F.normalize` with its eps of 1e-12.
    pub fn l2_normalize(&mut self, x: &Value) -> Value {
        let axes = vec![of_integers("axes", &[-1]), of_integer("keepdims", 1)];
        let length = self.node("ReduceL2", &[x], axes);
        let smallest = self.constant(1e-12);
        let length = self.op("Clip", &[&length, &smallest]);
        self.op("Div", &[x, &length])
    }

    /// A convolution whose patches of `patch` `[height, width]` lie side by side.
    pub fn conv(&mut self, x: &Value, weight: &Value, patch: [usize; 2]) -> Value {
        let patch = patch.map(|size| size as i64);
        let attributes = vec![of_integers("kernel_shape", &patch), of_integers("strides", &patch)];
        self.node("Conv", &[x, weight], attributes)
    }

    /// A node with one output.
    pub fn node(
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

/// A node of one output, which it is named after.
#[must_use]
pub fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// A tensor of 32-bit floating point.
#[must_use]
pub fn f32_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw_tensor(name, DataType::Float, dims, bytes)
}

/// A tensor of 64-bit integers.
#[must_use]
pub fn i64_tensor(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    raw_tensor(name, DataType::Int64, dims, bytes)
}

/// A tensor of any type, from its little-endian bytes.
#[must_use]
pub fn raw_tensor(name: &str, kind: DataType, dims: &[i64], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        raw_data: bytes,
        ..TensorProto::default()
    }
}
