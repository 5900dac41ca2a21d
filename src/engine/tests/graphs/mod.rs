//! Small graphs, and what comes of them with and without rules.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub)]

use std::collections::BTreeMap;

use coca_engine::{Arithmetic, Engine, Execution, Graph, Input, Onnx, Rules, Weights};
use coca_onnx::{
    Model, Opset,
    builder::{GraphBuilder, OPSET, Value, f32_tensor},
    pb::{TensorProto, ValueInfoProto, type_proto},
    value_info,
};
use ndarray::{ArrayD, IxDyn};

/// With rules and without, answers differ by at most this much of the largest magnitude, at least of 1.
pub const TOLERANCE: f32 = 2e-4;

/// Sizes of the dimensions that the graphs leave open.
const OPEN: [(&str, usize); 3] = [("N", 2), ("T", 3), ("S", 5)];

/// A model in the making, with weights that are never all alike.
pub struct Maker {
    pub graph: GraphBuilder,
    weights: usize,
}

impl Maker {
    pub fn new() -> Self {
        Self { graph: GraphBuilder::new("graph"), weights: 0 }
    }

    /// A weight of these axes, as a tensor.
    pub fn tensor(&mut self, dims: &[i64]) -> TensorProto {
        self.weights += 1;
        let count = dims.iter().product::<i64>() as usize;
        let width = dims.first().copied().unwrap_or(1).max(1) as f32;
        let values = numbers(count, self.weights as u32);
        let values: Vec<f32> = values.iter().map(|v| v * 1.5 / width.sqrt()).collect();
        f32_tensor(&format!("weight {}", self.weights), dims, &values)
    }

    /// A weight of these axes.
    pub fn weight(&mut self, dims: &[i64]) -> Value {
        let tensor = self.tensor(dims);
        self.graph.weight(&tensor)
    }

    /// `x × weight`
    pub fn product(&mut self, x: &Value, inputs: i64, outputs: i64) -> Value {
        let weight = self.weight(&[inputs, outputs]);
        self.graph.op("MatMul", &[x, &weight])
    }

    /// A layer norm of rows of `width`.
    pub fn norm(&mut self, x: &Value, width: i64) -> Value {
        let (weight, bias) = (self.weight(&[width]), self.weight(&[width]));
        self.graph.layer_norm(x, &weight, &bias)
    }

    /// `x × Φ(x)` as exporters before opset 20 write it.
    pub fn gelu(&mut self, x: &Value) -> Value {
        let graph = &mut self.graph;
        let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|v| graph.constant(v));
        let scaled = graph.op("Div", &[x, &root]);
        let erf = graph.op("Erf", &[&scaled]);
        let sum = graph.op("Add", &[&erf, &one]);
        let product = graph.op("Mul", &[x, &sum]);
        graph.op("Mul", &[&product, &half])
    }

    /// Splits `x` into heads, in the order of `perm`.
    pub fn heads(&mut self, x: &Value, shape: [i64; 4], perm: [i64; 4]) -> Value {
        let x = self.graph.reshape(x, &shape);
        self.graph.transpose(&x, &perm)
    }

    /// Attention of two heads of four elements over `[queries, keys, values]`.
    pub fn attention(&mut self, [q, k, v]: [&Value; 3], mask: Option<&Value>) -> Value {
        let shape = [0, 0, 2, 4];
        let q = self.heads(q, shape, [0, 2, 1, 3]);
        let k = self.heads(k, shape, [0, 2, 3, 1]);
        let v = self.heads(v, shape, [0, 2, 1, 3]);
        let mixed = self.mixed([&q, &k, &v], mask, |graph, scores| graph.softmax(scores));
        let rows = self.graph.transpose(&mixed, &[0, 2, 1, 3]);
        self.graph.reshape(&rows, &[0, 0, 8])
    }

    /// Values mixed by the scores of queries and keys, all of them split into heads.
    pub fn mixed(
        &mut self,
        [q, k, v]: [&Value; 3],
        mask: Option<&Value>,
        softmax: impl Fn(&mut GraphBuilder, &Value) -> Value,
    ) -> Value {
        let graph = &mut self.graph;
        let scale = graph.constant(0.5);
        let scores = graph.op("MatMul", &[q, k]);
        let mut scores = graph.op("Mul", &[&scores, &scale]);
        if let Some(mask) = mask {
            scores = graph.op("Add", &[&scores, mask]);
        }
        let shares = softmax(graph, &scores);
        graph.op("MatMul", &[&shares, v])
    }

    /// The model whose output is `value`, of any shape.
    pub fn finish(self, value: &Value) -> Model {
        self.finish_as(OPSET, value)
    }

    pub fn finish_as(mut self, opset: Opset, value: &Value) -> Model {
        self.graph.output("y", value, &[]);
        let mut model = self.graph.finish_as(opset, "test", "1");
        for output in &mut model.graph_mut().output {
            let kind = output.r#type.as_mut().and_then(|kind| kind.value.as_mut());
            let type_proto::Value::TensorType(tensor) = kind.unwrap();
            tensor.shape = None;
        }
        model
    }
}

/// `model`, prepared with these rules for one thread.
pub fn prepare(model: &Model, rules: Rules) -> Result<Graph, coca_engine::Error> {
    let engine = Engine::builder().threads(1).rules(rules).build()?;
    let names = |infos: &[ValueInfoProto]| infos.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    let (inputs, outputs) = (names(&model.graph().input), names(&model.graph().output));
    let onnx = Onnx::new("test.onnx", model.clone());
    Graph::prepare(onnx, &Weights::new(), &inputs, &outputs, Arithmetic::F32, &engine)
}

/// What `model` runs on with rules.
pub fn execution(model: &Model) -> Execution {
    prepare(model, Rules::On).unwrap().execution()
}

/// Runs `model` with these rules on made-up inputs.
pub fn run(model: &Model, rules: Rules) -> Result<Vec<ArrayD<f32>>, coca_engine::Error> {
    let inputs = model.graph().input.iter().enumerate().map(|(i, input)| made_up(input, i as u32));
    prepare(model, rules)?.run(inputs.collect())
}

/// The distance of the answers with rules from those of tract alone, as a share of the largest magnitude.
pub fn distance(model: &Model) -> f32 {
    distance_from(&run(model, Rules::Off).expect("tract alone"), model)
}

/// The distance of the answers with rules from `expected`, as a share of the largest magnitude.
pub fn distance_from(expected: &[ArrayD<f32>], model: &Model) -> f32 {
    let found = run(model, Rules::On).expect("with rules");
    let mut worst = 0.0_f32;
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found.shape(), expected.shape(), "shapes with rules and without");
        let largest = expected.iter().fold(1.0_f32, |largest, v| largest.max(v.abs()));
        for (a, b) in expected.iter().zip(found) {
            worst = worst.max((a - b).abs() / largest);
            assert!(a.is_nan() == b.is_nan(), "{a} without rules, {b} with them");
        }
    }
    worst
}

fn made_up(input: &ValueInfoProto, seed: u32) -> Input {
    let open = BTreeMap::from(OPEN);
    let shape = value_info::shape(input).unwrap();
    let sizes: Vec<usize> = shape
        .dim
        .iter()
        .map(|dim| match dim.value.as_ref().unwrap() {
            coca_onnx::pb::tensor_shape_proto::dimension::Value::DimValue(size) => *size as usize,
            coca_onnx::pb::tensor_shape_proto::dimension::Value::DimParam(name) => {
                open[name.as_str()]
            }
        })
        .collect();
    let count = sizes.iter().product();
    let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let type_proto::Value::TensorType(tensor) = kind.unwrap();
    if tensor.elem_type == coca_onnx::pb::tensor_proto::DataType::Int64 as i32 {
        let ids = (0..count).map(|i| (i % 4) as i64).collect();
        return Input::I64(ArrayD::from_shape_vec(IxDyn(&sizes), ids).unwrap());
    }
    Input::F32(ArrayD::from_shape_vec(IxDyn(&sizes), numbers(count, 1000 + seed)).unwrap())
}

/// Numbers between -1 and 1.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f64::from(state) / f64::from(u32::MAX)
    };
    (0..count).map(|_| (2.0 * next() - 1.0) as f32).collect()
}
