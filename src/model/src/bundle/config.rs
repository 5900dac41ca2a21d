//! `coca.json`: the description of a model and the list of its files.

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
    /// Name of the model, for people.
    pub name: String,
    /// Model family: `coca`, or `clip` for a model that was made without a decoder.
    pub architecture: String,
    /// Storage type of the weights.
    pub precision: Precision,
    /// Licence of the weights.
    pub licence: String,
    /// Origin of the weights.
    pub source: String,
    /// Image preprocessing.
    pub image: PixelSpec,
    /// Tokenization.
    pub text: TextSpec,
    /// Sizes of the tensors that pass between the parts.
    pub dimensions: Dimensions,
    /// Factor of cosines in the softmax over labels. A model imported from open_clip has 100, as its zero-shot evaluation
    /// uses for every checkpoint; one from transformers the checkpoint's own.
    pub logit_scale: f32,
    /// Default template; `{}` stands for the label.
    pub template: String,
    /// Default caption settings; absent from a model that cannot caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<CaptionSettings>,
    /// Every other file of the bundle, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// Sizes of the tensors that pass between the parts of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Width of an embedding, `E`.
    pub embedding: usize,
    /// Number of image tokens that the decoder reads, `T`.
    pub image_tokens: usize,
    /// Width of an image token, `D`.
    pub image_width: usize,
    /// Width of a row of the KV cache, all heads together, `W`; 0 without a decoder.
    pub decoder_width: usize,
    /// Layers of the text tower, which the decoder runs first.
    pub unimodal_layers: usize,
    /// Layers with cross-attention to the image tokens.
    pub multimodal_layers: usize,
}

/// Storage type of weights.
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

/// Length and checksum of a file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Config {
    /// Reads and checks the contents of a `coca.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        /// The format is looked at first: another version may have other keys.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(json).map_err(ConfigError::NotAConfig)?;
        if version.format != FORMAT {
            return Err(ConfigError::Format { found: version.format });
        }
        let config: Self = serde_json::from_slice(json).map_err(ConfigError::Json)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if !matches!(self.architecture.as_str(), "coca" | "clip") {
            return Err(ConfigError::value("architecture", "coca or clip", &self.architecture));
        }
        self.image.validate().map_err(ConfigError::Image)?;
        self.text.validate().map_err(ConfigError::Text)?;
        self.dimensions.validate(self.caption.is_some())?;
        if !self.logit_scale.is_finite() || self.logit_scale <= 0.0 {
            return Err(ConfigError::value("logit_scale", "a number above 0", self.logit_scale));
        }
        if !self.template.contains("{}") {
            let found = format!("{:?}", self.template);
            return Err(ConfigError::value("template", "{} where the label goes", found));
        }
        self.files.iter().try_for_each(|(name, file)| file.validate(name))
    }
}

/// A `coca.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is no JSON object with a `format`.
    #[error("not a model's coca.json: {0}")]
    NotAConfig(#[source] serde_json::Error),
    /// The file has another version of the bundle format.
    #[error("format: expected {FORMAT}, found {found}: this model needs another version of coca")]
    Format {
        /// The version.
        found: u32,
    },
    /// A key is missing, unknown or of another type.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// A value of the object `image` is out of range.
    #[error("{0}")]
    Image(#[source] coca_vision::Error),
    /// A value of the object `text` is out of range.
    #[error("text: {0}")]
    Text(#[source] coca_text::Error),
    /// A value is out of range.
    #[error("{key}: expected {expected}, found {found}")]
    Value {
        /// Path of the key.
        key: String,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
}

impl ConfigError {
    fn value(
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Value { key: key.into(), expected: expected.into(), found: found.to_string() }
    }
}

impl Dimensions {
    fn validate(&self, has_decoder: bool) -> Result<(), ConfigError> {
        const MAX: usize = 1 << 16;
        let required = [
            ("embedding", self.embedding, true),
            ("image_tokens", self.image_tokens, has_decoder),
            ("image_width", self.image_width, has_decoder),
            ("decoder_width", self.decoder_width, has_decoder),
            ("unimodal_layers", self.unimodal_layers, has_decoder),
            ("multimodal_layers", self.multimodal_layers, has_decoder),
        ];
        for (key, value, required) in required {
            let min = usize::from(required);
            if !(min..=MAX).contains(&value) {
                let key = format!("dimensions.{key}");
                return Err(ConfigError::value(key, format!("{min} to {MAX}"), value));
            }
        }
        Ok(())
    }
}

impl FileEntry {
    fn validate(&self, name: &str) -> Result<(), ConfigError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
            return Err(ConfigError::value("files", "plain file names", format!("{name:?}")));
        }
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if self.sha256.len() != 64 || !self.sha256.bytes().all(hexadecimal) {
            let (key, found) = (format!("files.{name}.sha256"), format!("{:?}", self.sha256));
            return Err(ConfigError::value(key, "64 hexadecimal digits", found));
        }
        Ok(())
    }
}
