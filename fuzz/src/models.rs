//! Whole models, opened and used, and label tables.

use std::{error::Error, fs, path::Path};

use coca_model::{
    CaptionOptions, Coca, Embedding, Labels, Teacher, bundle::Fingerprint, tasks::Method,
};
use image::RgbImage;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Seeds, Target,
    graphs::engine,
    packed::{Part, pack, unpack},
    scratch::with_file,
    small_model::{Files, made_up_embedding, small_models},
};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "model",
        run: |bytes| drop(in_folder(bytes, model)),
        seeds: models,
        words: &[
            "null",
            "-1",
            "1e99",
            "\"bytes\":0",
            "MatMul",
            "Gather",
            "axis",
            "{}",
            "\"merges\":[]",
        ],
        memory: 400 << 20,
        is_slow: true,
    },
    Target {
        name: "label_table",
        run: label_table,
        seeds: label_tables,
        words: &[
            "coca-labels-1",
            "coca-labels-2",
            "coca-labels-3",
            "\"dtype\":\"F16\"",
            "\"shape\":[0,0]",
            "\"shape\":[]",
            "\\\"label\\\":",
            "\\\"method\\\":",
            "cache",
            "linear",
            "names",
            "null",
            "1e99",
            "[]",
            "{}",
        ],
        memory: 64 << 20,
        is_slow: false,
    },
];

/// Files of a model, in the order of their indices in an input.
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
/// Bytes of weights that a seed states.
const WEIGHT_BYTES: usize = 256;

fn models() -> Seeds {
    let packed = |files: &Files| {
        let parts = FILES.iter().zip(0..).filter_map(|(name, index)| {
            let bytes = files.get(*name)?.as_slice();
            let stated = if name.ends_with(".bin") { &bytes[..WEIGHT_BYTES] } else { bytes };
            Some(Part { index, bytes: stated, length: bytes.len() as u32 })
        });
        pack(parts)
    };
    Ok(small_models()?.iter().map(packed).collect())
}

/// Writes the files of an input to a folder and makes coca.json agree with them, as whoever can change a model does.
fn in_folder(
    bytes: &[u8],
    work: impl FnOnce(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut files: [Option<Vec<u8>>; 9] = unpack(bytes);
    let config = files[0].take().unwrap_or_default();
    let mut entries = serde_json::Map::new();
    for (name, file) in FILES.iter().zip(&files) {
        let Some(file) = file else { continue };
        fs::write(folder.path().join(name), file)?;
        let sha256: String = Sha256::digest(file).iter().map(|b| format!("{b:02x}")).collect();
        entries.insert((*name).to_owned(), json!({ "bytes": file.len(), "sha256": sha256 }));
    }
    let config = match serde_json::from_slice::<Value>(&config) {
        Ok(Value::Object(mut config)) => {
            config.insert("files".to_owned(), entries.into());
            Value::Object(config).to_string().into_bytes()
        }
        _ => config,
    };
    fs::write(folder.path().join("coca.json"), config)?;
    work(folder.path())
}

/// Labels and a caption.
fn model(folder: &Path) -> Result<(), Box<dyn Error>> {
    const MAX_SIDE: u32 = 256;
    let coca = Coca::open_with(folder, engine())?;
    let config = coca.bundle().config();
    if config.image.width.max(config.image.height) > MAX_SIDE {
        return Ok(());
    }
    let image = coca.encode_image(RgbImage::from_pixel(8, 8, image::Rgb([200, 100, 0])));
    let labels = coca.labels(["cat", "a red fox"]);
    let image = image?;
    if let Ok(labels) = labels {
        let _ = labels.classify(&image, 2);
    }
    let options =
        CaptionOptions { beams: Some(2), max_tokens: Some(6), ..CaptionOptions::default() };
    coca.caption(&image, &options)?;
    Ok(())
}

/// The model of the tables.
const MODEL: Fingerprint = Fingerprint([7; 32]);

fn label_tables() -> Seeds {
    let folder = tempfile::tempdir()?;
    let [small, _] = small_models()?;
    for (name, bytes) in &small {
        fs::write(folder.path().join(name), bytes)?;
    }
    let coca = Coca::open_with(folder.path(), engine())?;
    let model = coca.bundle().fingerprint();
    let mut teacher = Teacher::new(&coca, coca.labels(["cat", "dog"])?);
    let width = coca.bundle().config().dimensions.embedding;
    for (number, label) in ["cat", "cat", "dog", "dog"].into_iter().enumerate() {
        let embedding = made_up_embedding(number, width, model).ok_or("a zero")?;
        teacher.add(label, format!("{number}.jpg"), embedding)?;
    }
    let methods = [Method::Gda, Method::Tip, Method::Prototype];
    let mut tables = vec![coca.labels(["cat", "ein \"Hund\""])?];
    for method in methods {
        tables.push(teacher.fit(method)?.0);
    }
    let path = folder.path().join("labels.table");
    let mut files = Vec::new();
    for table in tables {
        table.save(&path)?;
        let text = |model: Fingerprint| model.to_string().into_bytes();
        files.push(replaced(&fs::read(&path)?, &text(model), &text(MODEL)));
    }
    Ok(files)
}

/// `bytes` with what they hold of `from` replaced by as many bytes.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + from.len()].copy_from_slice(to);
    }
    bytes
}

fn label_table(bytes: &[u8]) {
    with_file(bytes, |path| {
        let Ok(labels) = Labels::load(path, MODEL, 100.0) else { return };
        let names = labels.names().len();
        let elements = vec![1.0; labels.embeddings().ncols()];
        let Some(embedding) = Embedding::from_elements(elements, MODEL) else { return };
        if let Ok(scores) = labels.scores(&embedding) {
            assert_eq!(scores.len(), names);
        }
        let _ = labels.save(path);
    });
}
