//! A whole model with small random weights, the checkpoint `tests/golden/open_clip/plain`, imported; and embeddings as one makes them.

use std::{collections::BTreeMap, error::Error, fs};

use coca_model::{Embedding, bundle::Fingerprint};
use coca_quantize::{
    import::{self, import},
    int8::{self, int8},
    onnx::Storage,
};

use crate::scratch::repository;

/// The files of a bundle, by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// An embedding of so many elements without a pattern, as a model with this fingerprint might make it of picture `number`.
pub(crate) fn made_up_embedding(
    number: usize,
    width: usize,
    model: Fingerprint,
) -> Option<Embedding> {
    let elements = (0..width).map(|i| ((i * 7 + number) % 5) as f32 - 1.5).collect();
    Embedding::from_elements(elements, model)
}

/// The model in f32, and the same with 8-bit weights.
pub(crate) fn small_models() -> Result<[Files; 2], Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (f32, quantized) = (folder.path().join("f32"), folder.path().join("int8"));
    let checkpoint = repository("tests/golden/open_clip/plain");
    let options = import::Options { storage: Storage::F32, config: None, progress: false };
    import(&checkpoint.to_string_lossy(), &f32, &options, &|_| ())?;
    int8(&f32, &quantized, &int8::Options::default(), &|_| ())?;
    let read = |folder| -> Result<Files, Box<dyn Error>> {
        let mut files = Files::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
        }
        Ok(files)
    };
    Ok([read(f32)?, read(quantized)?])
}
