//! Imported `CLIPModel`s answer as transformers does: `tests/golden/transformers`, made by `make.py` there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod golden;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use coca_model::Coca;
use coca_quantize::{
    import::{Options, import},
    onnx::Storage,
};
use golden::{assert_close, picture};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const MODELS: [&str; 2] = ["openai", "tinyclip"];
const OPTIONS: Options = Options { storage: Storage::F32, config: None, progress: false };

#[derive(Deserialize)]
struct Answers {
    images: Vec<Vec<f32>>,
    sentences: Vec<Sentence>,
    scores: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Sentence {
    text: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

struct Model {
    coca: Coca,
    answers: Answers,
    _folder: TempDir,
}

fn golden_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/transformers").join(name)
}

/// Both models, imported once.
fn models() -> &'static [Model] {
    static ALL: OnceLock<Vec<Model>> = OnceLock::new();
    ALL.get_or_init(|| MODELS.into_iter().map(imported).collect())
}

fn imported(name: &str) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    import(golden_folder(name).to_str().unwrap(), &out, &OPTIONS, &|_| ()).unwrap();
    let answers = fs::read(golden_folder(name).join("answers.json")).unwrap();
    let answers = serde_json::from_slice(&answers).unwrap();
    Model { coca: Coca::open(&out).unwrap(), answers, _folder: folder }
}

#[test]
fn image_embeddings_are_those_of_transformers() {
    for (model, name) in models().iter().zip(MODELS) {
        for (p, expected) in model.answers.images.iter().enumerate() {
            let image = model.coca.encode_image(picture(&model.coca, p)).unwrap();
            let what = format!("{name}, picture {p}");
            assert_close(image.embedding().as_slice(), expected, 1e-5, &what);
        }
    }
}

#[test]
fn tokens_and_text_embeddings_are_those_of_transformers() {
    for (model, name) in models().iter().zip(MODELS) {
        for Sentence { text, ids, embedding } in &model.answers.sentences {
            assert_eq!(model.coca.text_tokens(text).unwrap().as_ref(), ids, "{name}, {text:?}");
            let found = model.coca.encode_text(text).unwrap();
            assert_close(found.as_slice(), embedding, 1e-5, &format!("{name}, {text:?}"));
        }
    }
}

#[test]
fn label_scores_are_those_of_the_model_s_own_logit_scale() {
    for model in models() {
        assert!((model.coca.bundle().config().logit_scale - 20.0).abs() < 0.1);
        let texts: Vec<String> = model.answers.sentences.iter().map(|s| s.text.clone()).collect();
        golden::assert_label_scores(&model.coca, &texts, &model.answers.scores);
    }
}

#[test]
fn the_bundle_is_a_clip_with_the_checkpoint_s_own_tokenizer() {
    for model in models() {
        let config = model.coca.bundle().config();
        assert_eq!((config.architecture.as_str(), config.caption.is_none()), ("clip", true));
        assert_eq!((config.text.start_id, config.text.end_id), (598, 599));
    }
}

/// A copy of a checkpoint, to be spoilt.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    for entry in fs::read_dir(golden_folder(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join("in").join(entry.file_name())).unwrap();
    }
    folder
}

fn refusal(folder: &TempDir) -> String {
    let [checkpoint, out] = ["in", "out"].map(|name| folder.path().join(name));
    let error = import(checkpoint.to_str().unwrap(), &out, &OPTIONS, &|_| ()).unwrap_err();
    assert!(!out.exists());
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn rewrite(folder: &TempDir, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.path().join("in").join(file);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn what_frames_a_text_in_a_saved_tokenizer_changes_nothing() {
    let folder = copy("openai");
    rewrite(&folder, "tokenizer.json", |file| {
        file["truncation"] =
            json!({"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0});
        file["padding"] = json!({"strategy": {"Fixed": 14}, "direction": "Right", "pad_to_multiple_of": null,
                                 "pad_id": 599, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    });
    let [checkpoint, out] = ["in", "out"].map(|name| folder.path().join(name));
    import(checkpoint.to_str().unwrap(), &out, &OPTIONS, &|_| ()).unwrap();
    let found = Coca::open(&out).unwrap().text_tokens("an umbrella that is far too long").unwrap();
    let expected = models()[0].coca.text_tokens("an umbrella that is far too long").unwrap();
    assert_eq!(found, expected);
}

#[test]
fn pictures_are_prepared_as_clip_does_where_nothing_says_how() {
    let folder = copy("tinyclip");
    fs::remove_file(folder.path().join("in/preprocessor_config.json")).unwrap();
    let [checkpoint, out] = ["in", "out"].map(|name| folder.path().join(name));
    let config = import(checkpoint.to_str().unwrap(), &out, &OPTIONS, &|_| ()).unwrap();
    assert_eq!(config.image, models()[1].coca.bundle().config().image);
}

#[test]
fn a_checkpoint_that_is_no_clip_is_refused_by_the_key_that_tells() {
    type Spoil = fn(&mut Value);
    let cases: [(&str, Spoil, &str); 5] = [
        (
            "config.json",
            |c| c["model_type"] = json!("siglip"),
            "config.model_type: expected \"clip\" (a SigLIP is not supported), found \"siglip\"",
        ),
        (
            "config.json",
            |c| c["text_config"]["eos_token_id"] = json!(7),
            "text_config.eos_token_id: expected 599, the tokenizer's end token, found 7",
        ),
        (
            "config.json",
            |c| c["vision_config"]["hidden_act"] = json!("quick_gelu"),
            "vision_config.hidden_act: expected \"gelu\", as text_config.hidden_act, found \"quick_gelu\"",
        ),
        (
            "preprocessor_config.json",
            |c| c["size"]["shortest_edge"] = json!(40),
            "preprocessor_config.size: expected 35, the image size of the configuration, found {\"shortest_edge\":40}",
        ),
        (
            "tokenizer.json",
            |c| c["added_tokens"][1]["id"] = json!(600),
            "expected a token <|endoftext|> below 600, the configuration's vocab_size, found 600",
        ),
    ];
    for (file, spoil, expected) in cases {
        let folder = copy("tinyclip");
        rewrite(&folder, file, spoil);
        assert_eq!(refusal(&folder), format!("in/{file}: {expected}"));
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    for (file, expected) in [
        ("config.json", "open_clip_config.json or config.json"),
        ("tokenizer.json", "tokenizer.json"),
        ("pytorch_model.bin", "model.safetensors or pytorch_model.bin"),
    ] {
        let folder = copy("tinyclip");
        fs::remove_file(folder.path().join("in").join(file)).unwrap();
        assert_eq!(refusal(&folder), format!("in: expected a folder with {expected} in it"));
    }
}

#[test]
fn a_tensor_that_is_missing_is_named_as_transformers_names_it() {
    let folder = copy("tinyclip");
    rewrite(&folder, "config.json", |c| c["text_config"]["num_hidden_layers"] = json!(2));
    let error = refusal(&folder);
    let expected = "in/pytorch_model.bin: the checkpoint has no text_model.encoder.layers.1.self_attn.q_proj.weight, \
                    which this architecture needs";
    assert!(error.starts_with(expected), "{error}");
}
