//! Imported checkpoints answer as open_clip does: `tests/golden/open_clip`, made by `make.py` there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod golden;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use coca_engine::{Graph, Input};
use coca_model::{CaptionOptions, Coca, Search, bundle::Bundle, generate::log_probabilities};
use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use golden::assert_close;
use ndarray::{Array, Array2, ArrayD, IxDyn};
use serde::Deserialize;
use tempfile::TempDir;

const MODELS: [&str; 2] = ["pooler", "plain"];

#[derive(Deserialize)]
struct Answers {
    images: Vec<Vec<f32>>,
    texts: Vec<Text>,
    labels: Vec<String>,
    scores: Vec<Vec<f32>>,
    captions: Vec<Caption>,
    forced: Forced,
}

#[derive(Deserialize)]
struct Text {
    ids: Vec<i64>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Caption {
    picture: usize,
    prompt: Option<String>,
    generation_type: String,
    seq_len: usize,
    min_seq_len: usize,
    num_beams: Option<usize>,
    num_beam_groups: Option<usize>,
    repetition_penalty: Option<f32>,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Forced {
    ids: Vec<i64>,
    logits: Vec<Vec<f32>>,
}

/// `log_probs.json`
#[derive(Deserialize)]
struct LogProbs {
    labels: Vec<String>,
    texts: Vec<LogProb>,
}

#[derive(Deserialize)]
struct LogProb {
    ids: Vec<u32>,
    /// One for each picture.
    log_probs: Vec<f32>,
}

struct Model {
    bundle: Bundle,
    coca: Coca,
    answers: Answers,
    _folder: TempDir,
}

fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/open_clip").join(name)
}

fn imported(name: &str, storage: Storage) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let options = Options { storage, config: None, progress: false };
    import(checkpoint(name).to_str().unwrap(), &out, &options, &|_| ()).unwrap();
    let answers = std::fs::read(checkpoint(name).join("answers.json")).unwrap();
    Model {
        bundle: Bundle::open(&out).unwrap(),
        coca: Coca::open(&out).unwrap(),
        answers: serde_json::from_slice(&answers).unwrap(),
        _folder: folder,
    }
}

/// Both models in 32 bits, imported once.
fn models() -> &'static [Model] {
    static MODELS_IN_F32: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS_IN_F32.get_or_init(|| MODELS.iter().map(|name| imported(name, Storage::F32)).collect())
}

impl Model {
    fn picture(&self, p: usize) -> image::RgbImage {
        golden::picture(&self.coca, p)
    }

    fn image_tokens(&self, p: usize) -> ArrayD<f32> {
        let pixels = self.coca.preprocessor().preprocess(self.picture(p)).unwrap().into_array();
        let mut outputs = self
            .bundle
            .load_image_encoder(self.coca.engine())
            .unwrap()
            .run(vec![pixels.into()])
            .unwrap();
        let detail = outputs.pop().unwrap();
        match self.bundle.load_pooler(self.coca.engine()).unwrap() {
            Some(graph) => graph.run(vec![detail.into()]).unwrap().remove(0),
            None => detail,
        }
    }
}

#[test]
fn image_embeddings_are_open_clips() {
    for model in models() {
        for (p, expected) in model.answers.images.iter().enumerate() {
            let picture = model.coca.encode_image(model.picture(p)).unwrap();
            let found = picture.embedding().view().to_vec();
            assert_close(&found, expected, 1e-5, &format!("picture {p}"));
        }
    }
}

#[test]
fn text_embeddings_are_open_clips_with_one_pad_or_all() {
    for model in models() {
        let encoder = model.bundle.load_text_encoder(model.coca.engine()).unwrap();
        let context = model.bundle.config().text.context_length;
        for text in &model.answers.texts {
            for length in [(text.ids.len() + 1).min(context), context] {
                let mut ids = text.ids.clone();
                ids.resize(length, 0);
                let ids = Array2::from_shape_vec((1, length), ids).unwrap();
                let found = encoder.run(vec![ids.into()]).unwrap().pop().unwrap();
                let what = format!("{:?} in {length}", text.ids);
                assert_close(found.as_slice().unwrap(), &text.embedding, 1e-5, &what);
            }
        }
    }
}

#[test]
fn texts_of_a_batch_do_not_change_each_other() {
    for model in models() {
        let encoder = model.bundle.load_text_encoder(model.coca.engine()).unwrap();
        let context = model.bundle.config().text.context_length;
        let mut ids = Array2::zeros((model.answers.texts.len(), context));
        for (mut row, text) in ids.rows_mut().into_iter().zip(&model.answers.texts) {
            row.iter_mut().zip(&text.ids).for_each(|(to, from)| *to = *from);
        }
        let found = encoder.run(vec![ids.into()]).unwrap().pop().unwrap();
        for (row, text) in found.outer_iter().zip(&model.answers.texts) {
            assert_close(
                row.as_slice().unwrap(),
                &text.embedding,
                1e-5,
                &format!("{:?}", text.ids),
            );
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
fn a_model_of_short_texts_writes_captions_without_being_told_how_long() {
    for model in models() {
        let caption = model.coca.bundle().config().caption.clone().unwrap();
        assert_eq!(caption.max_tokens, model.coca.bundle().config().text.context_length + 1);
        let picture = model.coca.encode_image(model.picture(0)).unwrap();
        let found = model.coca.caption(&picture, &CaptionOptions::default()).unwrap();
        assert!(found.tokens.len() <= caption.max_tokens);
    }
}

#[test]
fn captions_are_open_clips_token_for_token() {
    for (model, name) in models().iter().zip(MODELS) {
        for caption in &model.answers.captions {
            let mut options = CaptionOptions::default()
                .max_tokens(caption.seq_len)
                .min_tokens(caption.min_seq_len)
                .repetition_penalty(caption.repetition_penalty.unwrap_or(1.0));
            options = match caption.generation_type.as_str() {
                "beam_search" => options
                    .search(Search::OpenClip)
                    .beams(caption.num_beams.unwrap_or(6))
                    .beam_groups(caption.num_beam_groups.unwrap_or(3)),
                _ => options.search(Search::Greedy),
            };
            let picture = model.coca.encode_image(model.picture(caption.picture)).unwrap();
            let prompt = caption.prompt.as_deref().unwrap_or_default();
            let found = model.coca.caption_from(&picture, prompt, &options).unwrap();
            assert_eq!(
                found.tokens, caption.ids,
                "{name}, picture {}, {options:?}",
                caption.picture
            );
        }
    }
}

#[test]
fn a_cached_step_and_a_prefill_give_the_logits_of_the_whole_text() {
    for model in models() {
        let cross = model
            .bundle
            .load_cross_kv(model.coca.engine())
            .unwrap()
            .run(vec![model.image_tokens(0).into()])
            .unwrap();
        let decoder = model.bundle.load_caption_decoder(model.coca.engine()).unwrap();
        let Forced { ids, logits } = &model.answers.forced;
        for prefill in 1..=ids.len() {
            let mut cache = Cache::new(model);
            let mut last = cache.run(&decoder, &cross, &ids[..prefill]);
            for (at, expected) in logits.iter().enumerate().skip(prefill - 1) {
                if at >= prefill {
                    last = cache.run(&decoder, &cross, &ids[at..=at]);
                }
                assert_close(
                    &last,
                    expected,
                    1e-4,
                    &format!("token {at} after a prefill of {prefill}"),
                );
            }
        }
    }
}

#[test]
fn texts_are_as_likely_as_open_clips_forward_pass_says() {
    for (name, model) in MODELS.iter().zip(models()) {
        let file = std::fs::read(checkpoint(name).join("log_probs.json")).unwrap();
        let LogProbs { labels, texts } = serde_json::from_slice(&file).unwrap();
        let ids: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
        for p in 0..3 {
            let image = model.coca.encode_image(model.picture(p)).unwrap();
            let expected: Vec<f32> = texts.iter().map(|text| text.log_probs[p]).collect();
            let mut decoder = model.coca.decoder(&image).unwrap();
            let found = log_probabilities(&mut decoder, &ids).unwrap();
            assert_close(&found, &expected, 1e-4, &format!("{name}, picture {p}"));
            let found = model.coca.log_probabilities(&image, &labels).unwrap();
            let what = format!("{name}, picture {p}, from text");
            assert_close(&found, &expected[..labels.len()], 1e-4, &what);
        }
    }
}

/// The keys and values of one text, with masks written out as open_clip builds them.
struct Cache {
    ids: Vec<i64>,
    tensors: Vec<ArrayD<f32>>,
}

impl Cache {
    fn new(model: &Model) -> Self {
        let sizes = model.bundle.config().dimensions;
        let empty = ArrayD::zeros(IxDyn(&[1, 0, sizes.decoder_width]));
        let count = 2 * (sizes.unimodal_layers + sizes.multimodal_layers);
        Self { ids: Vec::new(), tensors: vec![empty; count] }
    }

    fn run(&mut self, decoder: &Graph, cross: &[ArrayD<f32>], new: &[i64]) -> Vec<f32> {
        let past = self.ids.len();
        self.ids.extend(new);
        let (rows, keys) = (new.len(), self.ids.len());
        let causal =
            Array2::from_shape_fn((rows, keys), |(s, k)| if k > past + s { -1e9 } else { 0.0 });
        let text = Array::from_shape_fn((1, rows, keys), |(_, s, k)| {
            if k > 0 && self.ids[k - 1] == 0 { -1e9_f32 } else { causal[(s, k)] }
        });
        let mut inputs: Vec<Input> = vec![
            Array2::from_shape_vec((1, rows), new.to_vec()).unwrap().into(),
            Array::from_iter((past..keys).map(|p| p as i64)).into(),
            text.into(),
            causal.into(),
        ];
        inputs.extend(self.tensors.iter().chain(cross).map(|t| t.clone().into()));
        let mut outputs = decoder.run(inputs).unwrap();
        for (tensor, rows) in self.tensors.iter_mut().zip(outputs.split_off(1)) {
            tensor.append(ndarray::Axis(1), rows.view()).unwrap();
        }
        outputs.pop().unwrap().iter().copied().collect()
    }
}

#[test]
fn sixteen_bits_change_embeddings_little_and_halve_the_weights() {
    for (name, exact) in MODELS.iter().zip(models()) {
        let model = imported(name, Storage::F16);
        for (p, expected) in model.answers.images.iter().enumerate() {
            let picture = model.coca.encode_image(model.picture(p)).unwrap();
            assert_close(&picture.embedding().view().to_vec(), expected, 5e-3, name);
        }
        let bytes = |model: &Model| {
            let files = &model.bundle.config().files;
            files
                .iter()
                .filter(|(file, _)| file.ends_with(".bin"))
                .map(|(_, entry)| entry.bytes)
                .sum::<u64>()
        };
        assert!(bytes(&model) * 10 < bytes(exact) * 6, "{} of {}", bytes(&model), bytes(exact));
    }
}
