//! `coca.json`: what a model is and which files belong to it.

use std::collections::BTreeMap;

use coca_text::TextSpec;
use coca_vision::PixelSpec;
use serde::{Deserialize, Serialize};

use crate::generate::CaptionSettings;

/// The bundle format that this crate reads and writes.
pub const FORMAT: u32 = 1;

/// The contents of `coca.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of the bundle format: [`FORMAT`].
    pub format: u32,
    /// The model's name, for people.
    pub name: String,
    /// The family it belongs to: `coca`.
    pub architecture: String,
    /// What the weights are stored as.
    pub precision: Precision,
    /// Under what terms the weights may be used.
    pub licence: String,
    /// Where the weights come from.
    pub source: String,
    /// How a picture becomes pixels for the image encoder.
    pub image: PixelSpec,
    /// How a text becomes token ids.
    pub text: TextSpec,
    /// Sizes of what passes between the parts.
    pub dimensions: Dimensions,
    /// What cosines are multiplied with before the softmax over labels. An imported model has 100, which
    /// open_clip's zero-shot evaluation uses for every checkpoint.
    pub logit_scale: f32,
    /// The sentence a label is put into when the user names no templates; `{}` stands for the label.
    pub template: String,
    /// How captions are searched by default; absent from a model that cannot caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<CaptionSettings>,
    /// Every other file of the bundle, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// Sizes of what passes between the parts of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Numbers in an image or text embedding.
    pub embedding: usize,
    /// Image tokens that the decoder reads.
    pub image_tokens: usize,
    /// Numbers in an image token.
    pub image_width: usize,
    /// Numbers in a row of the KV cache, all heads together; 0 without a decoder.
    pub decoder_width: usize,
    /// Layers of the text tower, which the decoder runs first.
    pub unimodal_layers: usize,
    /// Layers with cross-attention to the image tokens.
    pub multimodal_layers: usize,
}

/// What weights are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// 8-bit integers with a scale for each output channel.
    Int8,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Config {
    /// Reads and checks the contents of a `coca.json`.
    ///
    /// # Errors
    /// One sentence that names the key, what was expected and what was found.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        /// The format is looked at first: another version may have other keys.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version =
            serde_json::from_slice(json).map_err(|e| format!("not a model's coca.json: {e}"))?;
        if version.format != FORMAT {
            return Err(format!(
                "format: expected {FORMAT}, found {}: this model needs another version of coca",
                version.format
            ));
        }
        let config: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        if self.architecture != "coca" {
            return Err(format!("architecture: expected coca, found {}", self.architecture));
        }
        self.image.validate().map_err(|e| e.to_string())?;
        self.text.validate().map_err(|e| format!("text: {e}"))?;
        self.dimensions.validate(self.caption.is_some())?;
        if !self.logit_scale.is_finite() || self.logit_scale <= 0.0 {
            return Err(format!(
                "logit_scale: expected a number above 0, found {}",
                self.logit_scale
            ));
        }
        if !self.template.contains("{}") {
            return Err(format!(
                "template: expected {{}} where the label goes, found {:?}",
                self.template
            ));
        }
        self.files.iter().try_for_each(|(name, file)| file.validate(name))
    }
}

impl Dimensions {
    fn validate(&self, captions: bool) -> Result<(), String> {
        const MAX: usize = 1 << 16;
        let required = [
            ("embedding", self.embedding, true),
            ("image_tokens", self.image_tokens, captions),
            ("image_width", self.image_width, captions),
            ("decoder_width", self.decoder_width, captions),
            ("unimodal_layers", self.unimodal_layers, captions),
            ("multimodal_layers", self.multimodal_layers, captions),
        ];
        for (key, value, required) in required {
            let min = usize::from(required);
            if !(min..=MAX).contains(&value) {
                return Err(format!("dimensions.{key}: expected {min} to {MAX}, found {value}"));
            }
        }
        Ok(())
    }
}

impl FileEntry {
    fn validate(&self, name: &str) -> Result<(), String> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
            return Err(format!("files: expected plain file names, found {name:?}"));
        }
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if self.sha256.len() != 64 || !self.sha256.bytes().all(hexadecimal) {
            return Err(format!(
                "files.{name}.sha256: expected 64 hexadecimal digits, found {:?}",
                self.sha256
            ));
        }
        Ok(())
    }
}
