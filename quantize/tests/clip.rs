//! Imported CLIPs answer as open_clip does: `clip-*` in `tests/golden/open_clip`, made by `clip.py` there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod golden;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use coca_engine::Arithmetic;
use coca_model::{
    CaptionOptions, Coca,
    bundle::{Bundle, Precision},
    tasks::{Evidence, ScoreOptions},
};
use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use golden::assert_close;
use ndarray::Array2;
use serde::Deserialize;
use tempfile::TempDir;

/// Checkpoints, and the blocks of their image and text towers.
const MODELS: [(&str, [usize; 2]); 6] = [
    ("clip-32", [2, 2]),
    ("clip-quickgelu", [3, 3]),
    ("clip-alt", [2, 1]),
    ("clip-256", [2, 2]),
    ("clip-custom-text", [1, 2]),
    ("clip-oblong", [2, 2]),
];

#[derive(Deserialize)]
struct Answers {
    images: Vec<Vec<f32>>,
    texts: Vec<Text>,
    labels: Vec<String>,
    scores: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Text {
    ids: Vec<i64>,
    embedding: Vec<f32>,
}

struct Model {
    name: &'static str,
    blocks: [usize; 2],
    coca: Coca,
    answers: Answers,
    _folder: TempDir,
}

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name)
}

/// All models in 32 bits, imported once.
fn models() -> &'static [Model] {
    static ALL: OnceLock<Vec<Model>> = OnceLock::new();
    ALL.get_or_init(|| MODELS.iter().map(|&(name, blocks)| imported(name, blocks)).collect())
}

fn imported(name: &'static str, blocks: [usize; 2]) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let options = Options { storage: Storage::F32, config: None, progress: false };
    import(checkpoint(name).to_str().unwrap(), &out, &options, &|_| ()).unwrap();
    let answers = std::fs::read(checkpoint(name).join("answers.json")).unwrap();
    let answers = serde_json::from_slice(&answers).unwrap();
    Model { name, blocks, coca: Coca::open(&out).unwrap(), answers, _folder: folder }
}

impl Model {
    fn bundle(&self) -> &Bundle {
        self.coca.bundle()
    }

    fn picture(&self, p: usize) -> image::RgbImage {
        golden::picture(&self.coca, p)
    }
}

#[test]
fn image_embeddings_are_open_clips() {
    for model in models() {
        for (p, expected) in model.answers.images.iter().enumerate() {
            let image = model.coca.encode_image(model.picture(p)).unwrap();
            let found = image.embedding().as_slice();
            assert_close(found, expected, 1e-5, &format!("{}, picture {p}", model.name));
        }
    }
}

#[test]
fn text_embeddings_are_open_clips_however_many_pads_follow() {
    for model in models() {
        let encoder = model.bundle().load_text_encoder(model.coca.engine()).unwrap();
        let context = model.bundle().config().text.context_length;
        for text in &model.answers.texts {
            for length in [text.ids.len(), context] {
                let mut ids = text.ids.clone();
                ids.resize(length, 0);
                let ids = Array2::from_shape_vec((1, length), ids).unwrap();
                let found = encoder.run(vec![ids.into()]).unwrap().pop().unwrap();
                let what = format!("{}, {:?} in {length}", model.name, text.ids);
                assert_close(found.as_slice().unwrap(), &text.embedding, 1e-5, &what);
            }
        }
    }
}

#[test]
fn texts_of_a_batch_are_read_at_their_own_end_tokens() {
    for model in models() {
        let encoder = model.bundle().load_text_encoder(model.coca.engine()).unwrap();
        let context = model.bundle().config().text.context_length;
        let mut ids = Array2::zeros((model.answers.texts.len(), context));
        for (mut row, text) in ids.rows_mut().into_iter().zip(&model.answers.texts) {
            row.iter_mut().zip(&text.ids).for_each(|(to, from)| *to = *from);
        }
        let found = encoder.run(vec![ids.into()]).unwrap().pop().unwrap();
        for (row, text) in found.outer_iter().zip(&model.answers.texts) {
            let what = format!("{}, {:?}", model.name, text.ids);
            assert_close(row.as_slice().unwrap(), &text.embedding, 1e-5, &what);
        }
    }
}

#[test]
fn label_scores_are_those_of_open_clips_zero_shot_evaluation() {
    for model in models() {
        golden::assert_label_scores(&model.coca, &model.answers.labels, &model.answers.scores);
    }
}

#[test]
fn the_bundle_has_no_decoder_and_says_so() {
    for model in models() {
        let config = model.bundle().config();
        assert_eq!((config.architecture.as_str(), config.precision), ("clip", Precision::F32));
        let files: Vec<&str> = config.files.keys().map(String::as_str).collect();
        let expected =
            ["image_encoder.onnx", "text.bin", "text_encoder.onnx", "tokenizer.json", "vision.bin"];
        assert_eq!(files, expected);
        let image = model.coca.encode_image(model.picture(0)).unwrap();
        let refusal = model.coca.caption(&image, &CaptionOptions::default()).unwrap_err();
        let expected = format!(
            "{}: this model has no decoder: it labels and embeds, but cannot caption",
            model.name
        );
        assert_eq!(refusal.to_string(), expected);
        let by = |evidence| ScoreOptions { by: evidence, ..ScoreOptions::default() };
        let refusal = model.coca.text_scorer(["a cat"], by(Some(Evidence::Caption))).err().unwrap();
        assert_eq!(refusal.to_string(), expected);
        let scorer = model.coca.text_scorer(["a cat", "a dog"], by(None)).unwrap();
        assert_eq!(scorer.evidence(), Evidence::Contrastive);
        assert!(scorer.score(&image).unwrap()[0].log_prob.is_none());
    }
}

#[test]
fn every_block_runs_on_fused_operators() {
    for model in models() {
        let parts = model.coca.load_all().unwrap();
        assert_eq!(
            parts.iter().map(|(part, _)| *part).collect::<Vec<_>>(),
            ["image_encoder.onnx", "text_encoder.onnx"]
        );
        for ((part, execution), blocks) in parts.iter().zip(model.blocks) {
            let attentions = execution.fused.get("FusedAttention");
            assert_eq!(attentions, Some(&blocks), "{}, {part}: {execution:?}", model.name);
            for operator in ["Sigmoid", "Erf", "Softmax"] {
                let left = execution.tract.get(operator);
                assert_eq!(left, None, "{}, {part}: {execution:?}", model.name);
            }
        }
        assert_eq!(model.bundle().arithmetic(), Arithmetic::F32);
    }
}

#[test]
fn sixteen_bits_change_nothing_that_was_stored_in_sixteen_bits() {
    let (name, _) = MODELS[0];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let options = Options { storage: Storage::F16, config: None, progress: false };
    import(checkpoint(name).to_str().unwrap(), &out, &options, &|_| ()).unwrap();
    let (half, exact) = (Coca::open(&out).unwrap(), &models()[0]);
    let picture = exact.picture(1);
    let [found, expected] =
        [&half, &exact.coca].map(|coca| coca.encode_image(picture.clone()).unwrap());
    assert_close(found.embedding().as_slice(), expected.embedding().as_slice(), 1e-3, name);
}
