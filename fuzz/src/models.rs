//! Whole models, opened and used, and label tables.

use std::{cell::RefCell, collections::BTreeMap, error::Error, fs, path::Path, sync::LazyLock};

use coca_model::{
    CaptionOptions, Coca, Embedding, Labels, Teacher, bundle::Fingerprint, tasks::Method,
};
use image::RgbImage;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

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
    Target {
        name: "taught_table",
        run: taught_table,
        seeds: taught_tables,
        words: &[
            "\\\"label\\\":7",
            "\\\"method\\\":\\\"tip\\\"",
            "\\\"uses_names\\\":false",
            "\\\"classifier\\\":\\\"names\\\"",
            "\\\"weight\\\":1e38",
            "\\\"deviation\\\":1e-38",
            "\\\"none\\\":null",
            "\"shape\":[0,8]",
            "\0\0\u{1}\0",
            "\0\0\0\0",
        ],
        memory: 128 << 20,
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

/// A folder with the files of one input after the other.
struct InputFolder {
    root: TempDir,
    /// Content and SHA-256 of the files but coca.json: most inputs change few of them.
    files: [Option<(Vec<u8>, String)>; FILES.len()],
}

thread_local! {
    static FOLDER: RefCell<Option<InputFolder>> = const { RefCell::new(None) };
}

/// Writes the files of an input to a folder and makes coca.json agree with them, as whoever can change a model does.
fn in_folder(
    bytes: &[u8],
    work: impl FnOnce(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    FOLDER.with_borrow_mut(|folder| {
        let folder = match folder {
            Some(folder) => folder,
            None => folder.insert(InputFolder { root: TempDir::new()?, files: Default::default() }),
        };
        folder.write(bytes)?;
        work(folder.root.path())
    })
}

impl InputFolder {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut files: [Option<Vec<u8>>; FILES.len()] = unpack(bytes);
        let config = files[0].take().unwrap_or_default();
        let mut entries = serde_json::Map::new();
        for ((name, file), written) in FILES.iter().zip(files).zip(&mut self.files) {
            let path = self.root.path().join(name);
            let Some(file) = file else {
                if written.take().is_some() {
                    fs::remove_file(path)?;
                }
                continue;
            };
            let written = match written {
                Some(written) if written.0 == file => written,
                _ => {
                    fs::write(path, &file)?;
                    let sha256 = Sha256::digest(&file).iter().map(|b| format!("{b:02x}")).collect();
                    written.insert((file, sha256))
                }
            };
            let entry = json!({ "bytes": written.0.len(), "sha256": written.1 });
            entries.insert((*name).to_owned(), entry);
        }
        Ok(fs::write(self.root.path().join(FILES[0]), with_entries(config, entries))?)
    }
}

/// A coca.json that says `entries` of the model's files; as it is, if it is no JSON.
fn with_entries(config: Vec<u8>, entries: serde_json::Map<String, Value>) -> Vec<u8> {
    match serde_json::from_slice::<Value>(&config) {
        Ok(Value::Object(mut config)) => {
            config.insert("files".to_owned(), entries.into());
            Value::Object(config).to_string().into_bytes()
        }
        _ => config,
    }
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
    let coca = small_model();
    let (model, width) = (coca.bundle().fingerprint(), coca.bundle().config().dimensions.embedding);
    let mut teacher = Teacher::new(coca, coca.labels(["cat", "dog"])?);
    for (number, label) in ["cat", "cat", "dog", "dog"].into_iter().enumerate() {
        let embedding = made_up_embedding(number, width, model).ok_or("a zero")?;
        teacher.add(label, format!("{number}.jpg"), embedding)?;
    }
    let methods = [Method::Gda, Method::Tip, Method::Prototype];
    let mut tables = vec![coca.labels(["cat", "ein \"Hund\""])?];
    for method in methods {
        tables.push(teacher.fit(method)?.0);
    }
    let file = tempfile::NamedTempFile::new()?;
    let mut files = Vec::new();
    for table in tables {
        table.save(file.path())?;
        let text = |model: Fingerprint| model.to_string().into_bytes();
        files.push(replaced(&fs::read(file.path())?, &text(model), &text(MODEL)));
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

/// The small model, with its tokenizer and text encoder loaded: its files are gone.
static SMALL_MODEL: LazyLock<Option<Coca>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().ok()?;
    for (name, bytes) in &small_models().ok()?[0] {
        fs::write(folder.path().join(name), bytes).ok()?;
    }
    let coca = Coca::open_with(folder.path(), engine()).ok()?;
    coca.encode_text("cat").ok()?;
    Some(coca)
});

fn small_model() -> &'static Coca {
    match &*SMALL_MODEL {
        Some(coca) => coca,
        None => panic!("the small model cannot be made"),
    }
}

/// Tables that pictures of two labels and of none of them taught, by each method.
fn taught_tables() -> Seeds {
    let coca = small_model();
    let (model, width) = (coca.bundle().fingerprint(), coca.bundle().config().dimensions.embedding);
    let mut teacher = Teacher::new(coca, coca.labels(["cat", "dog"])?);
    for (number, label) in ["cat", "dog", "cat", "dog", "cat", "none"].into_iter().enumerate() {
        let embedding = made_up_embedding(number, width, model).ok_or("a zero")?;
        match label {
            "none" => teacher.add_none(label, "none.jpg", embedding)?,
            label => teacher.add(label, format!("{number}.jpg"), embedding)?,
        }
    }
    let file = tempfile::NamedTempFile::new()?;
    let mut tables = Vec::new();
    for method in [Method::Gda, Method::Tip, Method::Prototype] {
        teacher.fit(method)?.0.save(file.path())?;
        tables.push(fs::read(file.path())?);
    }
    Ok(tables)
}

/// Reads a table, labels with it, and teaches it one more picture.
fn taught_table(bytes: &[u8]) {
    let coca = small_model();
    let (model, width) = (coca.bundle().fingerprint(), coca.bundle().config().dimensions.embedding);
    let Some(embedding) = made_up_embedding(1, width, model) else { return };
    with_file(&with_right_checksum(bytes), |path| {
        let Ok(labels) = coca.load_labels(path) else { return };
        let names = labels.names().to_vec();
        let _ = labels.pictures();
        if let Ok(scores) = labels.scores(&embedding) {
            assert_eq!(scores.len(), names.len());
            assert!(scores.iter().all(|score| score.is_finite()));
        }
        let mut teacher = Teacher::new(coca, labels);
        let Some(label) = teacher.names().first().cloned() else { return };
        let _ = teacher.add(&label, "new.jpg", &embedding);
        if let Ok((labels, report)) = teacher.fit(Method::Auto) {
            let _ = (labels.scores(&embedding), labels.save(path), report);
        }
        if let Some(last) = names.last() {
            let _ = teacher.remove(last).and_then(|()| teacher.fit(Method::Prototype));
        }
    });
}

/// A table whose metadata state the SHA-256 that its tensors have, as whoever can change a table makes it.
fn with_right_checksum(bytes: &[u8]) -> Vec<u8> {
    let stated = SafeTensors::read_metadata(bytes)
        .ok()
        .and_then(|(_, header)| header.metadata().as_ref()?.get("sha256").cloned());
    let (Some(stated), Ok(tensors)) = (stated, SafeTensors::deserialize(bytes)) else {
        return bytes.to_vec();
    };
    let by_name: BTreeMap<_, _> = tensors.iter().collect();
    let mut hash = Sha256::new();
    by_name.values().for_each(|tensor| hash.update(tensor.data()));
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match stated.len() == found.len() {
        true => replaced(bytes, stated.as_bytes(), found.as_bytes()),
        false => bytes.to_vec(),
    }
}
