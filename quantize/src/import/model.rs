//! A checkpoint's model, whichever library wrote it.

use coca_text::{Cleaning, TextSpec};
use coca_vision::PixelSpec;

use super::{description::Description, error::Error, source::Source};
use crate::{
    checkpoint::Checkpoint,
    open_clip::{Architecture, OpenClipConfig, Weights, limits::CLIP_VOCABULARY},
    transformers, vocabulary,
};

/// Logit scale of open_clip's zero-shot evaluation (`zero_shot.py`), whatever the checkpoint's own `logit_scale` is.
/// Training clamps that at 100 too, and the released models reached it.
const ZERO_SHOT_SCALE: f32 = 100.0;

/// A checkpoint's weights, with all that a bundle says about them.
pub(super) struct Model<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) weights: Weights,
    pub(super) pixels: &'a PixelSpec,
    pub(super) text: TextSpec,
    /// `tokenizer.json`.
    pub(super) tokenizer: Vec<u8>,
    /// Factor of cosines, as the library that wrote the checkpoint evaluates it.
    pub(super) logit_scale: f32,
}

impl<'a> Model<'a> {
    /// Of the checkpoint only the table of tensors and small tensors are read.
    pub(super) fn read(source: &'a Source) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(&source.weights)?;
        match &source.description {
            Description::OpenClip(config) => Self::of_open_clip(config, checkpoint),
            Description::Transformers { config, pixels, tokenizer } => {
                let weights = transformers::take_weights(checkpoint, &config.architecture)?;
                Ok(Self {
                    architecture: &config.architecture,
                    // `CLIPModel` multiplies cosines with the checkpoint's own factor.
                    logit_scale: weights.logit_scale.exp(),
                    weights,
                    pixels,
                    text: tokenizer.spec.clone(),
                    tokenizer: tokenizer.json.clone(),
                })
            }
        }
    }

    fn of_open_clip(config: &'a OpenClipConfig, checkpoint: Checkpoint) -> Result<Self, Error> {
        let architecture = &config.architecture;
        let vocabulary = architecture.text.vocabulary;
        let entries = vocabulary.min(CLIP_VOCABULARY);
        let end_id = entries as u32 - 1;
        Ok(Self {
            architecture,
            weights: Weights::take(checkpoint, architecture)?,
            pixels: &config.pixels,
            text: TextSpec {
                context_length: architecture.text.context_length,
                vocab_size: vocabulary as u32,
                start_id: end_id - 1,
                end_id,
                pad_id: 0,
                cleaning: Cleaning::OpenClip,
                truncate_to_end: true,
            },
            tokenizer: vocabulary::first_entries_tokenizer_json(entries)?,
            logit_scale: ZERO_SHOT_SCALE,
        })
    }
}
