//! `coca-quantize compare` on the small model: against itself, against a damaged copy, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../tests/replaced_file/mod.rs"]
mod replaced_file;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use coca_quantize::{import, int8, onnx::Storage};
use prost::Message;
use replaced_file::replace;
use serde_json::{Value, json};
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;

/// A convolution in the middle of the image encoder, inside a residual branch.
const DAMAGED: &str = "trunk.blocks.10.expand.weight";

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A copy of the small model, to be spoilt.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(in_repository("models/pocket")).unwrap() {
            let path = entry.unwrap().path();
            // The folder is a crate as well.
            if path.is_dir() {
                continue;
            }
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn config(self, spoil: impl FnOnce(&mut Value)) -> Self {
        let path = self.path().join("coca.json");
        let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        spoil(&mut config);
        fs::write(path, config.to_string()).unwrap();
        self
    }

    /// Overwrites a file; its entry in coca.json is right again.
    fn file(self, name: &str, bytes: &[u8]) -> Self {
        replace(self.path(), name, bytes);
        self
    }

    /// Adds noise to the stored integers of one weight of the image encoder.
    fn with_noise_in(self, weight: &str) -> Self {
        let graph = fs::read(self.path().join("image_encoder.onnx")).unwrap();
        let graph = ModelProto::decode(&graph[..]).unwrap().graph.unwrap();
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == weight).unwrap();
        let entry =
            |key: &str| &tensor.external_data.iter().find(|entry| entry.key == key).unwrap().value;
        let (offset, length) =
            (entry("offset").parse::<usize>().unwrap(), entry("length").parse::<usize>().unwrap());
        let name = entry("location").clone();
        let mut bytes = fs::read(self.path().join(&name)).unwrap();
        for (i, byte) in bytes[offset..offset + length].iter_mut().enumerate() {
            let noise = (i.wrapping_mul(7919) % 61) as i8 - 30;
            *byte = (*byte as i8).saturating_add(noise) as u8;
        }
        self.file(&name, &bytes)
    }
}

static DAMAGED_COPY: LazyLock<Copy> = LazyLock::new(|| Copy::new().with_noise_in(DAMAGED));

fn compare(a: &Path, b: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coca-quantize"))
        .arg("compare")
        .args([a, b])
        .args(more)
        .output()
        .unwrap()
}

/// On the photos, as JSON.
fn report(a: &Path, b: &Path) -> Value {
    let images = in_repository("tests/photos");
    let output = compare(a, b, &["--images", images.to_str().unwrap(), "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", sentence(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sentence(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap().trim_end()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_model_agrees_with_itself_in_everything() {
    let pocket = in_repository("models/pocket");
    let found = report(&pocket, &pocket);
    assert_eq!(found["pictures"], 4);
    for embedding in ["image_embedding", "text_embedding"] {
        assert!((number(&found[embedding]["worst"]) - 1.0).abs() < 1e-6, "{found}");
    }
    assert_eq!(found["labels"]["top1_agreement"], 1.0);
    assert_eq!(found["labels"]["largest_score_difference"], 0.0);
    assert_eq!(
        (&found["captions"]["identical"], &found["captions"]["token_f1"]),
        (&json!(1.0), &json!(1.0))
    );
    assert_eq!(found["layers"]["unmatched"], json!([]));
    let layers = found["layers"]["worst"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["snr_db"].is_null()), "{found}");
    let parts: BTreeSet<_> = layers.iter().map(|layer| layer["part"].as_str().unwrap()).collect();
    let all = ["caption_decoder.onnx", "cross_kv.onnx", "image_encoder.onnx", "text_encoder.onnx"];
    assert_eq!(parts, BTreeSet::from(all));
}

#[test]
fn a_clip_and_its_int8_form_are_compared_in_everything_but_captions() {
    let folder = tempfile::tempdir().unwrap();
    let [clip, rounded] = ["clip", "int8"].map(|name| folder.path().join(name));
    let checkpoint = in_repository("tests/golden/open_clip/clip-32");
    let options = import::Options { storage: Storage::F32, config: None, progress: false };
    import::import(checkpoint.to_str().unwrap(), &clip, &options, &|_| ()).unwrap();
    int8::int8(&clip, &rounded, &int8::Options::default(), &|_| ()).unwrap();
    let report = report(&clip, &rounded);
    assert_eq!(report["captions"], Value::Null);
    assert!(number(&report["image_embedding"]["mean"]) > 0.999, "{report}");
}

#[test]
fn a_damaged_layer_lowers_the_figures_and_is_named_as_the_worst() {
    let found = report(&in_repository("models/pocket"), DAMAGED_COPY.path());
    assert!(number(&found["image_embedding"]["mean"]) < 0.99, "{found}");
    assert!(number(&found["labels"]["largest_score_difference"]) > 0.01, "{found}");
    assert!((number(&found["text_embedding"]["worst"]) - 1.0).abs() < 1e-6, "{found}");
    let worst = &found["layers"]["worst"][0];
    assert_eq!((&worst["part"], &worst["layer"]), (&json!("image_encoder.onnx"), &json!(DAMAGED)));
    assert!(number(&worst["snr_db"]) < 30.0, "{worst}");
    assert_eq!(worst["input_snr_db"], Value::Null, "nothing before it is damaged");
}

#[test]
fn the_keys_of_the_json_are_those_that_programs_rely_on() {
    let found = report(&in_repository("models/pocket"), DAMAGED_COPY.path());
    let top = [
        "a",
        "b",
        "captions",
        "failed",
        "image_embedding",
        "labels",
        "layers",
        "pictures",
        "speed",
        "text_embedding",
    ];
    assert_eq!(keys(&found), BTreeSet::from(top));
    assert_eq!(keys(&found["a"]), BTreeSet::from(["bytes", "files", "name", "path", "precision"]));
    assert_eq!(keys(&found["image_embedding"]), BTreeSet::from(["mean", "worst", "worst_name"]));
    let labels =
        ["count", "largest_score_difference", "largest_score_difference_source", "top1_agreement"];
    assert_eq!(keys(&found["labels"]), BTreeSet::from(labels));
    assert_eq!(keys(&found["captions"]), BTreeSet::from(["differing", "identical", "token_f1"]));
    assert_eq!(
        keys(&found["layers"]),
        BTreeSet::from(["compared", "pictures", "unmatched", "worst"])
    );
    assert_eq!(keys(&found["speed"]), BTreeSet::from(["caption", "image", "threads"]));
    assert_eq!(keys(&found["speed"]["image"]), BTreeSet::from(["a_ms", "b_ms", "ratio", "runs"]));
    assert!(number(&found["speed"]["caption"]["runs"]) >= 5.0);
}

#[test]
fn a_broken_picture_is_reported_and_the_others_count() {
    let images = tempfile::tempdir().unwrap();
    fs::copy(in_repository("tests/photos/cat.jpg"), images.path().join("cat.jpg")).unwrap();
    fs::write(images.path().join("broken.png"), "no picture").unwrap();
    let pocket = in_repository("models/pocket");
    let labels = images.path().join("labels.txt");
    fs::write(&labels, "cat\n\ndog\ncat\nDOG\n").unwrap();
    let output = compare(
        &pocket,
        &pocket,
        &["--images", images.path().to_str().unwrap(), "--labels-file", labels.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(1));
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert!(text.contains("pictures         1, 1 could not be read"), "{text}");
    assert!(text.contains("labels           of 2, best one the same for 100.0 %"), "{text}");
    assert!(text.contains("DOG is left out: the same to the models as dog"), "{text}");
    assert!(text.contains("verdict          B may take A's place"), "{text}");
    assert!(sentence(&output).contains("broken.png"), "{}", sentence(&output));
}

#[test]
fn models_that_do_not_fit_together_are_refused_in_one_sentence() {
    let pocket = in_repository("models/pocket");
    let narrow = Copy::new().config(|config| config["dimensions"]["embedding"] = json!(128));
    let tokenizer = Copy::new().file("tokenizer.json", b"{}");
    let larger = Copy::new().config(|config| config["image"]["width"] = json!(256));
    for (other, what) in [
        (narrow, "numbers in an embedding: expected 256, found 128"),
        (tokenizer, "the tokenizer"),
        (larger, "how a picture becomes pixels"),
    ] {
        let images = in_repository("tests/photos");
        let output = compare(&pocket, other.path(), &["--images", images.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let sentence = sentence(&output);
        assert!(sentence.contains(what), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}

#[test]
fn an_empty_folder_and_a_folder_without_a_model_are_refused() {
    let pocket = in_repository("models/pocket");
    let empty = tempfile::tempdir().unwrap();
    let images = empty.path().to_str().unwrap();
    let output = compare(&pocket, &pocket, &["--images", images]);
    assert_eq!(output.status.code(), Some(1));
    assert!(sentence(&output).contains("no picture in this folder"), "{}", sentence(&output));
    let output = compare(&pocket, empty.path(), &["--images", images]);
    assert_eq!(output.status.code(), Some(1));
    assert!(sentence(&output).contains("not a model"), "{}", sentence(&output));
}

#[test]
fn an_empty_list_of_labels_and_missing_arguments_are_wrong_usage() {
    let pocket = in_repository("models/pocket");
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "\n \n").unwrap();
    let images = in_repository("tests/photos");
    let more = ["--images", images.to_str().unwrap(), "--labels-file", labels.to_str().unwrap()];
    let output = compare(&pocket, &pocket, &more);
    assert_eq!(output.status.code(), Some(2));
    assert!(sentence(&output).contains("expected one label a line"), "{}", sentence(&output));
    assert_eq!(compare(&pocket, &pocket, &[]).status.code(), Some(2));
}
