//! Every rule: graphs that it matches, and near misses that it leaves to tract.
//!
//! Each of them runs with rules and without, and answers the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod graphs;

use std::collections::BTreeMap;

use coca_onnx::{
    Model, Opset,
    attribute::{of_float, of_integer, of_integers, of_string},
    builder::{GraphBuilder, Value, i64_tensor, raw_tensor},
    pb::tensor_proto::DataType,
};
use graphs::{Maker, TOLERANCE, distance, execution};

/// A graph and the fused operators that it becomes.
struct Case {
    name: &'static str,
    model: Model,
    fused: &'static [(&'static str, usize)],
}

fn case(name: &'static str, fused: &'static [(&'static str, usize)], model: Model) -> Case {
    Case { name, model, fused }
}

/// A graph over one input `x` `[N, T, 8]`.
fn over_rows(build: impl FnOnce(&mut Maker, &Value) -> Value) -> Model {
    over(&["N".into(), "T".into(), 8.into()], build)
}

fn over(
    dims: &[coca_onnx::value_info::Dim],
    build: impl FnOnce(&mut Maker, &Value) -> Value,
) -> Model {
    let mut maker = Maker::new();
    let x = maker.graph.input_f32("x", dims);
    let y = build(&mut maker, &x);
    maker.finish(&y)
}

#[track_caller]
fn check(cases: Vec<Case>) {
    for Case { name, model, fused } in cases {
        let expected: BTreeMap<String, usize> =
            fused.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        let found = execution(&model);
        assert_eq!(found.fused, expected, "{name}: on tract {:?}", found.tract);
        let distance = distance(&model);
        assert!(distance <= TOLERANCE, "{name}: {distance}");
    }
}

const LINEAR: &[(&str, usize)] = &[("FusedLinear", 1)];
const NOTHING: &[(&str, usize)] = &[];

fn gemm(attributes: Vec<coca_onnx::pb::AttributeProto>, weight: [i64; 2], bias: &[i64]) -> Model {
    over(&[8.into(), 8.into()], |maker, x| {
        let (weight, bias) = (maker.weight(&weight), maker.weight(bias));
        maker.graph.node("Gemm", &[x, &weight, &bias], attributes)
    })
}

#[test]
fn linear_layers() {
    check(vec![
        case(
            "norm, product, bias, activation, residual",
            LINEAR,
            over_rows(|maker, x| {
                let y = maker.norm(x, 8);
                let y = maker.product(&y, 8, 8);
                let bias = maker.weight(&[8]);
                let y = maker.graph.op("Add", &[&y, &bias]);
                let y = maker.gelu(&y);
                maker.graph.op("Add", &[x, &y])
            }),
        ),
        case(
            "a residual that broadcasts",
            LINEAR,
            over_rows(|maker, x| {
                let (y, rows) = (maker.product(x, 8, 6), maker.weight(&[3, 1]));
                maker.graph.op("Add", &[&y, &rows])
            }),
        ),
        case("a Gemm", LINEAR, gemm(vec![], [8, 6], &[6])),
        case("a Gemm that transposes", LINEAR, gemm(vec![of_integer("transB", 1)], [6, 8], &[6])),
        case("a Gemm with a row of biases", LINEAR, gemm(vec![], [8, 6], &[1, 6])),
        case(
            "a weight that is transposed first",
            LINEAR,
            over_rows(|maker, x| {
                let weight = maker.weight(&[6, 8]);
                let weight = maker.graph.transpose(&weight, &[1, 0]);
                maker.graph.op("MatMul", &[x, &weight])
            }),
        ),
        case(
            "a weight of 16 bits that is cast first",
            LINEAR,
            over_rows(|maker, x| {
                let weight = halves(maker, &[8, 6]);
                let weight = maker.graph.weight(&weight);
                maker.graph.op("MatMul", &[x, &weight])
            }),
        ),
        case(
            "an int8 weight",
            LINEAR,
            over_rows(|maker, x| {
                let weight = dequantized(maker, &[8, 6], 1);
                maker.graph.op("MatMul", &[x, &weight])
            }),
        ),
    ]);
}

#[test]
fn what_is_no_linear_layer() {
    check(vec![
        case("two inputs", NOTHING, {
            let mut maker = Maker::new();
            let x = maker.graph.input_f32("x", &["T".into(), 8.into()]);
            let w = maker.graph.input_f32("w", &[8.into(), 6.into()]);
            let y = maker.graph.op("MatMul", &[&x, &w]);
            maker.finish(&y)
        }),
        case("a scaled Gemm", NOTHING, gemm(vec![of_float("alpha", 2.0)], [8, 6], &[6])),
        case("a transposed input", NOTHING, gemm(vec![of_integer("transA", 1)], [8, 6], &[6])),
        case("a column of biases", NOTHING, gemm(vec![], [8, 8], &[8, 1])),
        case(
            "the weight first",
            NOTHING,
            over(&[8.into(), 3.into()], |maker, x| {
                let weight = maker.weight(&[6, 8]);
                maker.graph.op("MatMul", &[&weight, x])
            }),
        ),
        case(
            "a weight of three axes",
            NOTHING,
            over(&[2.into(), 3.into(), 8.into()], |maker, x| {
                let weight = maker.weight(&[2, 8, 6]);
                maker.graph.op("MatMul", &[x, &weight])
            }),
        ),
        case("an operator of a vendor", NOTHING, {
            let mut model = over_rows(|maker, x| maker.product(x, 8, 6));
            model.graph_mut().node[0].domain = "com.example".to_owned();
            model
        }),
    ]);
}

/// A bias with more axes than the product adds axes to it.
#[test]
fn a_bias_of_more_axes_than_the_product_keeps_its_axes() {
    let model = over(&["T".into(), 8.into()], |maker, x| {
        let (y, bias) = (maker.product(x, 8, 6), maker.weight(&[1, 1, 6]));
        maker.graph.op("Add", &[&y, &bias])
    });
    check(vec![case("a bias of three axes", LINEAR, model)]);
}

#[test]
fn a_graph_that_computes_in_16_bits_is_left_alone() {
    let model = over_rows(|maker, x| {
        let half = vec![of_integer("to", DataType::Float16 as i64)];
        let x = maker.graph.node("Cast", &[x], half);
        let weight = halves(maker, &[8, 6]);
        let weight = maker.graph.initializer(weight);
        let y = maker.graph.op("MatMul", &[&x, &weight]);
        maker.graph.cast_to_f32(&y)
    });
    check(vec![case("a product in 16 bits", NOTHING, model)]);
}

fn halves(maker: &mut Maker, dims: &[i64]) -> coca_onnx::pb::TensorProto {
    let tensor = maker.tensor(dims);
    let values = tensor.raw_data.as_chunks().0.iter().map(|&v| f32::from_le_bytes(v));
    let bytes = values.flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
    raw_tensor(&tensor.name, DataType::Float16, dims, bytes)
}

/// An int8 weight with a scale for each entry of `axis`.
fn dequantized(maker: &mut Maker, dims: &[i64], axis: usize) -> Value {
    let tensor = maker.tensor(dims);
    let bytes = tensor.raw_data.iter().step_by(4).copied().collect();
    let integers = raw_tensor(&tensor.name, DataType::Int8, dims, bytes);
    let integers = maker.graph.initializer(integers);
    let scales: Vec<f32> = (0..dims[axis]).map(|i| 0.001 * (1 + i) as f32).collect();
    let scales = coca_onnx::builder::f32_tensor("scales", &[dims[axis]], &scales);
    let scales = maker.graph.weight(&scales);
    let axis = vec![of_integer("axis", axis as i64)];
    maker.graph.node("DequantizeLinear", &[&integers, &scales], axis)
}

fn activated(opset: i64, build: impl FnOnce(&mut Maker, &Value) -> Value) -> Model {
    let mut maker = Maker::new();
    let x = maker.graph.input_f32("x", &["N".into(), "T".into(), 8.into()]);
    let y = maker.product(&x, 8, 8);
    let y = build(&mut maker, &y);
    maker.finish_as(Opset::new(opset), &y)
}

/// Operators on tract with rules.
fn on_tract(model: &Model) -> usize {
    execution(model).tract.values().sum()
}

#[test]
fn activations_become_part_of_their_layer() {
    let models = [
        activated(17, Maker::gelu),
        activated(17, |maker, x| maker.graph.op("Relu", &[x])),
        activated(17, |maker, x| {
            let factor = maker.graph.constant(1.702);
            let scaled = maker.graph.op("Mul", &[x, &factor]);
            let gate = maker.graph.op("Sigmoid", &[&scaled]);
            maker.graph.op("Mul", &[x, &gate])
        }),
        activated(17, |maker, x| {
            let (low, high) = (maker.graph.constant(-0.1), maker.graph.constant(0.2));
            maker.graph.op("Clip", &[x, &low, &high])
        }),
        activated(20, |maker, x| maker.graph.op("Gelu", &[x])),
    ];
    for (i, model) in models.iter().enumerate() {
        assert_eq!(on_tract(model), 0, "{i}");
        assert!(distance(model) <= TOLERANCE, "{i}");
    }
}

#[test]
fn activations_that_no_kernel_computes_stay_behind_their_layer() {
    let tanh = activated(20, |maker, x| {
        maker.graph.node("Gelu", &[x], vec![of_string("approximate", "tanh")])
    });
    let other_factor = activated(17, |maker, x| {
        let factor = maker.graph.constant(1.5);
        let scaled = maker.graph.op("Mul", &[x, &factor]);
        let gate = maker.graph.op("Sigmoid", &[&scaled]);
        maker.graph.op("Mul", &[x, &gate])
    });
    check(vec![case("tanh", LINEAR, tanh), case("another factor", LINEAR, other_factor)]);
}

/// Bounds were attributes before opset 11; taken for inputs, `Clip` was the identity.
#[test]
fn clip_has_its_bounds_in_attributes_in_an_old_opset() {
    for opset in [7, 10] {
        let model = activated(opset, |maker, x| {
            let bounds = vec![of_float("min", -0.1), of_float("max", 0.2)];
            maker.graph.node("Clip", &[x], bounds)
        });
        assert_eq!(on_tract(&model), 0);
        assert!(distance(&model) <= TOLERANCE, "opset {opset}: {}", distance(&model));
    }
}

#[test]
fn operators_older_than_broadcasting_are_left_alone() {
    let model = activated(6, |maker, x| maker.graph.op("Relu", &[x]));
    let execution = execution(&model);
    assert_eq!(execution.fused, BTreeMap::new());
    assert_eq!(execution.unfused[0].reason, "the file's opset is older than 7");
}

#[test]
fn layer_norms() {
    const NORM: &[(&str, usize)] = &[("FusedLayerNorm", 1)];
    let norm = |weight: &[i64], axis: i64| {
        let weight = weight.to_vec();
        over(&["N".into(), 3.into(), 8.into()], move |maker, x| {
            let (scale, bias) = (maker.weight(&weight), maker.weight(&weight));
            let attributes = vec![of_integer("axis", axis)];
            maker.graph.node("LayerNormalization", &[x, &scale, &bias], attributes)
        })
    };
    check(vec![
        case("of the last axis", NORM, norm(&[8], -1)),
        case("with a weight for all", NOTHING, norm(&[1], -1)),
        case("of two axes", NOTHING, norm(&[3, 8], -2)),
    ]);
}

/// Attention with the `mask` of these axes.
fn masked(mask: &[i64]) -> Model {
    over_rows(|maker, x| {
        let mask = maker.weight(mask);
        maker.attention([x, x, x], Some(&mask))
    })
}

const ATTENTION: &[(&str, usize)] = &[("FusedAttention", 1)];

#[test]
fn attention_under_any_mask() {
    check(vec![
        case("none", ATTENTION, over_rows(|maker, x| maker.attention([x, x, x], None))),
        case("a matrix", ATTENTION, masked(&[3, 3])),
        case("a row", ATTENTION, masked(&[1, 3])),
        case("one a sequence", ATTENTION, masked(&[2, 1, 3, 3])),
        case("a plane a head", ATTENTION, masked(&[1, 2, 3, 3])),
        case("a plane a head and sequence", ATTENTION, masked(&[2, 2, 3, 3])),
        case("a row a head", ATTENTION, masked(&[2, 1, 3])),
        case("one column", ATTENTION, masked(&[3, 1])),
        case("one element", ATTENTION, masked(&[1])),
    ]);
}

#[test]
fn attention_under_a_mask_of_more_than_it_asks_for() {
    let one_head = |maker: &mut Maker, x: &Value| {
        let [q, v] = [(); 2].map(|()| maker.heads(x, [0, 0, 1, 8], [0, 2, 1, 3]));
        let k = maker.heads(x, [0, 0, 1, 8], [0, 2, 3, 1]);
        let mask = maker.weight(&[2, 3, 3]);
        let mixed = maker.mixed([&q, &k, &v], Some(&mask), |graph, scores| graph.softmax(scores));
        let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
        maker.graph.reshape(&rows, &[0, 0, 16])
    };
    let one_query = |rows: &[i64]| {
        over(&["N".into(), 1.into(), 8.into()], |maker, x| {
            let (mask, keys) = (maker.weight(rows), maker.weight(&[1, 3, 8]));
            maker.attention([x, &keys, &keys], Some(&mask))
        })
    };
    let one_sequence = over(&[1.into(), "T".into(), 8.into()], |maker, x| {
        let mask = maker.weight(&[2, 1, 3, 3]);
        maker.attention([x, x, x], Some(&mask))
    });
    check(vec![
        case("a query for each of its rows", ATTENTION, one_query(&[5, 3])),
        case("a query for one row", ATTENTION, one_query(&[1, 3])),
        case("a sequence for each of its planes", ATTENTION, one_sequence),
        case("more heads than there are", NOTHING, over_rows(one_head)),
    ]);
}

/// The names that rules make begin with one colon, if none in the file does.
#[test]
fn names_in_a_file_are_never_taken_for_those_that_rules_make() {
    let mut model = over(&["N".into(), 8.into(), 4.into(), 4.into()], |maker, x| {
        let weight = maker.weight(&[8, 8, 3, 3]);
        let attributes = || vec![of_integers("pads", &[1, 1, 1, 1])];
        let y = maker.graph.node("Conv", &[x, &weight], attributes());
        let y = maker.graph.node("Conv", &[&y, &weight], attributes());
        let z = maker.graph.op("Exp", &[x]);
        maker.graph.op("Add", &[&z, &y])
    });
    let fused = execution(&model).fused;
    let nodes = &mut model.graph_mut().node;
    let taken = format!(":channels last of {}", nodes[0].output[0]);
    let exp = nodes.iter_mut().find(|node| node.op_type == "Exp").unwrap();
    let old = std::mem::replace(&mut exp.output[0], taken.clone());
    for (at, node) in nodes.iter_mut().enumerate() {
        node.name = if at == 0 { ":fused 0".to_owned() } else { "alike".to_owned() };
        node.input.iter_mut().filter(|name| **name == old).for_each(|name| name.clone_from(&taken));
    }
    assert_eq!(execution(&model).fused, fused);
    assert!(distance(&model) <= TOLERANCE);
}

#[test]
fn attention_over_rows_of_other_shapes() {
    let keys_first = |maker: &mut Maker, x: &Value, shape: [i64; 4]| {
        let [q, v] = [(); 2].map(|()| maker.heads(x, shape, [0, 2, 1, 3]));
        let k = maker.heads(x, shape, [0, 2, 3, 1]);
        maker.mixed([&q, &k, &v], None, |graph, scores| graph.softmax(scores))
    };
    check(vec![
        case(
            "rows one below the other",
            ATTENTION,
            over(&[6.into(), 8.into()], |maker, x| {
                let mixed = keys_first(maker, x, [2, 3, 2, 4]);
                let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
                maker.graph.reshape(&rows, &[-1, 8])
            }),
        ),
        case(
            "two tokens in a row",
            ATTENTION,
            over(&["N".into(), 3.into(), 16.into()], |maker, x| {
                let mixed = keys_first(maker, x, [0, -1, 2, 4]);
                let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
                maker.graph.reshape(&rows, &[0, 0, 8])
            }),
        ),
        case(
            "answers put side by side",
            ATTENTION,
            over(&["N".into(), 3.into(), 8.into()], |maker, x| {
                let mixed = keys_first(maker, x, [0, 0, 2, 4]);
                let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
                maker.graph.reshape(&rows, &[0, 1, 24])
            }),
        ),
        case("a batch of values alone", ATTENTION, {
            let mut maker = Maker::new();
            let x = maker.graph.input_f32("x", &[1.into(), 3.into(), 8.into()]);
            let values = maker.graph.input_f32("values", &["N".into(), 3.into(), 8.into()]);
            let y = maker.attention([&x, &x, &values], None);
            maker.finish(&y)
        }),
    ]);
}

#[test]
fn what_is_no_attention() {
    let of = |opset: i64, axis: Option<i64>| {
        let mut maker = Maker::new();
        let x = maker.graph.input_f32("x", &["N".into(), "T".into(), 8.into()]);
        let [q, v] = [(); 2].map(|()| maker.heads(&x, [0, 0, 2, 4], [0, 2, 1, 3]));
        let k = maker.heads(&x, [0, 0, 2, 4], [0, 2, 3, 1]);
        let softmax = |graph: &mut GraphBuilder, scores: &Value| {
            let axis = axis.map(|axis| of_integer("axis", axis));
            graph.node("Softmax", &[scores], axis.into_iter().collect())
        };
        let mixed = maker.mixed([&q, &k, &v], None, softmax);
        let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
        let y = maker.graph.reshape(&rows, &[0, 0, 8]);
        maker.finish_as(Opset::new(opset), &y)
    };
    check(vec![
        case("a softmax of queries", NOTHING, of(17, Some(2))),
        case("a softmax of the last axis by default", ATTENTION, of(13, None)),
        case("an old softmax of the last axis", ATTENTION, of(12, Some(3))),
        case("an old softmax, by default of all but the batch", NOTHING, of(12, None)),
    ]);
}

#[test]
fn a_joint_projection_is_split_where_it_stands() {
    let joint = |opset: i64| {
        let mut maker = Maker::new();
        let x = maker.graph.input_f32("x", &["N".into(), "T".into(), 8.into()]);
        let joint = maker.product(&x, 8, 24);
        let [q, k, v] = maker.graph.split(&joint, 8);
        let y = maker.attention([&q, &k, &v], None);
        let mut model = maker.finish_as(Opset::new(opset), &y);
        if opset < 13 {
            let nodes = &mut model.graph_mut().node;
            let split = nodes.iter_mut().find(|node| node.op_type == "Split").unwrap();
            split.input.truncate(1);
            split.attribute.push(of_integers("split", &[8, 8, 8]));
            let softmax = nodes.iter_mut().find(|node| node.op_type == "Softmax").unwrap();
            softmax.attribute = vec![of_integer("axis", 3)];
        }
        model
    };
    for opset in [11, 17] {
        let model = joint(opset);
        let expected = BTreeMap::from([("FusedAttention", 1), ("FusedLinear", 1)]);
        let fused = execution(&model).fused;
        assert!(fused.iter().map(|(name, &count)| (name.as_str(), count)).eq(expected));
        assert_eq!(on_tract(&model), 0, "opset {opset}");
        assert!(distance(&model) <= TOLERANCE, "opset {opset}");
    }
}

/// A pooler of three learnt queries over `x`; `behind` gets its answers `[N, 3, 8]`.
fn pooler(behind: impl FnOnce(&mut Maker, &Value) -> Value) -> Model {
    over_rows(|maker, x| {
        let queries = maker.weight(&[1, 2, 3, 4]);
        let keys = maker.heads(x, [0, 0, 2, 4], [0, 2, 3, 1]);
        let values = maker.heads(x, [0, 0, 2, 4], [0, 2, 1, 3]);
        let mixed =
            maker.mixed([&queries, &keys, &values], None, |graph, scores| graph.softmax(scores));
        let rows = maker.graph.transpose(&mixed, &[0, 2, 1, 3]);
        let rows = maker.graph.reshape(&rows, &[0, 0, 8]);
        behind(maker, &rows)
    })
}

#[test]
fn learnt_queries_of_which_one_is_needed() {
    let picked = |index: Vec<i64>, dims: &'static [i64]| {
        pooler(move |maker, rows| {
            let index = maker.graph.initializer(i64_tensor("picked", dims, &index));
            maker.graph.node("Gather", &[rows, &index], vec![of_integer("axis", 1)])
        })
    };
    check(vec![
        case("all", ATTENTION, pooler(|_, rows| rows.clone())),
        case("one, whose axis disappears", ATTENTION, picked(vec![1], &[])),
        case("one, whose axis stays", ATTENTION, picked(vec![2], &[1])),
        case("two", ATTENTION, picked(vec![2, 0], &[2])),
        case(
            "one, behind what differs from row to row",
            ATTENTION,
            pooler(|maker, rows| {
                let positions = maker.weight(&[3, 8]);
                let rows = maker.graph.op("Add", &[rows, &positions]);
                maker.graph.pick(&rows, 2, 1)
            }),
        ),
    ]);
}

/// A graph over ids `[N, T]`.
fn over_ids(build: impl FnOnce(&mut Maker, &Value) -> Value) -> Model {
    let mut maker = Maker::new();
    let ids = maker.graph.input_i64("ids", &["N".into(), "T".into()]);
    let y = build(&mut maker, &ids);
    maker.finish(&y)
}

#[test]
fn embeddings() {
    const EMBEDDING: &[(&str, usize)] = &[("FusedEmbedding", 1)];
    check(vec![
        case(
            "a table",
            EMBEDDING,
            over_ids(|maker, ids| {
                let table = maker.tensor(&[5, 8]);
                maker.graph.lookup(&table, ids)
            }),
        ),
        case(
            "a table of 16 bits",
            EMBEDDING,
            over_ids(|maker, ids| {
                let table = halves(maker, &[5, 8]);
                maker.graph.lookup(&table, ids)
            }),
        ),
        case(
            "rows that are rounded",
            EMBEDDING,
            over_ids(|maker, ids| {
                let table = maker.tensor(&[5, 8]);
                let rows = maker.graph.lookup(&table, ids);
                let ten = maker.graph.constant(10.0);
                let rows = maker.graph.op("Mul", &[&rows, &ten]);
                let to = vec![of_integer("to", DataType::Int32 as i64)];
                let rows = maker.graph.node("Cast", &[&rows], to);
                maker.graph.cast_to_f32(&rows)
            }),
        ),
        case(
            "rows that are cast to integers",
            EMBEDDING,
            over_ids(|maker, ids| {
                let table = maker.tensor(&[5, 8]);
                let rows = maker.graph.lookup(&table, ids);
                let to = vec![of_integer("to", DataType::Int32 as i64)];
                let rows = maker.graph.node("Cast", &[&rows], to);
                maker.graph.cast_to_f32(&rows)
            }),
        ),
        case(
            "columns",
            NOTHING,
            over_ids(|maker, ids| {
                let table = maker.weight(&[8, 5]);
                maker.graph.node("Gather", &[&table, ids], vec![of_integer("axis", 1)])
            }),
        ),
        case(
            "rows that stay 16 bits wide",
            NOTHING,
            over_ids(|maker, ids| {
                let table = halves(maker, &[5, 8]);
                let table = maker.graph.initializer(table);
                let rows = maker.graph.node("Gather", &[&table, ids], vec![]);
                let rows = maker.graph.op("Add", &[&rows, &rows]);
                maker.graph.cast_to_f32(&rows)
            }),
        ),
    ]);
}

/// A patch embedding of a picture `[N, 3, height, 4]`, flattened to `shape`.
fn patches(
    height: usize,
    attributes: Vec<coca_onnx::pb::AttributeProto>,
    shape: [i64; 3],
) -> Model {
    over(&["N".into(), 3.into(), height.into(), 4.into()], |maker, x| {
        let weight = maker.weight(&[8, 3, 2, 2]);
        let mut all = vec![of_integers("strides", &[2, 2])];
        all.extend(attributes);
        let y = maker.graph.node("Conv", &[x, &weight], all);
        let y = maker.graph.reshape(&y, &shape);
        maker.graph.transpose(&y, &[0, 2, 1])
    })
}

#[test]
fn patch_embeddings() {
    const PATCHES: &[(&str, usize)] = &[("FusedPatchEmbedding", 1)];
    const CONVOLUTION: &[(&str, usize)] = &[("FusedConvolution", 1)];
    let same = || vec![of_string("auto_pad", "SAME_UPPER")];
    check(vec![
        case("patches side by side", PATCHES, patches(4, vec![], [0, 8, -1])),
        case("a last line that is left over", PATCHES, patches(5, vec![], [0, 8, -1])),
        case("padding by size", NOTHING, patches(5, same(), [0, 8, -1])),
        case("pictures run together", CONVOLUTION, patches(4, vec![], [1, 8, -1])),
    ]);
}

#[test]
fn convolutions() {
    let picture = || ["N".into(), 4.into(), 5.into(), 5.into()];
    let conv = |weight: &'static [i64], attributes: Vec<coca_onnx::pb::AttributeProto>| {
        over(&picture(), move |maker, x| {
            let (weight, bias) = (maker.weight(weight), maker.weight(&[weight[0]]));
            let y = maker.graph.node("Conv", &[x, &weight, &bias], attributes);
            maker.graph.op("Relu", &[&y])
        })
    };
    let group = |groups: i64| of_integer("group", groups);
    const DEPTHWISE: &[(&str, usize)] = &[("FusedDepthwiseConvolution", 1)];
    check(vec![
        case(
            "dense, padded",
            &[("FusedConvolution", 1)],
            conv(&[6, 4, 3, 3], vec![of_integers("pads", &[1, 0, 2, 1])]),
        ),
        case(
            "a filter a channel",
            DEPTHWISE,
            conv(&[4, 1, 3, 3], vec![group(4), of_integers("strides", &[2, 1])]),
        ),
        case("groups of channels", NOTHING, conv(&[4, 2, 3, 3], vec![group(2)])),
        case("dilated", NOTHING, conv(&[6, 4, 2, 2], vec![of_integers("dilations", &[2, 2])])),
        case(
            "a residual of another size",
            &[("FusedConvolution", 2)],
            over(&picture(), |maker, x| {
                let (whole, pixel) = (maker.weight(&[6, 4, 5, 5]), maker.weight(&[6, 4, 1, 1]));
                let mean = maker.graph.op("Conv", &[x, &whole]);
                let y = maker.graph.op("Conv", &[x, &pixel]);
                maker.graph.op("Add", &[&y, &mean])
            }),
        ),
    ]);
}

#[test]
fn a_near_miss_says_what_it_misses() {
    let reasons = |model: &Model| -> Vec<String> {
        let unfused = execution(model).unfused;
        unfused.iter().map(|u| format!("{}: {}", u.operator, u.reason)).collect()
    };
    let scaled = gemm(vec![of_float("alpha", 2.0)], [8, 6], &[6]);
    assert_eq!(reasons(&scaled), ["Gemm: it scales its factors, or transposes its input"]);
    assert_eq!(reasons(&gemm(vec![], [8, 6], &[6])), [""; 0]);
}

#[test]
fn the_largest_of_rows() {
    const TOP_K: &[(&str, usize)] = &[("FusedTopK", 1)];
    let values = |k, attributes: &[(&str, i64)]| {
        let attributes = attributes.iter().map(|&(name, value)| of_integer(name, value)).collect();
        over_rows(|maker, x| maker.graph.top_k(x, k, attributes)[0].clone())
    };
    check(vec![
        case("values", TOP_K, values(3, &[])),
        case("all", TOP_K, values(8, &[])),
        case(
            "indices",
            TOP_K,
            over_rows(|maker, x| {
                let [_, indices] = maker.graph.top_k(x, 3, vec![]);
                maker.graph.cast_to_f32(&indices)
            }),
        ),
        case("another axis", NOTHING, values(2, &[("axis", 1)])),
        case("the smallest", NOTHING, values(2, &[("largest", 0)])),
        case(
            "rows of integers",
            NOTHING,
            over_ids(|maker, ids| {
                let [values, _] = maker.graph.top_k(ids, 2, vec![]);
                maker.graph.cast_to_f32(&values)
            }),
        ),
    ]);
}
