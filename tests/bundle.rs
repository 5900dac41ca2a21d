//! What becomes of a model that is damaged, incomplete or not a model at all: one clear sentence.
#![cfg(feature = "pocket")]
#![allow(clippy::unwrap_used, missing_docs)]

mod replaced_file;

use std::path::{Path, PathBuf};

use coca_edge::{
    Bundle, Coca, Engine, Error,
    bundle::{self, MemoryHint},
    engine::Arithmetic,
    vision::{self, Detail, Limits},
};
use proptest::prelude::*;
use replaced_file::replace;

const FILES: [&str; 9] = [
    "coca.json",
    "tokenizer.json",
    "image_encoder.onnx",
    "text_encoder.onnx",
    "cross_kv.onnx",
    "caption_decoder.onnx",
    "vision.bin",
    "text.bin",
    "decoder.bin",
];

fn pocket() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        std::fs::copy(pocket().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn cat() -> vision::Image<'static> {
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/photos/cat.jpg");
    vision::open(photo, &Limits::default(), Detail::Full).unwrap()
}

/// Everything that a model can be asked for.
fn use_all(folder: &Path) -> Result<(), Error> {
    let coca = Coca::open(folder)?;
    let picture = coca.encode_image(cat())?;
    coca.labels(["cat"])?.classify(&picture, 1)?;
    coca.caption(&picture, &Default::default())?;
    Ok(())
}

fn failure(folder: &Path) -> String {
    let sentence = use_all(folder).unwrap_err().to_string();
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

#[test]
fn embedded_model_has_the_fingerprint_of_its_folder() {
    let (folder, embedded) = (Coca::open(pocket()).unwrap(), Coca::pocket().unwrap());
    assert_eq!(folder.bundle().config(), embedded.bundle().config());
    assert_eq!(folder.bundle().fingerprint(), embedded.bundle().fingerprint());
}

#[test]
fn names_a_missing_file() {
    for file in FILES {
        let folder = copy();
        std::fs::remove_file(folder.path().join(file)).unwrap();
        assert!(failure(folder.path()).contains(file), "{}", failure(folder.path()));
    }
}

#[test]
fn names_a_truncated_file_with_both_lengths() {
    for file in &FILES[1..] {
        let folder = copy();
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        std::fs::write(folder.path().join(file), &bytes[..bytes.len() / 2]).unwrap();
        let sentence = failure(folder.path());
        for expected in [*file, &bytes.len().to_string(), &(bytes.len() / 2).to_string()] {
            assert!(sentence.contains(expected), "{sentence}");
        }
    }
}

#[test]
fn names_an_altered_file_with_both_checksums() {
    for file in &FILES[1..] {
        let folder = copy();
        let mut bytes = std::fs::read(folder.path().join(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(folder.path().join(file), &bytes).unwrap();
        let sentence = failure(folder.path());
        assert!(sentence.contains(file) && sentence.contains("SHA-256"), "{sentence}");
    }
}

#[test]
fn refuses_a_json_file_that_is_too_large_to_be_parsed_whole() {
    let large = vec![b' '; (16 << 20) + 1];
    let folder = copy();
    replace(folder.path(), "tokenizer.json", &large);
    let coca = Coca::open(folder.path()).unwrap();
    let expected = "tokenizer.json: expected at most 16777216 bytes, found 16777217";
    let sentence = coca.labels(["cat"]).unwrap_err().to_string();
    assert!(sentence.ends_with(expected), "{sentence}");
    std::fs::write(folder.path().join("coca.json"), large).unwrap();
    let expected = "coca.json: expected at most 16777216 bytes, found 16777217";
    assert!(failure(folder.path()).ends_with(expected), "{}", failure(folder.path()));
}

#[test]
fn names_a_misplaced_part_and_the_input_it_expected() {
    let folder = copy();
    let foreign = std::fs::read(folder.path().join("text_encoder.onnx")).unwrap();
    replace(folder.path(), "image_encoder.onnx", &foreign);
    let sentence = failure(folder.path());
    assert!(
        sentence.contains("image_encoder.onnx") && sentence.contains("pixel_values"),
        "{sentence}"
    );
}

/// Overwrites a file where it is, as a copy over a running model does.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_file_that_is_overwritten_after_its_check_keeps_the_checked_bytes() {
    let folder = copy();
    let path = folder.path().join("tokenizer.json");
    let checked = Bundle::open(folder.path()).unwrap().read("tokenizer.json", "test").unwrap();
    let before = std::fs::read(&path).unwrap();
    overwrite(&path, &vec![b'x'; before.len()]);
    assert!((*checked).as_ref() == before);
}

#[test]
fn a_file_that_is_overwritten_between_two_reads_is_refused() {
    let folder = copy();
    let bundle = Bundle::open(folder.path()).unwrap();
    bundle.read("tokenizer.json", "test").unwrap();
    overwrite(&folder.path().join("tokenizer.json"), b"x");
    let error = bundle.read("tokenizer.json", "test").err().expect("an error").to_string();
    assert!(error.contains("tokenizer.json: expected SHA-256"), "{error}");
}

#[test]
fn labels_need_no_decoder_and_no_text_encoder() {
    let folder = copy();
    let coca = Coca::open(folder.path()).unwrap();
    let table = folder.path().join("labels.table");
    coca.labels(["cat", "dog"]).unwrap().save(&table).unwrap();
    for file in ["text_encoder.onnx", "caption_decoder.onnx", "text.bin", "decoder.bin"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let coca = Coca::open(folder.path()).unwrap();
    let picture = coca.encode_image(cat()).unwrap();
    let best = coca.load_labels(&table).unwrap().classify(&picture, 1).unwrap();
    assert_eq!(best[0].label, "cat");
}

#[test]
fn rejects_a_bundle_of_another_format_version() {
    let folder = copy();
    std::fs::write(folder.path().join("coca.json"), r#"{"format": 2, "new": true}"#).unwrap();
    let sentence = failure(folder.path());
    assert!(sentence.contains("format: expected 1, found 2"), "{sentence}");
}

#[test]
fn rejects_files_outside_of_its_folder() {
    for name in ["../secret", "/etc/hostname", "folder/secret", ".."] {
        let folder = copy();
        let path = folder.path().join("coca.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["files"][name] = config["files"]["text.bin"].clone();
        std::fs::write(&path, config.to_string()).unwrap();
        let sentence = failure(folder.path());
        assert!(sentence.contains("plain file names") && sentence.contains(name), "{sentence}");
    }
}

#[test]
fn labels_with_a_model_without_decoder_and_rejects_captions() {
    let folder = copy();
    let path = folder.path().join("coca.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("caption");
    for file in ["cross_kv.onnx", "caption_decoder.onnx", "decoder.bin"] {
        config["files"].as_object_mut().unwrap().remove(file);
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    std::fs::write(&path, config.to_string()).unwrap();
    assert!(failure(folder.path()).contains("cannot caption"), "{}", failure(folder.path()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_coca_json_ends_in_a_model_or_an_error(at in 0_usize..4000, value: u8, cut in 0_usize..8000) {
        let mut bytes = std::fs::read(pocket().join("coca.json")).unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(cut.max(at + 1));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("coca.json"), &bytes).unwrap();
        let _ = Coca::open(folder.path());
    }

    #[test]
    fn any_bytes_in_the_place_of_a_part_end_in_an_error(noise: Vec<u8>, cut in 0_usize..4000) {
        let folder = copy();
        let mut bytes = std::fs::read(folder.path().join("image_encoder.onnx")).unwrap();
        let cut = cut % bytes.len();
        bytes.truncate(cut);
        bytes.extend(noise);
        replace(folder.path(), "image_encoder.onnx", &bytes);
        prop_assert!(use_all(folder.path()).is_err());
    }
}

#[test]
fn rejects_int8_for_an_f32_model() {
    let folder = copy();
    let json = folder.path().join("coca.json");
    let text = std::fs::read_to_string(&json).unwrap();
    std::fs::write(&json, text.replace("\"precision\":\"int8\"", "\"precision\":\"f32\"")).unwrap();
    let bundle = Bundle::open(folder.path()).unwrap();
    assert_eq!(bundle.arithmetic(), Arithmetic::F32);
    let sentence = bundle.compute_in(Arithmetic::Int8).unwrap_err().to_string();
    assert!(sentence.contains("expected int8 weights, found f32"), "{sentence}");
}

/// The folder without any weights, on a machine with so many bytes of free memory.
fn with_memory(folder: &Path, bytes: u64) -> Coca {
    for file in ["vision.bin", "text.bin", "decoder.bin"] {
        std::fs::remove_file(folder.join(file)).ok();
    }
    let bundle = Bundle::open(folder).unwrap().with_available_memory(bytes);
    Coca::new(bundle, &Engine::new().unwrap()).unwrap()
}

fn hints(error: &Error) -> Vec<MemoryHint> {
    match error {
        Error::Model(bundle::Error::TooLittleMemory { hints, .. }) => hints.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn rejects_a_part_larger_than_memory_before_reading_its_weights() {
    let folder = copy();
    let coca = with_memory(folder.path(), 1_000_000);
    for (error, needed_for) in [
        (coca.encode_image(cat()).map(drop), "encoding pictures"),
        (coca.labels(["cat"]).map(drop), "encoding texts"),
        (coca.check_memory_for_captions(), "captions"),
    ] {
        let error = error.unwrap_err();
        let (sentence, hints) = (error.to_string(), hints(&error));
        assert!(sentence.starts_with(&folder.path().display().to_string()), "{sentence}");
        for part in [needed_for, "MB are needed, 1 MB are free"] {
            assert!(sentence.contains(part), "{sentence}: no {part:?}");
        }
        assert!(hints.contains(&MemoryHint::SmallerModel), "{hints:?}");
        assert!(hints.contains(&MemoryHint::EmbeddedModel), "{hints:?}");
    }
}

#[test]
fn rejects_captions_when_parts_fit_in_memory_only_one_by_one() {
    let folder = copy();
    let coca = with_memory(folder.path(), 10_000_000);
    let missing = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert!(missing(coca.encode_image(cat()).map(drop)).contains("vision.bin: missing"));
    let error = coca.check_memory_for_captions().unwrap_err();
    assert!(error.to_string().contains("10 MB are free"), "{error}");
    assert!(hints(&error).contains(&MemoryHint::LabelsOnly));
}

#[test]
fn computing_in_f32_needs_four_times_the_memory_of_int8() {
    let needed = |arithmetic| {
        let bundle = Bundle::open(pocket()).unwrap().with_available_memory(0);
        let bundle = bundle.compute_in(arithmetic).unwrap();
        match bundle.load_image_encoder(&Engine::new().unwrap()) {
            Err(bundle::Error::TooLittleMemory { needed, hints, .. }) => (needed as f64, hints),
            _ => panic!("not refused"),
        }
    };
    let ((int8, _), (f32, hints)) = (needed(Arithmetic::Int8), needed(Arithmetic::F32));
    assert!((2.0..=4.2).contains(&(f32 / int8)), "{f32} and {int8}");
    assert_eq!(hints[0], MemoryHint::ComputeInInt8);
}
