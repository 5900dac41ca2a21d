//! Graphs made to harm are refused when they are parsed, in a sentence that names what is wrong.

#![allow(clippy::unwrap_used)]

use coca_onnx::{
    Constants, GraphIndex, Model, Opset,
    attribute::{of_integer, of_integers},
    builder::{f32_tensor, i64_tensor, node},
    pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataType},
    value_info,
};

/// A graph from `x` `[N, 4]` to `y`.
fn graph(nodes: Vec<NodeProto>) -> GraphProto {
    let tensor = |name: &str| value_info::tensor(name, DataType::Float, &["N".into(), 4.into()]);
    GraphProto {
        node: nodes,
        input: vec![tensor("x")],
        output: vec![tensor("y")],
        ..GraphProto::default()
    }
}

fn parse(graph: GraphProto) -> Result<Model, String> {
    let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
    Model::from_proto(model).map_err(|error| error.to_string())
}

#[track_caller]
fn refusal(graph: GraphProto) -> String {
    parse(graph).unwrap_err()
}

/// `length` nodes from `x` to `y`, each of which reads the one before.
fn chain(operator: &str, length: usize) -> Vec<NodeProto> {
    let name = |at: usize| match at {
        0 => "x".to_owned(),
        at if at == length => "y".to_owned(),
        at => format!("t{at}"),
    };
    (0..length).map(|at| node(operator, &[&name(at)], &name(at + 1), Vec::new())).collect()
}

const HANDED_ON: [&str; 4] = ["Identity", "Transpose", "Cast", "DequantizeLinear"];

#[test]
fn chains_of_200_000_nodes_are_refused() {
    for operator in HANDED_ON {
        let expected = "200000 nodes, where at most 10000 are taken";
        assert_eq!(refusal(graph(chain(operator, 200_000))), expected);
    }
}

#[test]
fn rings_of_200_000_nodes_are_refused() {
    for operator in HANDED_ON {
        let mut ring = chain(operator, 200_000);
        ring[0].input = vec!["y".to_owned()];
        assert_eq!(refusal(graph(ring)), "200000 nodes, where at most 10000 are taken");
    }
}

#[test]
fn a_ring_is_refused_with_the_node_that_closes_it() {
    let ring = vec![
        node("Add", &["x", "b"], "a", Vec::new()),
        node("Identity", &["a"], "b", Vec::new()),
        node("Identity", &["b"], "y", Vec::new()),
    ];
    let expected = "the node a (Add): expected inputs that an earlier node makes, found b";
    assert_eq!(refusal(graph(ring)), expected);
    let own = vec![node("Identity", &["y"], "y", Vec::new())];
    assert!(refusal(graph(own)).starts_with("the node y (Identity)"));
}

#[test]
fn nodes_stand_behind_those_that_they_read() {
    let mut nodes = chain("Identity", 3);
    assert!(parse(graph(nodes.clone())).is_ok());
    nodes.swap(0, 2);
    assert!(
        refusal(graph(nodes)).ends_with("expected inputs that an earlier node makes, found t2")
    );
}

#[test]
fn long_rows_of_nodes_are_refused() {
    assert!(parse(graph(chain("Identity", 4_000))).is_ok());
    let expected = "4001 nodes that wait for each other, where at most 4000 are taken";
    assert_eq!(refusal(graph(chain("Identity", 4_001))), expected);
}

/// Nothing that walks over an index relies on the check: graphs that are edited in memory never pass it.
#[test]
fn long_chains_and_rings_end_the_search_for_a_weight() {
    for operator in HANDED_ON {
        let to_float = vec![of_integer("to", DataType::Float as i64)];
        let mut nodes = chain(operator, 20_000);
        for node in &mut nodes {
            node.attribute = to_float.clone();
            node.input.push("x".to_owned());
        }
        let mut ring = nodes.clone();
        ring[0].input[0] = "y".to_owned();
        for nodes in [nodes, ring] {
            let graph =
                GraphProto { initializer: vec![f32_tensor("x", &[1, 1], &[1.0])], ..graph(nodes) };
            let index = GraphIndex::new(&graph, Opset::new(17));
            let files = std::collections::BTreeMap::new();
            assert!(Constants::new(&index, &files).weight("y").is_none(), "{operator}");
            assert!(!index.is_only_looked_up("t1"), "{operator}");
        }
    }
}

#[test]
fn long_chains_that_nothing_reads_are_removed_in_linear_time() {
    let mut nodes = chain("Identity", 200_000);
    nodes.push(node("Exp", &["x"], "z", Vec::new()));
    let mut graph = graph(nodes);
    graph.output[0].name = "z".to_owned();
    let mut index = GraphIndex::new(graph, Opset::new(17));
    index.remove_unused();
    assert_eq!(index.into_graph().node.len(), 1);
}

#[test]
fn a_tensor_that_most_nodes_read_and_nothing_needs_is_removed_in_linear_time() {
    let read = ["x"; 1_000];
    let mut nodes: Vec<NodeProto> =
        (0..1_000).map(|at| node("Concat", &read, &format!("t{at}"), Vec::new())).collect();
    nodes.push(node("Exp", &["x"], "y", Vec::new()));
    let mut index = GraphIndex::new(graph(nodes.clone()), Opset::new(17));
    index.remove_unused();
    assert_eq!(index.into_graph().node.len(), 1);
    assert_eq!(refusal(graph(nodes)), "101000 inputs of nodes, where at most 100000 are taken");
}

#[test]
fn tensors_that_nothing_or_too_much_gives_are_named() {
    let none = "y: expected an output that a node makes, found none that does";
    assert_eq!(refusal(graph(Vec::new())), none);
    let unmade = vec![node("Identity", &["z"], "y", Vec::new())];
    let expected = "the node y (Identity): expected inputs that an earlier node makes, found z";
    assert_eq!(refusal(graph(unmade)), expected);
    let [first, second] =
        ["Identity", "Relu"].map(|operator| node(operator, &["x"], "y", Vec::new()));
    let twice = "y: expected one input or node that gives it, found two";
    assert_eq!(refusal(graph(vec![first, second])), twice);
    let input = vec![node("Identity", &["x"], "x", Vec::new())];
    assert!(refusal(graph(input)).starts_with("x: expected one input or node"));
}

#[test]
fn weights_may_be_listed_among_the_inputs() {
    let mut graph = graph(vec![node("Add", &["x", "w"], "y", Vec::new())]);
    graph.input.push(value_info::tensor("w", DataType::Float, &[4.into()]));
    graph.initializer.push(f32_tensor("w", &[4], &[0.0; 4]));
    assert!(parse(graph).is_ok());
}

#[test]
fn numbers_of_edges_weights_and_bytes_of_names_have_limits() {
    let many = vec!["x"; 1_025];
    let wide = vec![node("Concat", &many, "y", Vec::new())];
    assert_eq!(refusal(graph(wide)), "1025 inputs of a node, where at most 1024 are taken");
    let mut named = chain("Identity", 1);
    named[0].name = "n".repeat(1_025);
    assert_eq!(refusal(graph(named)), "1025 bytes of a name, where at most 1024 are taken");
    let mut weights = graph(chain("Identity", 1));
    let weight = |at: usize| f32_tensor(&format!("w{at}"), &[], &[0.0]);
    weights.initializer = (0..10_001).map(weight).collect();
    assert_eq!(refusal(weights), "10001 initializers, where at most 10000 are taken");
    let mut inputs = graph(chain("Identity", 1));
    let input = |at: usize| value_info::tensor(&format!("i{at}"), DataType::Float, &[]);
    inputs.input.extend((0..1_024).map(input));
    assert_eq!(refusal(inputs), "1025 inputs of a graph, where at most 1024 are taken");
}

/// A graph `depth` graphs deep, each of which reads what is around the next.
fn nested(depth: usize) -> GraphProto {
    let mut inner = GraphProto { input: Vec::new(), ..graph(chain("Identity", 1)) };
    for _ in 0..depth {
        let branch = AttributeProto { g: Some(inner), ..of_integer("then_branch", 0) };
        let holder = node("If", &["x"], "y", vec![branch]);
        inner = GraphProto { input: Vec::new(), ..graph(vec![holder]) };
    }
    GraphProto { input: graph(Vec::new()).input, ..inner }
}

#[test]
fn graphs_inside_nodes_see_what_is_around_them_and_have_a_limit() {
    assert!(parse(nested(4)).is_ok());
    assert_eq!(refusal(nested(5)), "5 graphs inside each other, where at most 4 are taken");
    assert!(refusal(nested(60)).contains("graphs inside each other"));
    let mut later = nested(1);
    later.node.push(node("Exp", &["x"], "later", Vec::new()));
    let branch = later.node[0].attribute[0].g.as_mut().unwrap();
    branch.node[0].input = vec!["later".to_owned()];
    assert!(refusal(later).contains("found later"));
}

#[test]
fn nodes_inside_nodes_count() {
    let mut outer = nested(0);
    let inner = || GraphProto { input: Vec::new(), ..graph(chain("Identity", 3_000)) };
    let branch = || AttributeProto { g: Some(inner()), ..of_integer("body", 0) };
    outer.node[0].attribute = (0..4).map(|_| branch()).collect();
    assert_eq!(refusal(outer), "12001 nodes, where at most 10000 are taken");
}

#[test]
fn attributes_out_of_their_range_are_refused_with_the_node() {
    let conv = |name: &str, values: &[i64]| {
        graph(vec![node("Conv", &["x"], "y", vec![of_integers(name, values)])])
    };
    assert!(parse(conv("strides", &[2, 2])).is_ok());
    assert!(parse(conv("pads", &[])).is_ok());
    let expected = "the node y (Conv): expected strides from 1 to 16384, found 0";
    assert_eq!(refusal(conv("strides", &[0, 1])), expected);
    let pads = "the node y (Conv): expected pads from 0 to 16384, found 1099511627776";
    assert_eq!(refusal(conv("pads", &[0, 0, 0, 1 << 40])), pads);
    for (name, values) in [
        ("pads", &[-1][..]),
        ("dilations", &[i64::MAX]),
        ("kernel_shape", &[i64::MIN]),
        ("axes", &[99]),
        ("perm", &[1, -1]),
        ("output_shape", &[-5]),
    ] {
        assert!(refusal(conv(name, values)).starts_with("the node y (Conv): expected"), "{name}");
    }
    let taps = "the node y (Conv): expected a kernel of at most 16384 taps, found 16777216";
    assert_eq!(refusal(conv("kernel_shape", &[4_096; 2])), taps);
    assert!(refusal(conv("perm", &[0; 100])).contains("100 values of an attribute"));
    assert!(parse(conv("perm", &[2, 0, 1])).is_ok());
    let perm = "the node y (Conv): expected perm with every axis once, found [0, 2, 0]";
    assert_eq!(refusal(conv("perm", &[0, 2, 0])), perm);
    assert!(refusal(conv("perm", &[1, 2, 3])).ends_with("found [1, 2, 3]"));
    let both = AttributeProto { ints: vec![0], ..of_integer("axis", 99) };
    assert!(refusal(graph(vec![node("Any", &["x"], "y", vec![both])])).ends_with("found 99"));
    for (name, value) in [("axis", 99), ("axis", -9), ("group", 0), ("blocksize", -2)] {
        let nodes = vec![node("Any", &["x"], "y", vec![of_integer(name, value)])];
        assert!(refusal(graph(nodes)).ends_with(&format!("found {value}")), "{name}");
    }
}

#[test]
fn a_vendor_s_operators_may_mean_anything_by_their_attributes() {
    let mut own = node("Conv", &["x"], "y", vec![of_integers("strides", &[0])]);
    own.domain = "com.example".to_owned();
    assert!(parse(graph(vec![own])).is_ok());
}

#[test]
fn a_pad_may_crop_but_not_grow_without_bound() {
    let pad = |values: &[i64]| {
        let attribute = graph(vec![node("Pad", &["x"], "y", vec![of_integers("pads", values)])]);
        let mut input = graph(vec![node("Pad", &["x", "pads"], "y", Vec::new())]);
        input.initializer.push(i64_tensor("pads", &[values.len() as i64], values));
        [attribute, input].map(parse)
    };
    assert!(pad(&[0, -1, 0, -1]).iter().all(Result::is_ok));
    for refused in pad(&[0, 0, 0, 1 << 40]) {
        assert!(refused.unwrap_err().starts_with("the node y (Pad): expected pads"));
    }
    assert!(pad(&[i64::MIN; 4]).iter().all(Result::is_err));
}

#[test]
fn constants_ask_for_no_more_than_memory_holds() {
    let sized = |operator: &str, sizes: &[i64]| {
        let mut graph = graph(vec![node(operator, &["x", "sizes"], "y", Vec::new())]);
        graph.initializer.push(i64_tensor("sizes", &[sizes.len() as i64], sizes));
        parse(graph)
    };
    for operator in ["Expand", "Tile", "OneHot"] {
        assert!(sized(operator, &[-1, 0, 224, 224]).is_ok());
        let refused = sized(operator, &[1 << 20, 1 << 20]).unwrap_err();
        let expected = "expected a result of at most 268435456 elements, found 1099511627776";
        assert_eq!(refused, format!("the node y ({operator}): {expected}"));
        assert!(sized(operator, &[i64::MAX, i64::MAX]).is_err());
        assert!(sized(operator, &[1; 10_000]).is_err());
    }
    let value = Some(i64_tensor("", &[1], &[1 << 40]));
    for value in [
        AttributeProto { t: value, ..of_integer("value", 0) },
        of_integer("value_int", 1 << 40),
        of_integers("value_ints", &[1 << 20, 1 << 20]),
    ] {
        let shape = node("Constant", &[], "shape", vec![value]);
        let filled = node("ConstantOfShape", &["shape"], "y", Vec::new());
        assert!(refusal(graph(vec![shape, filled])).starts_with("the node y (ConstantOfShape)"));
    }
    let mut range = graph(vec![node("Range", &["from", "to", "by"], "y", Vec::new())]);
    for (name, value) in [("from", i64::MIN), ("to", i64::MAX), ("by", 1)] {
        range.initializer.push(i64_tensor(name, &[], &[value]));
    }
    assert!(refusal(range).starts_with("the node y (Range)"));
}

#[test]
fn shapes_that_no_memory_holds_are_refused_with_the_tensor() {
    let weight = |dims: Vec<i64>| {
        let mut graph = graph(chain("Identity", 1));
        let name = "w".to_owned();
        graph.initializer.push(TensorProto { name, dims, ..TensorProto::default() });
        parse(graph).map(drop)
    };
    assert_eq!(weight(vec![49_408, 768]), Ok(()));
    let rank = "8000 axes of a tensor, where at most 8 are taken";
    assert_eq!(weight(vec![1; 8_000]), Err(rank.to_owned()));
    assert!(weight(vec![-1]).unwrap_err().starts_with("w: expected at most"));
    assert!(weight(vec![1 << 20, 1 << 20]).unwrap_err().ends_with("[1048576, 1048576]"));
    let mut input = graph(chain("Identity", 1));
    input.input[0] = value_info::tensor("x", DataType::Float, &[(1 << 31).into(), 2.into()]);
    assert!(refusal(input).starts_with("x: expected at most"));
}

#[test]
fn names_of_axes_that_take_long_to_read_are_refused() {
    let named = |name: &str| {
        let mut graph = graph(chain("Identity", 1));
        graph.input[0] = value_info::tensor("x", DataType::Float, &[name.into(), 4.into()]);
        parse(graph).map(drop)
    };
    for name in ["N", "past_sequence_length + sequence_length", "floor((H - 1)/2) + 1", "unk__12"] {
        assert_eq!(named(name), Ok(()), "{name}");
    }
    let nested = format!("{}N{}", "(".repeat(20), ")".repeat(20));
    let long = "(".repeat(100_000);
    for name in [&*nested, &*long, &"-".repeat(33), &"N+".repeat(40), &"n".repeat(257)] {
        assert!(named(name).unwrap_err().starts_with("x: expected names of axes"), "{name}");
    }
}
