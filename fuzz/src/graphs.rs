//! ONNX graphs and their external data.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, LazyLock},
};

use coca_engine::{Arithmetic, Engine, Graph, Input, Onnx, Weights};
use coca_onnx::{
    Constants, Layer, Model,
    attribute::{of_integer, of_integers},
    builder::{GraphBuilder, Value, f32_tensor, raw_tensor},
    element_count,
    pb::{ValueInfoProto, tensor_proto::DataType, type_proto},
    tensor_bytes, value_info,
};
use ndarray::ArrayD;

use crate::{
    Seeds, Target,
    packed::{Part, pack, unpack},
    small_model::small_models,
};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "onnx_graph",
        run: onnx_graph,
        seeds: graphs,
        words: WORDS,
        memory: 256 << 20,
        is_slow: false,
    },
    Target {
        name: "onnx_run",
        run: onnx_run,
        seeds: graphs,
        words: WORDS,
        memory: 256 << 20,
        is_slow: true,
    },
];

/// Operators and attributes, with the lengths that stand before them in a graph.
const WORDS: &[&str] = &[
    "\"\u{6}MatMul",
    "\"\u{4}Gemm",
    "\"\u{3}Add",
    "\"\u{3}Mul",
    "\"\u{4}Cast",
    "\"\u{8}Identity",
    "\"\u{9}Transpose",
    "\"\u{7}Reshape",
    "\"\u{6}Gather",
    "\"\u{6}Concat",
    "\"\u{5}Split",
    "\"\u{7}Softmax",
    "\"\u{4}Conv",
    "\"\u{4}Clip",
    "\"\u{10}DequantizeLinear",
    "\"\u{e}QuantizeLinear",
    "\"\u{9}Unsqueeze",
    "\"\u{7}Squeeze",
    "\"\u{a}ReduceMean",
    "axis",
    "perm",
    "axes",
    "pads",
    "strides",
    "dilations",
    "group",
    "epsilon",
    "location",
    "offset",
    "length",
    "weights.bin",
];

/// The graph's place in an input, and that of the file of external data.
const GRAPH: u8 = 0;
const WEIGHTS: u8 = 1;
/// Names that graphs of the seeds have for that file.
const FILES: [&str; 3] = ["vision.bin", "text.bin", "decoder.bin"];
/// Bytes of a tensor whose elements are looked at.
const SMALL_BYTES: usize = 4096;
/// Bytes of weights that a seed states.
const WEIGHT_BYTES: usize = 256;

fn graphs() -> Seeds {
    let mut inputs = Vec::new();
    for model in small_models()? {
        let largest = FILES.iter().filter_map(|file| model.get(*file)).map(Vec::len).max();
        let length = largest.unwrap_or(0) as u32;
        let weights = &model[FILES[0]][..WEIGHT_BYTES];
        for (_, graph) in model.iter().filter(|(name, _)| name.ends_with(".onnx")) {
            inputs.push(pack([
                Part { index: WEIGHTS, bytes: weights, length },
                Part::whole(GRAPH, graph),
            ]));
        }
    }
    for graph in [convolutions(), integer_region(), linear_layers()] {
        let graph = graph.encode();
        inputs.push(pack([Part::whole(GRAPH, &graph)]));
    }
    Ok(inputs)
}

/// Finite numbers without a pattern.
fn weight(graph: &mut GraphBuilder, name: &str, dims: &[i64]) -> Value {
    let count = dims.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 100.0).collect();
    graph.weight(&f32_tensor(name, dims, &values))
}

fn image(graph: &mut GraphBuilder) -> Value {
    graph.input_f32("x", &[1.into(), 3.into(), 8.into(), 8.into()])
}

/// Two convolutions, one of them depthwise, an activation and a mean.
fn convolutions() -> Model {
    let mut graph = GraphBuilder::new("convolutions");
    let x = image(&mut graph);
    let first = weight(&mut graph, "first", &[4, 3, 3, 3]);
    let options = || vec![of_integers("pads", &[1; 4]), of_integers("strides", &[2; 2])];
    let y = graph.node("Conv", &[&x, &first], options());
    let (zero, six) = (graph.constant(0.0), graph.constant(6.0));
    let y = graph.op("Clip", &[&y, &zero, &six]);
    let depthwise = weight(&mut graph, "depthwise", &[4, 1, 3, 3]);
    let attributes = [options(), vec![of_integer("group", 4)]].concat();
    let y = graph.node("Conv", &[&y, &depthwise], attributes);
    let axes = vec![of_integers("axes", &[2, 3]), of_integer("keepdims", 0)];
    let mean = graph.node("ReduceMean", &[&y], axes);
    let mean = graph.l2_normalize(&mean);
    graph.output("y", &mean, &[1.into(), 4.into()]);
    graph.finish("fuzz", "1")
}

/// A quantised convolution in QDQ form.
fn integer_region() -> Model {
    let mut graph = GraphBuilder::new("integer region");
    let x = image(&mut graph);
    let scale = graph.weight(&f32_tensor("scale", &[], &[1.0 / 64.0]));
    let zero = graph.initializer(raw_tensor("zero", DataType::Uint8, &[], vec![128]));
    let quantized = |graph: &mut GraphBuilder, x: &Value| {
        let codes = graph.op("QuantizeLinear", &[x, &scale, &zero]);
        graph.op("DequantizeLinear", &[&codes, &scale, &zero])
    };
    let x = quantized(&mut graph, &x);
    let codes = (0..8 * 3 * 9).map(|i| (i * 37 % 251) as u8).collect();
    let codes = graph.initializer(raw_tensor("codes", DataType::Int8, &[8, 3, 3, 3], codes));
    let scales = graph.weight(&f32_tensor("scales", &[8], &[0.01; 8]));
    let axis = || vec![of_integer("axis", 0)];
    let weight = graph.node("DequantizeLinear", &[&codes, &scales], axis());
    let bias = raw_tensor("bias", DataType::Int32, &[8], vec![1; 32]);
    let bias = graph.initializer(bias);
    let units = graph.weight(&f32_tensor("units", &[8], &[0.01 / 64.0; 8]));
    let bias = graph.node("DequantizeLinear", &[&bias, &units], axis());
    let options = vec![of_integers("pads", &[1; 4]), of_integers("strides", &[1; 2])];
    let y = graph.node("Conv", &[&x, &weight, &bias], options);
    let y = quantized(&mut graph, &y);
    graph.output("y", &y, &[1.into(), 8.into(), 8.into(), 8.into()]);
    graph.finish("fuzz", "1")
}

/// A table, a layer norm and linear layers.
fn linear_layers() -> Model {
    let mut graph = GraphBuilder::new("linear layers");
    let ids = graph.input_i64("ids", &["N".into(), 3.into()]);
    let table = f32_tensor("table", &[5, 4], &[0.25; 20]);
    let x = graph.lookup(&table, &ids);
    let [gain, bias] = ["gain", "bias"].map(|name| weight(&mut graph, name, &[4]));
    let x = graph.layer_norm(&x, &gain, &bias);
    let matrix = weight(&mut graph, "matrix", &[4, 6]);
    let x = graph.op("MatMul", &[&x, &matrix]);
    let [left, right] = graph.split::<2>(&x, 3);
    let x = graph.concat(&[&right, &left], -1);
    let x = graph.softmax(&x);
    let x = graph.reshape(&x, &[0, -1, 2]);
    let x = graph.transpose(&x, &[0, 2, 1]);
    graph.output("y", &x, &["N".into(), 2.into(), 9.into()]);
    graph.finish("fuzz", "1")
}

/// A graph as the engine's rules and the quantizer look at it.
fn onnx_graph(bytes: &[u8]) {
    let [Some(graph), weights] = unpack(bytes) else { return };
    let Ok(model) = Model::parse(&graph) else { return };
    let weights = weights.unwrap_or_default();
    let mut names = coca_onnx::external_files(model.graph());
    names.extend(FILES.map(str::to_owned));
    // Any name that the graph has for it: what the bundle allows is the bundle's business.
    let files: BTreeMap<String, Vec<u8>> =
        names.into_iter().take(8).map(|name| (name, weights.clone())).collect();
    let index = model.index();
    let constants = Constants::new(&index, &files);
    for tensor in &model.graph().initializer {
        let name = &tensor.name;
        let _ = (element_count(tensor), tensor_bytes(tensor, &files), index.weight_uses(name));
        let _ = (constants.integers(name), constants.zero_point(name));
    }
    for (_, node) in index.nodes() {
        for name in node.input.iter().chain(&node.output) {
            let _ = (index.producer(name), index.only_consumer(name), index.input_sizes(name));
            let weights = [constants.weight_or_table(name), constants.integers8(name)];
            for weight in weights.into_iter().flatten().filter(|w| w.bytes.len() < SMALL_BYTES) {
                let _ = weight.to_f32();
            }
        }
        if let Some(Layer::Convolution(convolution)) = Layer::of(node) {
            let _ = convolution.spatial::<2>();
        }
    }
    let _ = model.clone().encode();
}

static ENGINE: LazyLock<Option<Engine>> =
    LazyLock::new(|| Engine::builder().threads(1).build().ok());

/// An engine of one thread.
///
/// # Panics
/// When there is none: an environment variable asks for what this machine lacks.
pub(crate) fn engine() -> &'static Engine {
    match &*ENGINE {
        Some(engine) => engine,
        None => panic!("there is no engine of one thread"),
    }
}

/// A graph prepared and run, half of them in int8.
fn onnx_run(bytes: &[u8]) {
    let [Some(graph), weights] = unpack(bytes) else { return };
    let is_int8 = graph.len().is_multiple_of(2);
    let arithmetic = if is_int8 { Arithmetic::Int8 } else { Arithmetic::F32 };
    let _ = prepare_and_run(&graph, weights.unwrap_or_default(), arithmetic);
}

fn prepare_and_run(
    graph: &[u8],
    weights: Vec<u8>,
    arithmetic: Arithmetic,
) -> Result<(), Box<dyn Error>> {
    let model = Model::parse(graph)?;
    let weights = Arc::new(weights);
    let files = FILES.iter().fold(Weights::new(), |files, name| files.with(name, weights.clone()));
    let names = |infos: &[ValueInfoProto]| infos.iter().map(|info| info.name.clone()).collect();
    let index = model.index();
    let inputs = model.graph().input.iter();
    let inputs: Vec<_> =
        inputs.filter(|input| index.input(&input.name).is_some()).cloned().collect();
    let (names_in, names_out): (Vec<String>, Vec<String>) =
        (names(&inputs), names(&model.graph().output));
    drop(index);
    let onnx = Onnx::new("graph.onnx", model);
    let graph = Graph::prepare(onnx, &files, &names_in, &names_out, arithmetic, engine())?;
    let values = inputs.iter().map(made_up).collect::<Option<Vec<_>>>();
    graph.run(values.ok_or("an input of no known shape")?)?;
    Ok(())
}

/// An input of ones, where the graph says of what shape; open dimensions are 2.
fn made_up(input: &ValueInfoProto) -> Option<Input> {
    const MAX_ELEMENTS: usize = 1 << 14;
    let sizes = value_info::sizes(input)?.into_iter().map(|size| size.unwrap_or(2));
    let sizes: Vec<usize> = sizes.collect();
    let count = sizes.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
    if count > MAX_ELEMENTS {
        return None;
    }
    let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
    Some(match tensor.elem_type == DataType::Int64 as i32 {
        true => Input::I64(ArrayD::ones(sizes)),
        false => Input::F32(ArrayD::ones(sizes)),
    })
}
