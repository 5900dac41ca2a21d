//! ONNX's checker accepts every part, and ONNX Runtime agrees with this project's engine to 1e-4.
//!
//! Needs a Python with numpy, onnx and onnxruntime, `python3` or the one that `PYTHON` names; says so and passes
//! where there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

#[path = "small_model/convolutional.rs"]
mod convolutional;
#[path = "../../tests/replaced_file/mod.rs"]
mod replaced_file;
#[allow(dead_code, reason = "no graph is looked into here")]
mod small_model;

use std::{path::Path, process::Command};

use coca_engine::{Arithmetic, Engine, Graph, Input};
use coca_model::bundle::Bundle;
use coca_quantize::{
    import::{Options, import},
    int8::{self, int8},
    onnx::Storage,
};
use ndarray::{Array, ArrayD, IxDyn};
use serde_json::{Value, json};

/// Numbers from -1 to 1 without a pattern.
fn numbers(shape: &[usize], seed: usize) -> ArrayD<f32> {
    let count: usize = shape.iter().product();
    let values = (1..=count)
        .map(|i| (2.0 * (((i + 7919 * seed) as f64) * 0.618_033_988_75).fract() - 1.0) as f32);
    Array::from_iter(values).into_shape_with_order(IxDyn(shape)).unwrap()
}

fn ids(shape: &[usize], vocabulary: usize, seed: usize) -> ArrayD<i64> {
    let count: usize = shape.iter().product();
    // Every fifth is a pad.
    let values =
        (0..count).map(|i| if i % 5 == 4 { 0 } else { ((i + seed) * 7919 % vocabulary) as i64 });
    Array::from_iter(values).into_shape_with_order(IxDyn(shape)).unwrap()
}

/// Runs a part and writes down what went in and came out.
fn case(part: &str, graph: &Graph, inputs: Vec<(String, Input)>, outputs: &[String]) -> Value {
    let described: Vec<Value> = inputs.iter().map(|(name, input)| describe(name, input)).collect();
    let found = graph.run(inputs.into_iter().map(|(_, input)| input).collect()).unwrap();
    assert_eq!(found.len(), outputs.len());
    written(part, described, outputs.iter().cloned().zip(found))
}

/// The image encoder, whose tokens the engine computes when they are asked for; without a decoder there are none.
fn image_case(bundle: &Bundle, engine: &Engine, pixels: ArrayD<f32>) -> Value {
    let inputs = vec![describe("pixel_values", &pixels.clone().into())];
    let mut found = bundle.load_image_encoder(engine).unwrap().run(vec![pixels.into()]).unwrap();
    if bundle.has_decoder()
        && let Some(graph) = bundle.load_pooler(engine).unwrap()
    {
        let detail = found.pop().unwrap();
        found.extend(graph.run(vec![detail.into()]).unwrap());
    }
    let names = ["image_embedding", "image_tokens"].map(str::to_owned);
    written("image_encoder", inputs, names.into_iter().zip(found))
}

fn written(
    part: &str,
    inputs: Vec<Value>,
    outputs: impl Iterator<Item = (String, ArrayD<f32>)>,
) -> Value {
    let outputs: Vec<Value> = outputs.map(|(name, array)| describe(&name, &array.into())).collect();
    json!({"part": part, "inputs": inputs, "outputs": outputs})
}

fn describe(name: &str, input: &Input) -> Value {
    match input {
        Input::F32(array) => {
            json!({"name": name, "type": "float32", "shape": array.shape(), "values": array.iter().collect::<Vec<_>>()})
        }
        Input::I64(array) => {
            json!({"name": name, "type": "int64", "shape": array.shape(), "values": array.iter().collect::<Vec<_>>()})
        }
        Input::Codes(_) | Input::Shared(_) => {
            unreachable!("every input is made for this test")
        }
    }
}

fn pairs(kind: &str, count: usize) -> Vec<String> {
    (0..count).flat_map(|i| ["key", "value"].map(|half| format!("{kind}_{half}.{i}"))).collect()
}

fn cases(bundle: &Bundle) -> Vec<Value> {
    let engine = Engine::new().unwrap();
    let config = bundle.config();
    let sizes = &config.dimensions;
    let (height, width) = (config.image.height as usize, config.image.width as usize);
    let vocabulary = config.text.vocab_size as usize;
    let mut cases = Vec::new();

    cases.push(image_case(bundle, &engine, numbers(&[1, 3, height, width], 1)));

    let graph = bundle.load_text_encoder(&engine).unwrap();
    for length in [1, 6, config.text.context_length] {
        let inputs = vec![("input_ids".to_owned(), ids(&[3, length], vocabulary, length).into())];
        cases.push(case("text_encoder", &graph, inputs, &["text_embedding".to_owned()]));
    }

    if !bundle.has_decoder() {
        return cases;
    }
    let graph = bundle.load_cross_kv(&engine).unwrap();
    let tokens = numbers(&[2, sizes.image_tokens, sizes.image_width], 2);
    let outputs = pairs("cross", sizes.multimodal_layers);
    cases.push(case(
        "cross_kv",
        &graph,
        vec![("image_tokens".to_owned(), tokens.into())],
        &outputs,
    ));

    let graph = bundle.load_caption_decoder(&engine).unwrap();
    let layers = sizes.unimodal_layers + sizes.multimodal_layers;
    for (batch, new, past) in [(1, 3, 0), (4, 1, 5), (2, 2, 3)] {
        let keys = past + new;
        let mask =
            |shape: &[usize], seed| numbers(shape, seed).mapv(|v| if v > 0.6 { -1e9 } else { 0.0 });
        let positions = Array::from_iter((past..keys).map(|p| p as i64)).into_dyn();
        let mut inputs: Vec<(String, Input)> = vec![
            ("input_ids".to_owned(), ids(&[batch, new], vocabulary, past).into()),
            ("position".to_owned(), positions.into()),
            ("text_mask".to_owned(), mask(&[batch, new, keys], 3).into()),
            ("causal_mask".to_owned(), mask(&[new, keys], 4).into()),
        ];
        for (i, name) in pairs("past", layers).into_iter().enumerate() {
            inputs.push((name, numbers(&[batch, past, sizes.decoder_width], 5 + i).into()));
        }
        for (i, name) in pairs("cross", sizes.multimodal_layers).into_iter().enumerate() {
            inputs.push((
                name,
                numbers(&[1, sizes.image_tokens, sizes.decoder_width], 50 + i).into(),
            ));
        }
        let mut outputs = vec!["logits".to_owned()];
        outputs.extend(pairs("new", layers));
        cases.push(case("caption_decoder", &graph, inputs, &outputs));
    }
    cases
}

/// Runs ONNX's checker, and ONNX Runtime on what this project's engine answered when it computed in `arithmetic`;
/// nothing where there is no Python.
fn check(bundle: &Path, arithmetic: Arithmetic, tolerance: f32) {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let answers = bundle.with_extension("json");
    let cases = cases(&Bundle::open(bundle).unwrap().compute_in(arithmetic).unwrap());
    std::fs::write(&answers, serde_json::to_vec(&cases).unwrap()).unwrap();
    let output = Command::new(&python)
        .arg(here.join("tests/onnx_check.py"))
        .args([bundle, &answers])
        .arg(tolerance.to_string())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: {python} cannot be run");
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.code() == Some(77) {
        eprintln!("skipped: {}", said.trim());
        return;
    }
    assert!(output.status.success(), "{}: {said}", bundle.display());
}

fn imported(name: &str, storage: Storage, out: &Path) {
    let checkpoint =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name);
    let options = Options { storage, config: None, progress: false };
    import(checkpoint.to_str().unwrap(), out, &options, &|_| ()).unwrap();
}

/// How ONNX Runtime agrees with every part of the checkpoint `name`, in 32 and 16 bits and as int8.
fn check_all(name: &str) {
    for storage in [Storage::F32, Storage::F16] {
        let folder = tempfile::tempdir().unwrap();
        let [bundle, rounded] = ["model", "int8"].map(|name| folder.path().join(name));
        imported(name, storage, &bundle);
        check(&bundle, Arithmetic::F32, 1e-4);
        int8(&bundle, &rounded, &int8::Options::default(), &|_| ()).unwrap();
        check(&rounded, Arithmetic::F32, 1e-4);
        // Computing in int8 rounds what layers read; ONNX Runtime does not.
        check(&rounded, Arithmetic::Int8, 0.05);
    }
}

#[test]
fn onnx_runtime_runs_every_part_and_agrees() {
    ["pooler", "plain", "clip-quickgelu", "clip-alt"].into_iter().for_each(check_all);
}

#[test]
fn onnx_runtime_computes_static_convolutions_in_codes_and_agrees() {
    let model = convolutional::convolutional(0.5, 0.5);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/photos");
    let options =
        int8::Options { calibrate: Some(photos), require_static: true, ..Default::default() };
    model.int8(&options).unwrap();
    // A sum of two tensors of codes may be rounded either way.
    check(&model.path("out"), Arithmetic::Int8, 0.05);
}

#[test]
#[ignore = "needs COCA_CHECKPOINT, the absolute path of a folder with an open_clip checkpoint"]
fn onnx_runtime_agrees_on_a_checkpoint_of_the_users() {
    check_all(&std::env::var("COCA_CHECKPOINT").expect("COCA_CHECKPOINT"));
}
