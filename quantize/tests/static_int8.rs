//! `coca-quantize int8 --static` on a small convolutional encoder: the form that it writes, its answers, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "small_model/convolutional.rs"]
mod convolutional;
#[path = "../../tests/replaced_file/mod.rs"]
mod replaced_file;
mod small_model;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coca_engine::{Engine, Rules};
use coca_model::Coca;
use coca_onnx::{
    GraphIndex, Opset, attribute,
    pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};
use coca_quantize::{
    int8::{Options, Report, int8},
    onnx::Storage,
};
use convolutional::{ENCODER, convolutional};
use ndarray::Array1;
use small_model::{Model, find, producer};

fn photos() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos")
}

fn calibrated(keep: &[&str]) -> Options {
    Options {
        keep_f32: keep.iter().map(|&pattern| pattern.to_owned()).collect(),
        calibrate: Some(photos()),
        require_static: true,
    }
}

fn scalar(model: &Model, graph: &GraphProto, name: &str, kind: DataType) -> f32 {
    let tensor = find(graph, name).unwrap();
    assert_eq!((&tensor.dims[..], tensor.data_type), (&[][..], kind as i32), "{name}");
    match kind {
        DataType::Uint8 => f32::from(model.bytes(tensor)[0]),
        _ => f32::from_le_bytes(model.bytes(tensor)[..].try_into().unwrap()),
    }
}

impl Model {
    /// The stored bytes of a tensor of the new encoder.
    fn bytes(&self, tensor: &TensorProto) -> Vec<u8> {
        let entry = |key| tensor.external_data.iter().find(|entry| entry.key == key);
        let Some(location) = entry("location") else { return tensor.raw_data.clone() };
        let [offset, length] =
            ["offset", "length"].map(|key| entry(key).unwrap().value.parse::<usize>().unwrap());
        fs::read(self.path("out").join(&location.value)).unwrap()[offset..offset + length].to_vec()
    }

    fn floats(&self, graph: &GraphProto, name: &str) -> Vec<f32> {
        let bytes = self.bytes(find(graph, name).unwrap());
        bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    fn report(&self, options: &Options) -> Report {
        self.int8(options).unwrap()
    }

    fn refusal(&self, options: &Options) -> String {
        let error = self.int8(options).unwrap_err().to_string();
        assert!(!self.path("out").exists(), "something was left behind");
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// The command on this model.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
            .args(["int8", "in", "out"])
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// The scale and the zero point of the codes that `value` is dequantised from.
fn codes(model: &Model, graph: &GraphProto, value: &str) -> [f32; 2] {
    let dequantize = producer(graph, value).unwrap();
    assert_eq!(dequantize.op_type, "DequantizeLinear", "{value}");
    let quantize = producer(graph, &dequantize.input[0]).unwrap();
    assert_eq!(quantize.op_type, "QuantizeLinear", "{value}");
    assert_eq!(quantize.input[1..], dequantize.input[1..]);
    let scale = scalar(model, graph, &quantize.input[1], DataType::Float);
    [scale, scalar(model, graph, &quantize.input[2], DataType::Uint8)]
}

/// Checks the weight and the bias of a convolution that reads codes of the scale `input`.
fn check_filters(model: &Model, graph: &GraphProto, conv: &NodeProto, input: f32) {
    let [weight, bias] = [1, 2].map(|input| producer(graph, &conv.input[input]).unwrap());
    for node in [weight, bias] {
        assert_eq!(node.op_type, "DequantizeLinear");
        assert_eq!(attribute::integer(node, "axis", 1), 0);
    }
    let integers = find(graph, &weight.input[0]).unwrap();
    assert_eq!(integers.data_type, DataType::Int8 as i32);
    assert!(!model.bytes(integers).contains(&0x80), "-128 in {}", integers.name);
    let zeros = find(graph, &weight.input[2]).unwrap();
    assert_eq!(
        (zeros.data_type, &zeros.dims),
        (DataType::Int8 as i32, &integers.dims[..1].to_vec())
    );
    assert!(model.bytes(zeros).iter().all(|&zero| zero == 0));
    let scales = model.floats(graph, &weight.input[1]);
    assert_eq!(find(graph, &bias.input[0]).unwrap().data_type, DataType::Int32 as i32);
    assert_eq!(bias.input.len(), 2, "a bias has no zero point");
    let products: Vec<f32> = scales.iter().map(|scale| scale * input).collect();
    assert_eq!(model.floats(graph, &bias.input[1]), products);
}

/// The one node that reads a tensor.
fn reader<'a>(graph: &'a GraphProto, tensor: &str) -> &'a NodeProto {
    let mut readers = graph.node.iter().filter(|node| node.input.iter().any(|i| i == tensor));
    let reader = readers.next().unwrap_or_else(|| panic!("{tensor} is not read"));
    assert!(readers.next().is_none(), "{tensor} is read twice");
    reader
}

#[test]
fn every_convolution_and_sum_stands_between_codes() {
    let model = convolutional(0.5, 0.5);
    let report = model.report(&calibrated(&[]));
    let graph = model.graph("out", ENCODER);
    let (mut convolutions, mut sums) = (0, 0);
    for node in &graph.node {
        match node.op_type.as_str() {
            "Conv" => {
                let [input, _] = codes(&model, &graph, &node.input[0]);
                check_filters(&model, &graph, node, input);
                convolutions += 1;
            }
            "Add" if producer(&graph, &node.input[0]).unwrap().op_type == "DequantizeLinear" => {
                node.input.iter().for_each(|input| _ = codes(&model, &graph, input));
                sums += 1;
            }
            _ => continue,
        }
        let mut behind = reader(&graph, &node.output[0]);
        let clips = behind.op_type == "Clip";
        if clips {
            behind = reader(&graph, &behind.output[0]);
        }
        assert_eq!(behind.op_type, "QuantizeLinear", "behind {}", node.name);
        let dequantize = reader(&graph, &behind.output[0]);
        let [scale, zero] = codes(&model, &graph, &dequantize.output[0]);
        if clips {
            assert!(zero == 0.0 && scale * 255.0 <= 6.0, "a clip that codes exceed");
        }
    }
    assert_eq!((convolutions, sums), (7, 1));
    let pixels = graph.node.iter().find(|n| n.input.contains(&"pixel_values".to_owned())).unwrap();
    let dequantize = reader(&graph, &pixels.output[0]);
    assert_eq!(codes(&model, &graph, &dequantize.output[0]), [1.0 / 127.0, 127.0]);
    let found = report.convolutions.unwrap();
    assert_eq!((found.convolutions, found.sums, found.biases, found.pictures), (7, 1, 7, 4));
    assert!(found.equalized[0] > 0, "{found:?}");
    assert_eq!(found.tensors.len(), 8);
    assert!(found.tensors.is_sorted_by(|(_, a), (_, b)| a <= b), "the worst first");
    assert!(found.to_string().contains("4 pictures are few: the ranges of 128 or more"), "{found}");
}

#[test]
fn the_graph_is_in_order_and_of_the_same_inputs_outputs_and_opset() {
    let model = convolutional(0.5, 0.5);
    model.report(&calibrated(&[]));
    let [before, after] = ["in", "out"].map(|bundle| {
        let bytes = fs::read(model.path(bundle).join(ENCODER)).unwrap();
        coca_onnx::Model::parse(&bytes).unwrap()
    });
    assert_eq!(before.opset(), Opset::new(17));
    assert_eq!(after.opset(), before.opset());
    let (before, after) = (before.graph(), after.graph());
    assert_eq!((&before.input, &before.output), (&after.input, &after.output));
    let weights = after.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut made: std::collections::HashSet<&str> = weights.collect();
    made.insert("pixel_values");
    for node in &after.node {
        for input in node.input.iter().filter(|name| !name.is_empty()) {
            assert!(made.contains(input.as_str()), "{} reads {input} too early", node.name);
        }
        for output in &node.output {
            assert!(made.insert(output), "{output} is made twice");
        }
    }
    let index = GraphIndex::new(after, Opset::new(17));
    for tensor in &after.initializer {
        assert!(index.consumers(&tensor.name).next().is_some(), "{} is not read", tensor.name);
    }
}

fn embedding(model: &Model, bundle: &str, engine: &Engine, photo: &Path) -> Array1<f32> {
    let coca = Coca::open_with(model.path(bundle), engine).unwrap();
    let picture = image::open(photo).unwrap();
    coca.encode_image(picture).unwrap().embedding().view().to_owned()
}

#[test]
fn pictures_are_encoded_nearly_as_in_32_bits() {
    for (mean, std) in [(0.5, 0.5), (0.45, 0.25)] {
        let model = convolutional(mean, std);
        model.report(&calibrated(&[]));
        for rules in [Rules::Off, Rules::On] {
            let engine = Engine::builder().threads(1).rules(rules).build().unwrap();
            for photo in ["cat.jpg", "rocket.jpg"].map(|name| photos().join(name)) {
                let [a, b] = ["in", "out"].map(|bundle| embedding(&model, bundle, &engine, &photo));
                assert!(a.dot(&b) > 0.99, "{}: {}", photo.display(), a.dot(&b));
            }
        }
    }
}

#[test]
fn pixels_of_another_normalisation_have_a_measured_range() {
    let model = convolutional(0.45, 0.25);
    model.report(&calibrated(&[]));
    let graph = model.graph("out", ENCODER);
    let quantize =
        graph.node.iter().find(|n| n.input.contains(&"pixel_values".to_owned())).unwrap();
    let [scale, zero] = codes(&model, &graph, &reader(&graph, &quantize.output[0]).output[0]);
    let (low, high) = ((0.0 - zero) * scale, (255.0 - zero) * scale);
    assert!(low > -1.9 && high < 2.3 && high - low > 2.0, "{low} to {high}");
}

#[test]
fn a_kept_convolution_splits_the_region() {
    let model = convolutional(0.5, 0.5);
    let report = model.report(&calibrated(&["block1.depth*"]));
    let graph = model.graph("out", ENCODER);
    let kept = graph.node.iter().find(|n| n.input.contains(&"block1.depthwise.weight".to_owned()));
    let kept = kept.expect("it reads its weight as it was");
    assert_eq!(find(&graph, "block1.depthwise.weight").unwrap().data_type, DataType::Float as i32);
    codes(&model, &graph, &kept.input[0]);
    let clip = reader(&graph, &kept.output[0]);
    let quantize = reader(&graph, &clip.output[0]);
    assert_eq!((clip.op_type.as_str(), quantize.op_type.as_str()), ("Clip", "QuantizeLinear"));
    let found = report.convolutions.unwrap();
    assert_eq!((found.convolutions, found.sums, found.kept.len()), (6, 1, 1));
    let engine = Engine::builder().threads(1).rules(Rules::Off).build().unwrap();
    let photo = photos().join("cat.jpg");
    let [a, b] = ["in", "out"].map(|bundle| embedding(&model, bundle, &engine, &photo));
    assert!(a.dot(&b) > 0.99, "{}", a.dot(&b));
}

#[test]
fn a_convolution_may_be_named_by_a_piece_of_its_nodes_name() {
    let model = convolutional(0.5, 0.5);
    let name = model.graph("in", ENCODER).node[0].name.clone();
    assert_eq!(name, "Conv 0");
    let found = model.report(&calibrated(&["nv 0"])).convolutions.unwrap();
    assert_eq!((found.kept, found.convolutions), (vec![name], 6));
}

#[test]
fn without_pictures_convolutions_are_rounded_as_they_run() {
    let model = convolutional(0.5, 0.5);
    let report = model.report(&Options::default());
    assert!(report.convolutions.is_none());
    let graph = model.graph("out", ENCODER);
    assert!(graph.node.iter().all(|node| node.op_type != "QuantizeLinear"));
}

#[test]
fn static_int8_is_chosen_wherever_there_are_pictures_and_convolutions() {
    let model = convolutional(0.5, 0.5);
    let options = Options { require_static: false, ..calibrated(&[]) };
    assert_eq!(model.report(&options).convolutions.unwrap().convolutions, 7);
}

#[test]
fn a_model_that_is_static_int8_already_is_refused() {
    let model = convolutional(0.5, 0.5);
    model.report(&calibrated(&[]));
    fs::rename(model.path("in"), model.path("f32")).unwrap();
    fs::rename(model.path("out"), model.path("in")).unwrap();
    let message = model.refusal(&calibrated(&[]));
    assert!(message.contains("none to quantise statically"), "{message}");
}

#[test]
fn a_patch_embedding_is_no_convolution_to_quantise_statically() {
    let model = Model::imported("plain", Storage::F32);
    let expected = "in: expected an image encoder with convolutions in floating point, found none to quantise \
                    statically: its layers are linear, or static int8 already";
    assert_eq!(model.refusal(&calibrated(&[])), expected);
    let (code, said) = model.command(&["--static", "--calibrate", photos().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.ends_with("or static int8 already: leave --static out\n"), "{said}");
}

#[test]
fn static_int8_without_pictures_is_wrong_usage() {
    let model = convolutional(0.5, 0.5);
    let (code, said) = model.command(&["--static"]);
    let expected = "coca-quantize: --static needs --calibrate DIR: pictures to measure the ranges of activations on\n";
    assert_eq!((code, said.as_str()), (Some(2), expected));
    let message = model.refusal(&Options { require_static: true, ..Options::default() });
    assert!(message.starts_with("expected pictures to measure the ranges"), "{message}");
}

#[test]
fn a_folder_without_pictures_and_a_pattern_that_fits_nothing_are_refused() {
    let model = convolutional(0.5, 0.5);
    let empty = tempfile::tempdir().unwrap();
    let options = Options { calibrate: Some(empty.path().to_owned()), ..calibrated(&[]) };
    let message = model.refusal(&options);
    assert!(
        message.contains(": no picture in this folder: expected files that end in"),
        "{message}"
    );
    let message = model.refusal(&calibrated(&["block1.expnd*"]));
    let expected =
        "block1.expnd*: no layer has such a name; the nearest are block1.expand.weight, ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn the_command_tells_a_summary_and_with_verbose_every_tensor() {
    let model = convolutional(0.5, 0.5);
    let calibrate = photos();
    let arguments = ["--static", "--calibrate", calibrate.to_str().unwrap(), "-v"];
    let (code, said) = model.command(&arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("7 convolutions and 1 sums read and give 8-bit codes"), "{said}");
    let tensors =
        said.lines().filter(|line| line.contains(" dB ") && !line.contains("above")).count();
    assert_eq!(tensors, 8, "{said}");
}

#[test]
fn a_bundle_is_not_overwritten_by_a_calibration_that_fails() {
    let model = convolutional(0.5, 0.5);
    model.report(&calibrated(&[]));
    let empty = tempfile::tempdir().unwrap();
    let options = Options { calibrate: Some(empty.path().to_owned()), ..calibrated(&[]) };
    int8(&model.path("in"), &model.path("out"), &options, &|_| ()).unwrap_err();
    Coca::open(model.path("out")).unwrap();
}
