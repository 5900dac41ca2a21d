//! `config.json` of a `CLIPModel`.
//!
//! Keys and defaults are those of transformers 4.46.3: `CLIPConfig`, `CLIPTextConfig` and `CLIPVisionConfig` in
//! `configuration_clip.py`. Other keys, of which `PretrainedConfig` writes dozens, have no effect on a CLIP.

use serde_json::{Value, json};

use crate::open_clip::{
    Activation, Architecture, ConfigError, Layers, Section, Text, Vision, limits,
};

/// The `eos_token_id` of configurations from before transformers 4.31, whatever the tokenizer's: it stands for the
/// greatest id.
const LEGACY_EOS: u32 = 2;
/// Added to the variance in every layer norm.
const EPSILON: f64 = 1e-5;

/// The contents of a `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Sizes and activation; without a decoder.
    pub architecture: Architecture,
    /// The token whose row is the text embedding.
    eos_id: u32,
}

impl ClipConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is not JSON, or describes another model than a CLIP.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|e| ConfigError::new("config.json", "JSON", &e.to_string()))?;
        let mut top = Section::new("config", Some(&value))?;
        let kind = top.get("model_type");
        if kind != Some(&json!("clip")) {
            let expected = match kind.and_then(Value::as_str) {
                Some(name) if name.starts_with("siglip") => "\"clip\" (a SigLIP is not supported)",
                _ => "\"clip\"",
            };
            return Err(top.wrong("model_type", expected, kind));
        }
        let embedding = top.size("projection_dim", 512, limits::MAX_WIDTH)?;
        let empty = json!({});
        // `text_config_dict`, where it stands, takes the place of all of `text_config`: so does `CLIPConfig`.
        let [text, vision] =
            [["text_config_dict", "text_config"], ["vision_config_dict", "vision_config"]]
                .map(|keys| keys.into_iter().find_map(|key| Some((key, top.get(key)?))));
        let (name, value) = text.unwrap_or(("text_config", &empty));
        let (text, activation, eos_id) = read_text(Section::new(name, Some(value))?)?;
        let (name, value) = vision.unwrap_or(("vision_config", &empty));
        let vision = read_vision(Section::new(name, Some(value))?, activation)?;
        let architecture = Architecture { embedding, activation, vision, text, decoder: None };
        Ok(Self { architecture, eos_id })
    }

    /// Checks that the text embedding is that of the tokenizer's end token, `end_id`.
    ///
    /// # Errors
    /// When the model looks for another token, or for the greatest id where the end token has not that.
    pub fn check_end(&self, end_id: u32) -> Result<(), ConfigError> {
        let greatest = self.architecture.text.vocabulary as u32 - 1;
        if self.eos_id == end_id || (self.eos_id == LEGACY_EOS && end_id == greatest) {
            return Ok(());
        }
        let expected = format!("{end_id}, the tokenizer's end token");
        Err(ConfigError::new("text_config.eos_token_id", &expected, &self.eos_id.to_string()))
    }
}

fn read_text(mut section: Section<'_>) -> Result<(Text, Activation, u32), ConfigError> {
    let layers = read_layers(&mut section, [512, 2048, 8])?;
    let activation = read_activation(&mut section)?;
    let context_length = section.size_in("max_position_embeddings", 77, limits::CONTEXT_LENGTHS)?;
    let vocabulary =
        section.size_in("vocab_size", limits::CLIP_VOCABULARY, limits::VOCABULARIES)?;
    let eos_id = section.size_in(
        "eos_token_id",
        limits::CLIP_VOCABULARY - 1,
        0..=limits::VOCABULARIES.end() - 1,
    )?;
    Ok((Text { context_length, vocabulary, layers }, activation, eos_id as u32))
}

/// `activation` is that of the text tower.
fn read_vision(mut section: Section<'_>, activation: Activation) -> Result<Vision, ConfigError> {
    section.only("num_channels", &json!(3))?;
    let layers = read_layers(&mut section, [768, 3072, 12])?;
    if read_activation(&mut section)? != activation {
        let expected = match activation {
            Activation::Gelu => "\"gelu\", as text_config.hidden_act",
            Activation::QuickGelu => "\"quick_gelu\", as text_config.hidden_act",
        };
        let found = section.get("hidden_act");
        return Err(section.wrong("hidden_act", expected, found));
    }
    let image = section.size("image_size", 224, limits::MAX_IMAGE)?;
    let patch = section.size("patch_size", 32, image)?;
    let vision = Vision { image: [image; 2], patch: [patch; 2], layers, pooler: None };
    limits::check_patches(vision.patches(), "vision_config.patch_size")?;
    Ok(vision)
}

/// The keys that both towers have; defaults are those of width, hidden width of the MLP and heads.
fn read_layers(
    section: &mut Section<'_>,
    [width, mlp_width, heads]: [usize; 3],
) -> Result<Layers, ConfigError> {
    let width = section.size("hidden_size", width, limits::MAX_WIDTH)?;
    let heads = section.size("num_attention_heads", heads, limits::MAX_WIDTH)?;
    if !width.is_multiple_of(heads) {
        let found = json!(format!("{width} for {heads} heads"));
        return Err(section.wrong(
            "hidden_size",
            "a width that its heads divide evenly",
            Some(&found),
        ));
    }
    if section.number("layer_norm_eps", EPSILON)? != EPSILON {
        let found = section.get("layer_norm_eps");
        return Err(section.wrong("layer_norm_eps", "1e-5", found));
    }
    Ok(Layers {
        count: section.size("num_hidden_layers", 12, limits::MAX_LAYERS)?,
        width,
        heads,
        mlp_width: section.size("intermediate_size", mlp_width, 4 * limits::MAX_WIDTH)?,
        layer_scale: false,
    })
}

fn read_activation(section: &mut Section<'_>) -> Result<Activation, ConfigError> {
    match section.get("hidden_act") {
        None => Ok(Activation::QuickGelu),
        Some(Value::String(name)) if name == "quick_gelu" => Ok(Activation::QuickGelu),
        Some(Value::String(name)) if name == "gelu" => Ok(Activation::Gelu),
        found => Err(section.wrong("hidden_act", "\"quick_gelu\" or \"gelu\"", found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: &Value) -> Result<ClipConfig, String> {
        ClipConfig::parse(config.to_string().as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_configuration_is_openai_s_vit_b_32() {
        let found = parse(&json!({"model_type": "clip", "text_config": null})).unwrap();
        let named = crate::open_clip::OpenClipConfig::named("ViT-B-32-quickgelu").unwrap();
        assert_eq!(found.architecture, named.architecture);
        assert_eq!(found.check_end(49407), Ok(()));
    }

    #[test]
    fn a_config_dict_replaces_the_config_beside_it() {
        let config = json!({"model_type": "clip", "text_config": {"hidden_size": 64, "num_hidden_layers": 3},
                            "text_config_dict": {"hidden_size": 256}});
        let text = parse(&config).unwrap().architecture.text;
        assert_eq!((text.layers.width, text.layers.count), (256, 12));
    }

    #[test]
    fn what_is_no_clip_is_refused_by_the_key_that_tells() {
        for (config, expected) in [
            (
                json!({"model_type": "siglip"}),
                "config.model_type: expected \"clip\" (a SigLIP is not supported), found \"siglip\"",
            ),
            (json!({}), "config.model_type: expected \"clip\", found nothing"),
            (
                json!({"model_type": "clip", "text_config": {"hidden_act": "relu"}}),
                "text_config.hidden_act: expected \"quick_gelu\" or \"gelu\", found \"relu\"",
            ),
            (
                json!({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}}),
                "vision_config.hidden_act: expected \"quick_gelu\", as text_config.hidden_act, found \"gelu\"",
            ),
            (
                json!({"model_type": "clip", "vision_config": {"layer_norm_eps": 1e-6}}),
                "vision_config.layer_norm_eps: expected 1e-5, found 1e-6",
            ),
            (
                json!({"model_type": "clip", "vision_config": {"num_channels": 4}}),
                "vision_config.num_channels: expected 3, found 4",
            ),
            (
                json!({"model_type": "clip", "vision_config": {"patch_size": 225}}),
                "vision_config.patch_size: expected a number from 1 to 224, found 225",
            ),
        ] {
            assert_eq!(parse(&config).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_end_token_is_the_tokenizer_s_or_the_legacy_one() {
        let config = |eos: u32| json!({"model_type": "clip", "text_config": {"vocab_size": 600, "eos_token_id": eos}});
        assert_eq!(parse(&config(599)).unwrap().check_end(599), Ok(()));
        assert_eq!(parse(&config(2)).unwrap().check_end(599), Ok(()));
        let wrong = parse(&config(7)).unwrap().check_end(599).unwrap_err().to_string();
        assert_eq!(
            wrong,
            "text_config.eos_token_id: expected 599, the tokenizer's end token, found 7"
        );
        assert!(parse(&config(2)).unwrap().check_end(300).is_err());
    }
}
