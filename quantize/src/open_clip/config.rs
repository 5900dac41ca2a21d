//! `open_clip_config.json`.

use std::fmt::Display;

use coca_vision::{self as vision, PixelSpec};
use serde_json::{Value, json};

use super::{Architecture, ConfigError, named, section::Section};

/// Mean and standard deviation of red, green and blue that CLIP's first models were trained with: `OPENAI_DATASET_MEAN`,
/// `OPENAI_DATASET_STD`.
pub(crate) const OPENAI_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(crate) const OPENAI_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The contents of an `open_clip_config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenClipConfig {
    /// `model_cfg`.
    pub architecture: Architecture,
    /// `preprocess_cfg`.
    pub pixels: PixelSpec,
}

impl OpenClipConfig {
    /// Reads the text of an `open_clip_config.json`, or of one of open_clip's `model_configs`.
    ///
    /// # Errors
    /// When it is not JSON, or describes no model of this family.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|e| ConfigError::new("open_clip_config.json", "JSON", &e.to_string()))?;
        match value.get("embed_dim") {
            Some(_) => Self::read(Some(&value), None),
            None => Self::read(value.get("model_cfg"), value.get("preprocess_cfg")),
        }
    }

    /// The configuration that open_clip has under `name`, one of [`NAMED`](super::NAMED).
    ///
    /// # Errors
    /// When `name` is not one of them.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let Some(model) = named::model_cfg(name) else {
            let expected = format!("one of {}", named::NAMED.join(", "));
            return Err(ConfigError::new("name of a configuration", &expected, name));
        };
        Self::read(Some(&model), None)
    }

    fn read(model: Option<&Value>, preprocess: Option<&Value>) -> Result<Self, ConfigError> {
        let architecture = Architecture::read(model)?;
        let empty = json!({});
        let preprocess = preprocess.filter(|value| !value.is_null()).unwrap_or(&empty);
        let pixels = read_pixels(
            Section::new("preprocess_cfg", Some(preprocess))?,
            architecture.vision.image,
        )?;
        Ok(Self { architecture, pixels })
    }
}

/// open_clip's defaults and names: `PreprocessCfg` and `image_transform` in `transform.py`.
fn read_pixels(
    mut section: Section<'_>,
    [height, width]: [usize; 2],
) -> Result<PixelSpec, ConfigError> {
    section.only("mode", &json!("RGB"))?;
    section.only("fill_color", &json!(0))?;
    // open_clip takes the size from the image encoder.
    section.ignore(&["size"]);
    let mean = section.channels("mean", OPENAI_MEAN)?;
    let std = section.channels("std", OPENAI_STD)?;
    let resize = word(&mut section, "resize_mode", &["shortest", "longest", "squash"])?;
    // "random" is a training setting: evaluation takes bicubic then, and for every "shortest" that is not square.
    let interpolation =
        match word(&mut section, "interpolation", &["bicubic", "bilinear", "random"])? {
            "bilinear" if height == width || resize != "shortest" => "bilinear",
            _ => "bicubic",
        };
    section.finish()?;
    let spec = json!({"width": width, "height": height, "mean": mean, "std": std,
                      "resize": resize, "interpolation": interpolation});
    let spec: PixelSpec =
        serde_json::from_value(spec).map_err(|e| unusable("preprocess_cfg", &e))?;
    validated(spec, "preprocess_cfg")
}

/// Checks the values read from the object `section`.
pub(crate) fn validated(spec: PixelSpec, section: &str) -> Result<PixelSpec, ConfigError> {
    match spec.validate() {
        Ok(()) => Ok(spec),
        Err(vision::Error::Spec { key, expected, found }) => {
            Err(ConfigError::new(&format!("{section}.{key}"), expected, &found))
        }
        Err(other) => Err(unusable(section, &other)),
    }
}

fn unusable(section: &str, error: &dyn Display) -> ConfigError {
    ConfigError::new(section, "a way to prepare pictures", &error.to_string())
}

fn word<'a>(
    section: &mut Section<'_>,
    key: &'static str,
    words: &[&'a str],
) -> Result<&'a str, ConfigError> {
    let value = section.get(key);
    let found = match value {
        None => words.first(),
        Some(value) => words.iter().find(|word| value == *word),
    };
    found.copied().ok_or_else(|| section.wrong(key, &format!("one of {}", words.join(", ")), value))
}
