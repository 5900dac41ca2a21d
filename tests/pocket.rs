//! The embedded model gives PyTorch's numbers: `tests/golden/pocket.json`, made by `models/train/golden.py`.
#![cfg(feature = "pocket")]
#![allow(clippy::unwrap_used, missing_docs)]

use coca_edge::{
    Bundle, Coca, Engine,
    engine::{Arithmetic, Input},
};
use image::{Rgb, RgbImage};
use ndarray::{Array1, Array2, Array3, ArrayD, s};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    image_embedding: Vec<f32>,
    /// Twice as many words as the decoder reads, `[16, D]`, the most probable first.
    image_tokens: Vec<Vec<f32>>,
    texts: Vec<Text>,
    caption: Caption,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Caption {
    ids: Vec<i64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    top_ids: Vec<usize>,
    top_logits: Vec<f32>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pocket.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The picture that golden.py makes, by the same formula.
fn picture() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| {
        Rgb([0, 1, 2].map(|c| ((x * 7 + y * 13 + c * 101 + (x * y) % 29) % 256) as u8))
    })
}

/// PyTorch computes in f32.
fn pocket() -> Coca {
    let bundle = Bundle::pocket().unwrap().compute_in(Arithmetic::F32).unwrap();
    Coca::new(bundle, &Engine::new().unwrap()).unwrap()
}

fn assert_close<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    expected: &[f32],
    tolerance: f32,
    what: &str,
) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{what}: {found}, expected {expected}");
    }
}

/// The trunk's activations are 8-bit codes: a value half-way between two may become either, here, in PyTorch and in ONNX
/// Runtime, which differ by 0.004 among each other for this picture.
const CODES_TOLERANCE: f32 = 0.01;

/// A token is an embedded word, whose elements are far more than that from any other's, moved by how probable it is.
const TOKEN_TOLERANCE: f32 = 0.05;

#[test]
fn image_embedding_and_tokens_are_pytorchs_within_the_rounding_of_the_trunks_codes() {
    let (coca, golden) = (pocket(), golden());
    let pixels = coca.preprocessor().preprocess(picture()).unwrap();
    let encoder = coca.bundle().load_image_encoder(coca.engine()).unwrap();
    let outputs = encoder.run(vec![pixels.into_array().into()]).unwrap();
    assert_close(&outputs[0], &golden.image_embedding, CODES_TOLERANCE, "image embedding");
    let tokens = outputs[1].slice(s![0, .., ..]);
    assert_eq!(tokens.nrows(), dimensions_read(&coca));
    for token in tokens.rows() {
        let is_near = |expected: &Vec<f32>| {
            token.iter().zip(expected).all(|(found, e)| (found - e).abs() < TOKEN_TOLERANCE)
        };
        assert!(
            golden.image_tokens.iter().any(is_near),
            "a word that PyTorch does not see: {token}"
        );
    }
}

/// The caption tokens that the decoder reads.
fn dimensions_read(coca: &Coca) -> usize {
    coca.bundle().config().dimensions.image_tokens
}

#[test]
fn text_embeddings_equal_pytorchs() {
    let coca = pocket();
    for text in golden().texts {
        let embedding = coca.encode_text(&text.text).unwrap();
        assert_close(embedding.view(), &text.embedding, 1e-4, &text.text);
    }
}

#[test]
fn logits_of_every_caption_step_equal_pytorchs() {
    let (coca, golden) = (pocket(), golden());
    let bundle = coca.bundle();
    let words = &golden.image_tokens[..dimensions_read(&coca)];
    let shape = (1, words.len(), words[0].len());
    let tokens = Array3::from_shape_vec(shape, words.concat()).unwrap().into_dyn();
    let cross = bundle.load_cross_kv(coca.engine()).unwrap().run(vec![Input::F32(tokens)]).unwrap();
    let decoder = bundle.load_caption_decoder(coca.engine()).unwrap();
    for (step, end) in golden.caption.steps.iter().zip(1..) {
        let inputs = prefill(bundle, &golden.caption.ids[..end], &cross);
        let logits = &decoder.run(inputs).unwrap()[0];
        let found: Vec<f32> = step.top_ids.iter().map(|&id| logits[[0, id]]).collect();
        assert_close(&found, &step.top_logits, 2e-3, "logits");
        let best = (0..logits.len()).max_by(|&a, &b| logits[[0, a]].total_cmp(&logits[[0, b]]));
        assert_eq!(best, Some(step.top_ids[0]));
    }
}

/// The decoder's inputs for a whole text and an empty cache.
fn prefill(bundle: &Bundle, ids: &[i64], cross: &[ArrayD<f32>]) -> Vec<Input> {
    let (n, dimensions) = (ids.len(), bundle.config().dimensions);
    let causal = Array2::from_shape_fn((n, n), |(s, k)| if k > s { -1e9 } else { 0.0 });
    let mut inputs = vec![
        Array2::from_shape_vec((1, n), ids.to_vec()).unwrap().into(),
        Array1::from_iter(0..n as i64).into(),
        causal.clone().insert_axis(ndarray::Axis(0)).into(),
        causal.into(),
    ];
    let layers = dimensions.unimodal_layers + dimensions.multimodal_layers;
    let empty = Array3::<f32>::zeros((1, 0, dimensions.decoder_width));
    inputs.extend((0..2 * layers).map(|_| empty.clone().into()));
    inputs.extend(cross.iter().map(|tensor| Input::F32(tensor.clone())));
    inputs
}
