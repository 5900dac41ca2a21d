//! `coca-quantize int8` on the small checkpoints of `tests/golden/open_clip`: structure, sizes, answers, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../tests/replaced_file/mod.rs"]
mod replaced_file;
mod small_model;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use coca_model::{
    Coca,
    bundle::{Bundle, Precision},
};
use coca_quantize::{
    int8::{Error, FLOOR, Options, Reason, int8},
    onnx::Storage,
};
use prost::Message;
use replaced_file::replace;
use small_model::{Model, find, producer};
use tract_onnx::pb::{
    ModelProto, NodeProto, TensorProto,
    tensor_proto::{DataLocation, DataType},
};

const MODELS: [&str; 2] = ["pooler", "plain"];
const PARTS: [&str; 4] =
    ["caption_decoder.onnx", "cross_kv.onnx", "image_encoder.onnx", "text_encoder.onnx"];

impl Model {
    /// The message of a failure that leaves nothing behind.
    fn refusal(&self, options: &Options) -> String {
        let before = entries(self.folder.path());
        let error = self.int8(options).unwrap_err().to_string();
        assert_eq!(entries(self.folder.path()), before, "something was left behind");
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn bytes(&self, bundle: &str, tensor: &TensorProto) -> Vec<u8> {
        if tensor.data_location != Some(DataLocation::External as i32) {
            return tensor.raw_data.clone();
        }
        let file = fs::read(self.path(bundle).join(entry(tensor, "location"))).unwrap();
        let offset: usize = entry(tensor, "offset").parse().unwrap();
        let length: usize = entry(tensor, "length").parse().unwrap();
        file[offset..offset + length].to_vec()
    }
}

fn keep(patterns: &[&str]) -> Options {
    Options {
        keep_f32: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..Options::default()
    }
}

fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> &'a str {
    &tensor.external_data.iter().find(|entry| entry.key == key).unwrap().value
}

#[test]
fn every_linear_layer_reads_int8_with_a_scale_for_each_output() {
    for model in MODELS {
        for storage in [Storage::F32, Storage::F16] {
            let model = Model::imported(model, storage);
            model.int8(&Options::default()).unwrap();
            for part in PARTS {
                let graph = model.graph("out", part);
                let constant = |node: &&NodeProto| {
                    ["MatMul", "Gemm", "Conv"].contains(&node.op_type.as_str())
                        && producer(&graph, &node.input[1])
                            .is_none_or(|made| made.op_type == "DequantizeLinear")
                };
                for layer in graph.node.iter().filter(constant) {
                    let dequantize = producer(&graph, &layer.input[1]).unwrap();
                    let [weight, scale, zero] =
                        [0, 1, 2].map(|i| find(&graph, &dequantize.input[i]).unwrap());
                    let axis = usize::try_from(dequantize.attribute[0].i).unwrap();
                    assert_eq!(
                        axis,
                        usize::from(layer.op_type == "MatMul"),
                        "{part}, {}",
                        layer.name
                    );
                    assert_eq!(weight.data_type, DataType::Int8 as i32);
                    assert_eq!(scale.data_type, DataType::Float as i32);
                    assert_eq!((&scale.dims, &zero.dims), (&vec![weight.dims[axis]], &scale.dims));
                    assert!(model.bytes("out", zero).iter().all(|&zero| zero == 0));
                    assert!(!model.bytes("out", weight).contains(&0x80), "-128 in {}", weight.name);
                }
            }
        }
    }
}

#[test]
fn tokens_are_looked_up_as_integers_and_then_scaled() {
    for storage in [Storage::F32, Storage::F16] {
        let model = Model::imported("pooler", storage);
        model.int8(&Options::default()).unwrap();
        for part in ["text_encoder.onnx", "caption_decoder.onnx"] {
            let graph = model.graph("out", part);
            let table = find(&graph, "text.token_embedding.weight").unwrap();
            assert_eq!(table.data_type, DataType::Int8 as i32);
            let reads = |name: &str| {
                let name = name.to_owned();
                graph.node.iter().filter(move |node| node.input.contains(&name)).collect::<Vec<_>>()
            };
            let [lookup] = reads(&table.name)[..] else { panic!("{part}: several lookups") };
            assert_eq!(lookup.op_type, "Gather");
            let [cast] = reads(&lookup.output[0])[..] else { panic!("{part}: several casts") };
            assert_eq!(cast.op_type, "Cast");
            let [product] = reads(&cast.output[0])[..] else { panic!("{part}: several products") };
            assert_eq!(product.op_type, "Mul");
            let scales = producer(&graph, &product.input[1]).unwrap();
            assert_eq!((scales.op_type.as_str(), &scales.input[1]), ("Gather", &lookup.input[1]));
            let scale = find(&graph, &scales.input[0]).unwrap();
            assert_eq!(scale.dims, [table.dims[0], 1]);
        }
    }
}

#[test]
fn parts_share_their_tensors_as_before_and_every_tensor_is_aligned() {
    let model = Model::imported("pooler", Storage::F32);
    model.int8(&Options::default()).unwrap();
    let mut places: BTreeMap<(String, u64), String> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for part in PARTS {
        for tensor in model.graph("out", part).initializer {
            if tensor.data_location == Some(DataLocation::External as i32) {
                let offset: u64 = entry(&tensor, "offset").parse().unwrap();
                assert_eq!(offset % 64, 0, "{}", tensor.name);
                let place = (entry(&tensor, "location").to_owned(), offset);
                if let Some(name) = places.insert(place, tensor.name.clone()) {
                    assert_eq!(name, tensor.name);
                    shared.insert(name);
                }
            }
        }
    }
    assert!(shared.contains("text.token_embedding.weight"), "{shared:?}");
    assert!(shared.contains("text.transformer.resblocks.0.attn.in_proj_weight"), "{shared:?}");
    let names: BTreeSet<_> = places.values().collect();
    assert_eq!(names.len(), places.len(), "a tensor is stored twice");
}

#[test]
fn nodes_and_tensors_keep_their_names() {
    for storage in [Storage::F32, Storage::F16] {
        let model = Model::imported("plain", storage);
        model.int8(&Options::default()).unwrap();
        for part in PARTS {
            let [before, after] = ["in", "out"].map(|bundle| model.graph(bundle, part));
            let made: BTreeSet<_> = after.node.iter().flat_map(|node| &node.output).collect();
            for node in &before.node {
                assert!(made.contains(&node.output[0]), "{part}: {}", node.output[0]);
            }
            assert_eq!((before.input, before.output), (after.input, after.output));
        }
    }
}

#[test]
fn the_description_says_int8_and_everything_else_is_as_before() {
    let model = Model::imported("plain", Storage::F32);
    let report = model.int8(&Options::default()).unwrap();
    let [before, after] = ["in", "out"].map(|b| Bundle::open(model.path(b)).unwrap());
    let mut expected = before.config().clone();
    expected.precision = Precision::Int8;
    expected.files = after.config().files.clone();
    assert_eq!(*after.config(), expected);
    for (name, file) in &after.config().files {
        // Length and checksum are checked as a file is read.
        assert_eq!((*after.read(name, "a test").unwrap()).as_ref().len() as u64, file.bytes);
    }
    let names = entries(&model.path("out")).len();
    assert_eq!(names, after.config().files.len() + 1, "a file is not listed");
    let tokenizer = |bundle| fs::read(model.path(bundle).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer("in"), tokenizer("out"));
    let weights = |bundle: &Bundle| {
        let bins = bundle.config().files.iter().filter(|(name, _)| name.ends_with(".bin"));
        bins.map(|(_, file)| file.bytes).sum::<u64>()
    };
    assert!(weights(&after) * 100 < weights(&before) * 40, "not much smaller");
    assert_eq!(report.parts.len(), PARTS.len());
}

#[test]
fn embeddings_stay_near_those_in_32_bits() {
    // Rows of 16 features average less of the rounding than those of others.
    for (name, least) in
        [("pooler", 0.999), ("plain", 0.999), ("clip-32", 0.999), ("clip-quickgelu", 0.998)]
    {
        let model = Model::imported(name, Storage::F32);
        model.int8(&Options::default()).unwrap();
        let [f32, int8] = ["in", "out"].map(|bundle| Coca::open(model.path(bundle)).unwrap());
        for seed in 0..4_u32 {
            let picture = image::RgbImage::from_fn(48, 40, |x, y| {
                let value = (x * (7 + seed) + y * 13 + x * y * seed) % 256;
                image::Rgb([value as u8, (value / 2) as u8, (255 - value) as u8])
            });
            let [a, b] = [&f32, &int8].map(|coca| {
                coca.encode_image(picture.clone()).unwrap().embedding().view().to_owned()
            });
            assert!(a.dot(&b) > least, "{name}: picture {seed}: {}", a.dot(&b));
        }
        for text in ["a cat", "two dogs on a sofa", "x"] {
            let [a, b] =
                [&f32, &int8].map(|coca| coca.encode_text(text).unwrap().view().to_owned());
            assert!(a.dot(&b) > least, "{name}: {text}: {}", a.dot(&b));
        }
    }
}

#[test]
fn weights_that_stay_are_listed_with_the_reason() {
    let model = Model::imported("pooler", Storage::F32);
    let report = model.int8(&keep(&["visual.pro*", "*.0.mlp.c_fc.weight"])).unwrap();
    let asked = report.left.iter().filter(|left| left.reason == Reason::Asked);
    let names: BTreeSet<_> = asked.map(|left| left.name.as_str()).collect();
    assert!(names.contains("visual.proj"), "{names:?}");
    assert!(names.contains("text.transformer.resblocks.0.mlp.c_fc.weight"), "{names:?}");
    let queries = report.left.iter().find(|left| left.name == "visual.attn_pool.query").unwrap();
    assert_eq!(queries.reason, Reason::NotALayer("MatMul".to_owned()));
    let [before, after] = ["in", "out"].map(|bundle| {
        let graph = model.graph(bundle, "image_encoder.onnx");
        model.bytes(bundle, find(&graph, "visual.proj").unwrap())
    });
    assert_eq!(before, after);
    let text = report.to_string();
    assert!(text.contains("left as f32: visual.proj: named by --keep-f32\n"), "{text}");
}

#[test]
fn a_pattern_that_fits_no_layer_is_refused_with_the_nearest_names() {
    let model = Model::imported("pooler", Storage::F32);
    let message = model.refusal(&keep(&["visual.prok"]));
    let expected = "visual.prok: no layer has such a name; the nearest are visual.proj, ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_bundle_that_is_int8_already_is_refused() {
    let model = Model::imported("plain", Storage::F32);
    model.int8(&Options::default()).unwrap();
    fs::rename(model.path("in"), model.path("f32")).unwrap();
    fs::rename(model.path("out"), model.path("in")).unwrap();
    let expected = "in: int8 already: every layer that can be is stored as 8-bit integers";
    assert_eq!(model.refusal(&Options::default()), expected);
}

#[test]
fn the_embedded_model_is_int8_already() {
    let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
    let folder = tempfile::tempdir().unwrap();
    let error =
        int8(&pocket, &folder.path().join("out"), &Options::default(), &|_| ()).unwrap_err();
    assert!(matches!(error, Error::AlreadyInt8 { .. }), "{error}");
}

#[test]
fn a_folder_without_a_bundle_is_refused() {
    let model = Model::imported("plain", Storage::F32);
    fs::remove_file(model.path("in").join("coca.json")).unwrap();
    let expected = "in: not a model: expected a folder with coca.json in it";
    assert_eq!(model.refusal(&Options::default()), expected);
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let model = Model::imported("plain", Storage::F32);
    let file = model.path("in").join("decoder.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[1000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let message = model.refusal(&Options::default());
    assert!(message.starts_with("in/decoder.bin: expected SHA-256 "), "{message}");
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let message = model.refusal(&Options::default());
    assert!(message.starts_with("in/decoder.bin: expected "), "{message}");
}

#[test]
fn a_target_that_is_no_model_or_the_model_itself_is_left_alone() {
    let model = Model::imported("plain", Storage::F32);
    fs::create_dir(model.path("out")).unwrap();
    fs::write(model.path("out").join("holiday.jpg"), "picture").unwrap();
    let expected = "out: exists and is no model: choose another folder";
    assert_eq!(model.refusal(&Options::default()), expected);
    assert_eq!(fs::read(model.path("out").join("holiday.jpg")).unwrap(), b"picture");

    let error =
        int8(&model.path("in"), &model.path("in"), &Options::default(), &|_| ()).unwrap_err();
    assert!(matches!(error, Error::InPlace { .. }), "{error}");
    Coca::open(model.path("in")).unwrap();
}

#[test]
fn a_target_that_cannot_be_written_is_refused() {
    let model = Model::imported("plain", Storage::F32);
    fs::write(model.path("file"), "").unwrap();
    let out = model.path("file").join("out");
    let error =
        int8(&model.path("in"), &out, &Options::default(), &|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot be written: ", out.display())), "{error}");
}

fn calibrated_with(pictures: &Path) -> Options {
    Options { calibrate: Some(pictures.to_owned()), ..Options::default() }
}

#[test]
fn a_calibrated_model_tells_how_far_every_layer_is_above_the_noise() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos");
    for storage in [Storage::F32, Storage::F16] {
        let model = Model::imported("pooler", storage);
        let report = model.int8(&calibrated_with(&pictures)).unwrap();
        let calibrated = report.calibrated.unwrap();
        assert!(calibrated.pictures > 0);
        let decibels = calibrated.layers.iter().map(|(_, decibels)| *decibels);
        assert!(decibels.clone().is_sorted(), "the worst first");
        assert!(decibels.clone().all(|d| d >= FLOOR), "{:?}", calibrated.layers);
        let tables = 1;
        let noisy = report.left.iter().filter(|left| matches!(left.reason, Reason::Noisy(_)));
        let layers: BTreeSet<_> = PARTS
            .iter()
            .flat_map(|part| model.graph("out", part).initializer)
            .filter(|t| t.data_type == DataType::Int8 as i32 && t.dims.len() >= 2)
            .map(|tensor| tensor.name)
            .collect();
        assert_eq!(calibrated.layers.len() + tables, layers.len());
        assert_eq!(noisy.count(), 0, "{:?}", report.left);
        let [f32, int8] = ["in", "out"].map(|bundle| Coca::open(model.path(bundle)).unwrap());
        let [a, b] = [&f32, &int8].map(|coca| coca.encode_text("a dog").unwrap().view().to_owned());
        assert!(a.dot(&b) > 0.999, "{}", a.dot(&b));
    }
}

#[test]
fn a_checkpoint_becomes_the_same_int8_model_without_the_larger_one_between() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos");
    for (name, calibrate) in
        [("pooler", Some(&pictures)), ("plain", None), ("clip-quickgelu", Some(&pictures))]
    {
        let model = Model::imported(name, Storage::F32);
        let options = Options { calibrate: calibrate.cloned(), ..Options::default() };
        let twice = model.int8(&options).unwrap();
        let checkpoint =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name);
        let import =
            coca_quantize::import::Options { storage: Storage::F32, config: None, progress: false };
        let checkpoint = checkpoint.to_str().unwrap();
        let out = model.path("at-once");
        let once =
            coca_quantize::int8::import(checkpoint, &out, &import, &options, &|_| ()).unwrap();
        let files = |bundle: &str| Bundle::open(model.path(bundle)).unwrap().config().files.clone();
        assert_eq!(files("at-once"), files("out"));
        assert_eq!(once.to_string(), twice.to_string());
    }
}

#[test]
fn the_command_imports_to_int8_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip/plain");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
        .args(["import".as_ref(), checkpoint.as_os_str()])
        .args(["out", "--to", "int8"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all files, shared weights once"), "{said}");
    let bundle = Bundle::open(folder.path().join("out")).unwrap();
    assert_eq!(bundle.config().precision, Precision::Int8);
    assert_eq!(entries(folder.path()).len(), 1);
}

#[test]
fn operators_too_old_for_int8_are_refused_with_the_reason() {
    let model = Model::imported("plain", Storage::F32);
    let path = model.path("in").join("cross_kv.onnx");
    let mut part = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
    part.opset_import[0].version = 12;
    replace(&model.path("in"), "cross_kv.onnx", &part.encode_to_vec());
    let expected = "cross_kv.onnx: expected ONNX operators of version 13 or newer, found version 12: older ones have \
                    one scale for a whole weight";
    assert_eq!(model.refusal(&Options::default()), expected);
}

#[test]
fn a_part_without_an_output_that_calibration_needs_is_refused() {
    let model = Model::imported("plain", Storage::F32);
    let path = model.path("in").join("caption_decoder.onnx");
    let mut part = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
    part.graph.as_mut().unwrap().output.retain(|output| output.name != "new_key.0");
    replace(&model.path("in"), "caption_decoder.onnx", &part.encode_to_vec());
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos");
    let expected = "caption_decoder.onnx: new_key.0: expected an output, found none";
    assert_eq!(model.refusal(&calibrated_with(&pictures)), expected);
}

#[test]
fn a_folder_without_pictures_cannot_calibrate() {
    let model = Model::imported("plain", Storage::F32);
    let empty = tempfile::tempdir().unwrap();
    let message = model.refusal(&calibrated_with(empty.path()));
    let expected = format!("{}: no picture in this folder", empty.path().display());
    assert!(message.starts_with(&expected), "{message}");
}
