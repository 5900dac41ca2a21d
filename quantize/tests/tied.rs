//! `coca-quantize int8` on a decoder whose output head is the token embedding, turned around by the graph.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{fs, path::Path};

use coca_edge::{CaptionOptions, Coca};
use coca_quantize::{
    import::{self, import},
    int8::{Options, int8},
    onnx::Storage,
};
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, tensor_proto::DataType};

const DECODER: &str = "caption_decoder.onnx";
const EMBEDDING: &str = "text.token_embedding.weight";

/// A model of open_clip whose decoder multiplies with its token embedding, as a Transpose makes it a matrix for MatMul.
fn tied(storage: Storage) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("in");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip/pooler");
    let options = import::Options { storage, config: None, progress: false };
    import(golden.to_str().unwrap(), &bundle, &options, &|_| ()).unwrap();
    let mut model = decoder(&bundle);
    let graph = model.graph.as_mut().unwrap();
    let head = graph.node.iter().position(|node| node.output == ["logits"]).unwrap();
    // 16-bit numbers are widened for the lookup already.
    let widened = graph.node.iter().find(|n| n.op_type == "Cast" && n.input == [EMBEDDING]);
    let table = widened.map_or(EMBEDDING, |cast| &cast.output[0]).to_owned();
    let turned = NodeProto {
        name: "turned".to_owned(),
        op_type: "Transpose".to_owned(),
        input: vec![table],
        output: vec!["turned".to_owned()],
        ..NodeProto::default()
    };
    graph.node[head].input[1] = "turned".to_owned();
    graph.node.insert(head, turned);
    write(&bundle, &model.encode_to_vec());
    folder
}

fn decoder(bundle: &Path) -> ModelProto {
    ModelProto::decode(&*fs::read(bundle.join(DECODER)).unwrap()).unwrap()
}

/// Writes the decoder; its entry in coca.json is right again.
fn write(bundle: &Path, bytes: &[u8]) {
    fs::write(bundle.join(DECODER), bytes).unwrap();
    let path = bundle.join("coca.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    config["files"][DECODER] = json!({ "bytes": bytes.len(), "sha256": sha256 });
    fs::write(path, config.to_string()).unwrap();
}

fn maker<'a>(graph: &'a GraphProto, tensor: &str) -> &'a NodeProto {
    graph.node.iter().find(|node| node.output.contains(&tensor.to_owned())).unwrap()
}

#[test]
fn a_turned_token_embedding_is_stored_as_int8_once() {
    let folder = tied(Storage::F32);
    int8(&folder.path().join("in"), &folder.path().join("out"), &Options::default(), &|_| ())
        .unwrap();
    let graph = decoder(&folder.path().join("out")).graph.unwrap();
    let table = graph.initializer.iter().find(|tensor| tensor.name == EMBEDDING).unwrap();
    assert_eq!(table.data_type, DataType::Int8 as i32);
    let turned = maker(&graph, &maker(&graph, "logits").input[1]);
    assert_eq!(turned.op_type, "Transpose");
    let dequantized = maker(&graph, &turned.input[0]);
    assert_eq!(
        (dequantized.op_type.as_str(), &*dequantized.input[0]),
        ("DequantizeLinear", EMBEDDING)
    );
    assert_eq!(dequantized.attribute[0].i, 0, "one scale for each token");
}

#[test]
fn a_turned_token_embedding_runs_on_the_fused_operators_and_says_the_same() {
    let picture =
        image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([x as u8 * 5, y as u8 * 6, 90]));
    for storage in [Storage::F32, Storage::F16] {
        let folder = tied(storage);
        int8(&folder.path().join("in"), &folder.path().join("out"), &Options::default(), &|_| ())
            .unwrap();
        let [before, after] =
            ["in", "out"].map(|bundle| Coca::open(folder.path().join(bundle)).unwrap());
        let [on_tract, int8_on_tract] = [&before, &after].map(|coca| {
            let parts = coca.load_all().unwrap();
            parts.into_iter().find(|(part, _)| *part == DECODER).unwrap().1.tract
        });
        assert_eq!(int8_on_tract, on_tract);
        let [expected, found] = [&before, &after].map(|coca| {
            let encoded = coca.encode_image(picture.clone()).unwrap();
            coca.caption(&encoded, &CaptionOptions::default().max_tokens(8)).unwrap()
        });
        let difference = (found.score - expected.score).abs();
        assert!(difference < 0.02 * expected.score.abs(), "{expected:?}, {found:?}");
    }
}
