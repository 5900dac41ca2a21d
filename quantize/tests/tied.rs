//! `coca-quantize int8` on a decoder whose output head is the token embedding, transposed by the graph.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../tests/replaced_file/mod.rs"]
mod replaced_file;
mod small_model;

use coca_model::{CaptionOptions, Coca};
use coca_quantize::{int8::Options, onnx::Storage};
use prost::Message;
use replaced_file::replace;
use small_model::{Model, find, producer};
use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, attribute_proto::AttributeType, tensor_proto::DataType,
};

const DECODER: &str = "caption_decoder.onnx";
const EMBEDDING: &str = "text.token_embedding.weight";

/// A model of open_clip whose decoder multiplies with its token embedding, as a Transpose makes it a matrix for MatMul;
/// a Cast widens one of 16 bits before.
fn tied(storage: Storage) -> Model {
    let model = Model::imported("pooler", storage);
    let mut graph = model.graph("in", DECODER);
    let head = graph.node.iter().position(|node| node.output == ["logits"]).unwrap();
    graph.node[head].input[1] = "transposed".to_owned();
    let widened = match storage {
        Storage::F32 => EMBEDDING,
        Storage::F16 => "widened",
    };
    graph.node.insert(head, node("Transpose", widened, "transposed"));
    if widened != EMBEDDING {
        let to = AttributeProto {
            name: "to".to_owned(),
            r#type: AttributeType::Int as i32,
            i: DataType::Float as i64,
            ..AttributeProto::default()
        };
        let cast = NodeProto { attribute: vec![to], ..node("Cast", EMBEDDING, widened) };
        graph.node.insert(head, cast);
    }
    let path = model.path("in");
    let before = ModelProto::decode(&*std::fs::read(path.join(DECODER)).unwrap()).unwrap();
    let bytes = ModelProto { graph: Some(graph), ..before }.encode_to_vec();
    replace(&path, DECODER, &bytes);
    model
}

fn node(operator: &str, input: &str, output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: operator.to_owned(),
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

#[test]
fn a_transposed_token_embedding_is_stored_as_int8_once() {
    for storage in [Storage::F32, Storage::F16] {
        let model = tied(storage);
        model.int8(&Options::default()).unwrap();
        let graph = model.graph("out", DECODER);
        assert_eq!(find(&graph, EMBEDDING).unwrap().data_type, DataType::Int8 as i32);
        let transposed = producer(&graph, &producer(&graph, "logits").unwrap().input[1]).unwrap();
        assert_eq!(transposed.op_type, "Transpose");
        let mut widened = producer(&graph, &transposed.input[0]).unwrap();
        if storage == Storage::F16 {
            assert_eq!(widened.op_type, "Cast");
            widened = producer(&graph, &widened.input[0]).unwrap();
        }
        assert_eq!((&*widened.op_type, &*widened.input[0]), ("DequantizeLinear", EMBEDDING));
        assert_eq!(widened.attribute[0].i, 0, "one scale for each token");
    }
}

#[test]
fn a_transposed_token_embedding_runs_on_the_fused_operators_and_says_the_same() {
    let picture =
        image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([x as u8 * 5, y as u8 * 6, 90]));
    for storage in [Storage::F32, Storage::F16] {
        let model = tied(storage);
        model.int8(&Options::default()).unwrap();
        let [before, after] = ["in", "out"].map(|bundle| Coca::open(model.path(bundle)).unwrap());
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
