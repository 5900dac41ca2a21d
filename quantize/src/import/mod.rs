//! `coca-quantize import`: an open_clip checkpoint becomes a bundle.

mod error;
mod hub;
mod source;

use std::path::Path;

use coca_model::{
    bundle::{Config, Dimensions, FORMAT, Precision},
    generate::CaptionSettings,
};
use coca_text::{Cleaning, TextSpec};
pub use error::Error;
use source::Source;

use crate::{
    bundle_writer::BundleWriter,
    checkpoint::Checkpoint,
    onnx::{self, Storage, TextTower, WeightFile},
    open_clip::{Architecture, CoCaWeights},
    vocabulary,
};

/// How a checkpoint is imported.
#[derive(Debug, Clone)]
pub struct Options {
    /// What matrices are stored as.
    pub storage: Storage,
    /// Takes the place of the checkpoint's own configuration: a name open_clip knows, or a file.
    pub config: Option<String>,
    /// Whether downloads draw a progress bar.
    pub progress: bool,
}

/// Turns `checkpoint`, a folder, a weights file or a hub id, into the bundle `out`; `step` hears what is being written.
///
/// # Errors
/// When the checkpoint is not found, broken, or of another family, or the bundle cannot be written. Nothing is left
/// behind then.
pub fn import(
    checkpoint: &str,
    out: &Path,
    options: &Options,
    step: &dyn Fn(&str),
) -> Result<Config, Error> {
    let source = Source::find(checkpoint, options.config.as_deref(), options.progress)?;
    let architecture = &source.config.architecture;
    let weights = CoCaWeights::take(Checkpoint::open(&source.weights)?, architecture)?;
    let mut bundle = BundleWriter::create(out)?;
    write_parts(&mut bundle, &weights, architecture, options.storage, step)?;
    step("tokenizer.json");
    let entries = architecture.text.vocabulary.min(CLIP_VOCABULARY);
    let tokenizer = vocabulary::first_entries_tokenizer_json(entries)
        .map_err(|e| Error::Tokenizer { reason: e.to_string() })?;
    bundle.add_bytes("tokenizer.json", &tokenizer)?;
    let config = describe(&source, options.storage);
    Ok(bundle.finish(config)?)
}

/// Tokens of the vocabulary that every CoCa of open_clip reads and writes, the start and end token last.
const CLIP_VOCABULARY: usize = 49408;

fn write_parts(
    bundle: &mut BundleWriter,
    weights: &CoCaWeights,
    architecture: &Architecture,
    storage: Storage,
    step: &dyn Fn(&str),
) -> Result<(), Error> {
    step("image_encoder.onnx");
    let mut file = WeightFile::new(bundle.start("vision.bin")?, storage);
    let graph = onnx::image_encoder(weights, architecture, &mut file)?;
    bundle.add(file.into_file())?;
    bundle.add_bytes("image_encoder.onnx", &graph)?;

    step("text_encoder.onnx");
    let mut file = WeightFile::new(bundle.start("text.bin")?, storage);
    let tower = TextTower::store(weights, architecture, &mut file)?;
    let graph = onnx::text_encoder(weights, architecture, &tower, &mut file)?;
    bundle.add(file.into_file())?;
    bundle.add_bytes("text_encoder.onnx", &graph)?;

    step("caption_decoder.onnx");
    let mut file = WeightFile::new(bundle.start("decoder.bin")?, storage);
    let cross_kv = onnx::cross_kv(weights, architecture, &mut file)?;
    let decoder = onnx::caption_decoder(weights, architecture, &tower, &mut file)?;
    bundle.add(file.into_file())?;
    bundle.add_bytes("cross_kv.onnx", &cross_kv)?;
    bundle.add_bytes("caption_decoder.onnx", &decoder)?;
    Ok(())
}

/// What open_clip's zero-shot evaluation (`zero_shot.py`) multiplies cosines with, whatever the checkpoint's own
/// `logit_scale`. Training ends at 100 too: it stops that number there, and the released models reached it.
const ZERO_SHOT_SCALE: f32 = 100.0;

/// `coca.json`, but for the list of files.
fn describe(source: &Source, storage: Storage) -> Config {
    let architecture = &source.config.architecture;
    let vocabulary = architecture.text.vocabulary;
    let [image_tokens, image_width] = architecture.image_tokens();
    let end = vocabulary.min(CLIP_VOCABULARY) as u32 - 1;
    Config {
        format: FORMAT,
        name: source.name.clone(),
        architecture: "coca".to_owned(),
        precision: match storage {
            Storage::F32 => Precision::F32,
            Storage::F16 => Precision::F16,
        },
        licence: source.licence.clone(),
        source: source.origin.clone(),
        image: source.config.pixels.clone(),
        text: TextSpec {
            context_length: architecture.text.context_length,
            vocab_size: vocabulary as u32,
            start_id: end - 1,
            end_id: end,
            pad_id: 0,
            cleaning: Cleaning::OpenClip,
            truncate_to_end: true,
        },
        dimensions: Dimensions {
            embedding: architecture.embedding,
            image_tokens,
            image_width,
            decoder_width: architecture.decoder.width,
            unimodal_layers: architecture.text.layers.count,
            multimodal_layers: architecture.decoder.count,
        },
        logit_scale: ZERO_SHOT_SCALE,
        template: "a photo of a {}.".to_owned(),
        caption: Some(CaptionSettings::for_context(architecture.text.context_length)),
        files: Default::default(),
    }
}
