//! NaN and infinity end a run of an int8 graph, instead of becoming a confident answer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use coca_engine::{Arithmetic, Engine, Error, Graph, Input, Onnx, Rules, Weights};
use coca_onnx::{
    attribute::of_integer,
    builder::{GraphBuilder, f32_tensor, raw_tensor},
    pb::tensor_proto::DataType,
};
use ndarray::{Array2, ArrayD};

/// `x` `[T, 4]` → `y` `[T, 2]`, with an int8 weight.
fn graph() -> Graph {
    let mut graph = GraphBuilder::new("int8");
    let x = graph.input_f32("x", &["T".into(), 4.into()]);
    let integers = raw_tensor("mlp.weight", DataType::Int8, &[4, 2], vec![3; 8]);
    let (integers, scales) =
        (graph.initializer(integers), graph.weight(&f32_tensor("scales", &[2], &[0.5, 0.25])));
    let axis = vec![of_integer("axis", 1)];
    let weight = graph.node("DequantizeLinear", &[&integers, &scales], axis);
    let y = graph.op("MatMul", &[&x, &weight]);
    graph.output("y", &y, &["T".into(), 2.into()]);
    let onnx = Onnx::new("part.onnx", graph.finish("test", "1"));
    let engine = Engine::builder().threads(1).rules(Rules::On).build().unwrap();
    let [inputs, outputs] = ["x", "y"].map(|name| [name.to_owned()]);
    Graph::prepare(onnx, &Weights::new(), &inputs, &outputs, Arithmetic::Int8, &engine).unwrap()
}

fn run(value: f32) -> Result<Vec<ArrayD<f32>>, Error> {
    let mut x = Array2::from_elem((3, 4), 1.0_f32);
    x[[1, 2]] = value;
    graph().run(vec![Input::from(x)])
}

#[test]
fn a_number_that_is_not_finite_is_an_error_that_names_the_layer() {
    assert!(run(1e30).is_ok());
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = run(value).unwrap_err();
        assert!(
            matches!(&error, Error::NotFinite { layer, .. } if layer == "mlp.weight"),
            "{error}"
        );
        let expected = "part.onnx: the layer mlp.weight was given a number that is not finite";
        assert_eq!(error.to_string(), expected);
    }
}
