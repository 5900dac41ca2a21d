//! Graphs made to harm: whatever tract does with them, the answer is an error that names the node.

#![allow(clippy::unwrap_used)]

mod graphs;

use coca_engine::{Error, Input, Onnx, Rules};
use coca_onnx::{
    Model,
    attribute::{of_integer, of_integers},
    builder::{GraphBuilder, Value, f32_tensor, i64_tensor, node},
    pb::{AttributeProto, GraphProto, ModelProto, NodeProto, tensor_proto::DataType},
};
use graphs::{Maker, prepare};
use ndarray::ArrayD;
use prost::Message;

/// A graph from `x` `[1, 3, 8, 8]` through a node named `suspect`, with others and a fused layer around it.
fn around(operator: &str, attributes: Vec<AttributeProto>) -> Model {
    let mut maker = Maker::new();
    let x = maker.graph.input_f32("x", &[1.into(), 3.into(), 8.into(), 8.into()]);
    let before = maker.product(&x, 8, 8);
    let before = maker.graph.op("Relu", &[&before]);
    let beside = maker.graph.op("Exp", &[&before]);
    let suspect = maker.graph.node(operator, &[&before], attributes);
    let behind = maker.graph.op("Sigmoid", &[&suspect]);
    let sum = maker.graph.op("Add", &[&behind, &beside]);
    let mut model = maker.finish(&sum);
    let nodes = model.graph_mut().node.iter_mut();
    nodes.filter(|node| node.output[0] == suspect.name()).for_each(|node| {
        node.name = "suspect".to_owned();
    });
    model
}

#[test]
fn what_panics_while_a_graph_is_prepared_is_an_error_that_names_the_node() {
    let cases = [
        ("ArgMax", vec![of_integer("axis", 7)]),
        ("Flatten", vec![of_integer("axis", 7)]),
        ("ReduceMean", vec![of_integers("axes", &[7])]),
        ("ConvTranspose", vec![of_integers("kernel_shape", &[3; 5])]),
        ("BiasGelu", Vec::new()),
        ("LSTM", Vec::new()),
        ("NoSuchOperator", Vec::new()),
    ];
    for (operator, attributes) in cases {
        let model = around(operator, attributes);
        for rules in [Rules::On, Rules::Off] {
            let Err(error) = prepare(&model, rules) else { panic!("{operator} is prepared") };
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            let message = error.to_string();
            assert!(message.starts_with("test.onnx: the graph cannot be prepared: "), "{message}");
            assert!(message.contains("suspect") && message.lines().count() == 1, "{message}");
        }
    }
}

/// tract counts up to the axis -4 of a tensor of two axes for ever.
#[test]
fn an_axis_in_front_of_the_first_is_an_error_that_names_the_node() {
    let mut layer_norm = around("LayerNormalization", vec![of_integer("axis", -5)]);
    let mut one_hot = around("OneHot", vec![of_integer("axis", -6)]);
    for model in [&mut layer_norm, &mut one_hot] {
        let graph = model.graph_mut();
        graph.initializer.push(f32_tensor("two", &[2], &[0.0, 1.0]));
        graph.initializer.push(i64_tensor("depth", &[], &[2]));
        let suspect = graph.node.iter_mut().find(|node| node.name == "suspect").unwrap();
        if suspect.op_type == "OneHot" {
            suspect.input.push("depth".to_owned());
        }
        suspect.input.push("two".to_owned());
        let Err(error) = prepare(model, Rules::On) else { panic!("it is prepared") };
        let message = error.to_string();
        assert!(message.contains("suspect") && message.contains("the axis -"), "{message}");
    }
}

#[test]
fn what_panics_while_a_graph_runs_is_an_error_that_names_the_node_and_the_next_run_is_sound() {
    let mut graph = GraphBuilder::new("look-up");
    let x = graph.input_f32("x", &[2.into(), 3.into()]);
    let ids = graph.input_i64("ids", &[1.into()]);
    let rows = graph.op("Gather", &[&x, &ids]);
    graph.output("rows", &rows, &[1.into(), 3.into()]);
    let model = graph.finish("test", "1");
    let graph = prepare(&model, Rules::On).unwrap();
    let run = |id: i64| {
        let x = ArrayD::from_shape_fn(vec![2, 3], |at| at[0] as f32);
        graph.run(vec![Input::F32(x), Input::I64(ArrayD::from_elem(vec![1], id))])
    };
    for _ in 0..2 {
        assert_eq!(run(1).unwrap()[0], ArrayD::from_elem(vec![1, 3], 1.0));
        let error = run(99).unwrap_err();
        assert!(matches!(error, Error::Run { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("the node Gather 0 (Gather)"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// `length` nodes in a row from `x` `[N, 4]`.
fn chain(operator: &str, attributes: &[AttributeProto], length: usize) -> Model {
    let mut graph = GraphBuilder::new("chain");
    let mut value: Value = graph.input_f32("x", &["N".into(), 4.into()]);
    for _ in 0..length {
        value = graph.node(operator, &[&value], attributes.to_vec());
    }
    graph.output("y", &value, &["N".into(), 4.into()]);
    graph.finish("test", "1")
}

#[test]
fn the_longest_chains_that_are_taken_overflow_no_stack() {
    let perm = [of_integers("perm", &[1, 0])];
    let to = [of_integer("to", DataType::Float as i64)];
    for (operator, attributes) in
        [("Identity", &[][..]), ("Transpose", &perm), ("Cast", &to), ("DequantizeLinear", &[])]
    {
        let model = Model::from_proto(chain(operator, attributes, 4_000).into_proto()).unwrap();
        for rules in [Rules::On, Rules::Off] {
            let is_prepared = prepare(&model, rules).is_ok();
            assert_eq!(is_prepared, operator != "DequantizeLinear", "{operator}");
        }
    }
}

#[test]
fn a_tensor_that_no_memory_holds_is_refused_with_its_node() {
    let mut model = around("Relu", Vec::new());
    let pad = model.graph_mut().node.iter_mut().find(|node| node.name == "suspect").unwrap();
    let input = pad.input[0].clone();
    *pad = NodeProto {
        name: "suspect".to_owned(),
        ..node("Pad", &[&input, "pads"], &pad.output[0], Vec::new())
    };
    let pads = [0, 0, 16_384, 16_384, 0, 0, 16_384, 16_384];
    model.graph_mut().initializer.push(i64_tensor("pads", &[8], &pads));
    let Err(error) = prepare(&model, Rules::On) else { panic!("it is prepared") };
    let message = error.to_string();
    assert!(message.contains("the node suspect (Pad) makes"), "{message}");
    assert!(message.ends_with("more than 4294967296 bytes"), "{message}");
}

/// tract reads the first element of a divisor in front of `Erf`.
#[test]
fn a_constant_without_elements_is_refused_with_the_node_that_takes_it() {
    let mut maker = Maker::new();
    let x = maker.graph.input_f32("x", &[1.into(), 1.into()]);
    let none = maker.graph.weight(&f32_tensor("none", &[0], &[]));
    let divided = maker.graph.op("Div", &[&x, &none]);
    let error = maker.graph.op("Erf", &[&divided]);
    let model = maker.finish(&error);
    for rules in [Rules::On, Rules::Off] {
        let Err(error) = prepare(&model, rules) else { panic!("it is prepared") };
        assert!(error.to_string().contains("a constant without elements"), "{error}");
    }
}

#[test]
fn what_the_parser_refuses_is_told_with_the_part() {
    let refusal = |nodes: Vec<NodeProto>| {
        let graph = Some(GraphProto { node: nodes, ..GraphProto::default() });
        let bytes = ModelProto { graph, ..ModelProto::default() }.encode_to_vec();
        let Err(error) = Onnx::parse("part.onnx", &bytes) else { panic!("it is parsed") };
        error.to_string()
    };
    let ring = vec![node("Identity", &["y"], "y", Vec::new())];
    let expected = "the node y (Identity): expected inputs that an earlier node makes, found y";
    assert_eq!(refusal(ring), format!("part.onnx: {expected}"));
    let many = vec![node("Identity", &[], "y", Vec::new()); 20_000];
    assert_eq!(refusal(many), "part.onnx: 20000 nodes, where at most 10000 are taken");
}
