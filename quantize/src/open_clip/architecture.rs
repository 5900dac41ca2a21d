//! The architectures of open_clip's classes `CoCa` and `CLIP`, read from a configuration.
//!
//! Keys and defaults are those of open_clip 3.3.0: `CLIPVisionCfg` and `CLIPTextCfg` in `model.py`,
//! `MultimodalCfg` and `CoCa` in `coca_model.py`.

use serde_json::{Value, json};

use super::{
    ConfigError,
    limits::{
        CLIP_VOCABULARY, CONTEXT_LENGTHS, MAX_IMAGE, MAX_LAYERS, MAX_TOKENS, MAX_WIDTH,
        VOCABULARIES, check_patches,
    },
    section::Section,
};

/// Keys that change the arithmetic of a block.
const BLOCK_SWITCHES: [&str; 6] =
    ["qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"];

/// The architecture of a CoCa or a CLIP: it decides which tensors there are and how they are computed with.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Width of the joint image-text embedding, `E`.
    pub embedding: usize,
    /// The activation of every MLP.
    pub activation: Activation,
    /// The image encoder.
    pub vision: Vision,
    /// The text tower: the unimodal layers.
    pub text: Text,
    /// The multimodal layers, as wide as [`Architecture::text`]; `None` for a CLIP, which has no decoder, and whose text
    /// embedding is that of the end token where a CoCa's is that of a class token.
    pub decoder: Option<Layers>,
}

/// The activation of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * Φ(x)`, by the error function.
    Gelu,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
}

/// A stack of equal transformer blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Number of blocks.
    pub count: usize,
    /// Width of the residual stream, `D`.
    pub width: usize,
    /// Attention heads, each `width / heads` wide.
    pub heads: usize,
    /// Hidden width of the MLP.
    pub mlp_width: usize,
    /// Whether the residual branches have a layer scale (`ls_init_value`).
    pub layer_scale: bool,
}

/// The image encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Vision {
    /// Image size in pixels, height first.
    pub image: [usize; 2],
    /// Patch size in pixels, height first.
    pub patch: [usize; 2],
    /// The blocks of the vision transformer.
    pub layers: Layers,
    /// The attentional pooler, if the encoder ends with one.
    pub pooler: Option<Pooler>,
}

/// An attentional pooler, `AttentionalPooler` in open_clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooler {
    /// Learnt queries: the first yields the embedding, the others the image tokens.
    pub queries: usize,
    /// Attention heads.
    pub heads: usize,
}

/// The text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Context length in token ids, without a class token.
    pub context_length: usize,
    /// Vocabulary size, `V`.
    pub vocabulary: usize,
    /// The unimodal blocks.
    pub layers: Layers,
}

impl Vision {
    /// Number of patches, without those that the image has no whole one for.
    #[must_use]
    pub fn patches(&self) -> usize {
        (self.image[0] / self.patch[0]) * (self.image[1] / self.patch[1])
    }
}

impl Architecture {
    /// Shape `[T, W]` of the image tokens that the decoder attends to.
    #[must_use]
    pub fn image_tokens(&self) -> [usize; 2] {
        match self.vision.pooler {
            Some(pooler) => [pooler.queries - 1, self.embedding],
            None => [self.vision.patches(), self.vision.layers.width],
        }
    }

    /// Reads the `model_cfg` of an `open_clip_config.json`.
    ///
    /// # Errors
    /// When a key is wrong, unknown, or asks for something outside this family.
    pub fn read(model_cfg: Option<&Value>) -> Result<Self, ConfigError> {
        let mut top = Section::new("model_cfg", model_cfg)?;
        let multimodal = top.get("multimodal_cfg");
        let embedding = top.size("embed_dim", 512, MAX_WIDTH)?;
        let quick = top.flag("quick_gelu")?;
        top.only("pad_id", &json!(0))?;
        top.ignore(&[
            "custom_text",
            "init_logit_scale",
            "init_logit_bias",
            "nonscalar_logit_scale",
            "cast_dtype",
        ]);
        let vision = read_vision(Section::new("vision_cfg", top.get("vision_cfg"))?)?;
        let text = Section::new("text_cfg", top.get("text_cfg"))?;
        let text = read_text(text, multimodal.is_some())?;
        let decoder = match multimodal {
            Some(_) => Some(read_decoder(Section::new("multimodal_cfg", multimodal)?, &text)?),
            None => None,
        };
        top.finish()?;
        let activation = if quick { Activation::QuickGelu } else { Activation::Gelu };
        let architecture = Self { embedding, activation, vision, text, decoder };
        architecture.check_widths()?;
        Ok(architecture)
    }

    /// Checks the widths at which the towers meet.
    fn check_widths(&self) -> Result<(), ConfigError> {
        if let Some(pooler) = self.vision.pooler
            && !self.embedding.is_multiple_of(pooler.heads)
        {
            let expected = format!("a divisor of embed_dim, {}", self.embedding);
            return Err(ConfigError::new(
                "vision_cfg.attn_pooler_heads",
                &expected,
                &pooler.heads.to_string(),
            ));
        }
        let Some(decoder) = self.decoder else {
            return match self.vision.pooler {
                None => Ok(()),
                Some(_) => Err(ConfigError::new(
                    "vision_cfg.attentional_pool",
                    "false (without multimodal_cfg this is a CLIP, whose image embedding is that of the class token)",
                    "true",
                )),
            };
        };
        let [_, image_width] = self.image_tokens();
        if decoder.width != image_width {
            let expected = format!("{image_width}, the width of the image tokens");
            let found = decoder.width.to_string();
            return Err(ConfigError::new("multimodal_cfg.width", &expected, &found));
        }
        Ok(())
    }
}

fn read_vision(mut section: Section<'_>) -> Result<Vision, ConfigError> {
    if let Some(name) = section.get("timm_model_name") {
        let expected = match name.as_str().is_some_and(|name| name.contains("siglip")) {
            true => "open_clip's own vision transformer (a SigLIP is not supported)",
            false => "open_clip's own vision transformer (a tower of timm is not supported)",
        };
        return Err(section.wrong("timm_model_name", expected, Some(name)));
    }
    if let Some(found @ Value::Array(_)) = section.get("layers") {
        let expected = "one number of layers (a ResNet is not supported)";
        return Err(section.wrong("layers", expected, Some(found)));
    }
    let head_width = section.size("head_width", 64, MAX_WIDTH)?;
    // open_clip's `vision_heads = width // head_width`: the heads share the whole width, whatever its size.
    let layers = read_layers(&mut section, 768, |width| width / head_width, 4.0)?;
    section.off(&["no_ln_pre", "final_ln_after_pool", "act_kwargs", "norm_kwargs"])?;
    section.off(&BLOCK_SWITCHES)?;
    section.only("pool_type", &json!("tok"))?;
    section.only("block_type", &json!("default"))?;
    // A table of sines is stored like a learnt one.
    section.ignore(&["output_tokens", "patch_dropout", "pos_embed_type"]);
    section.ignore(&[
        "timm_model_pretrained",
        "timm_pool",
        "timm_proj",
        "timm_proj_bias",
        "timm_drop",
        "timm_drop_path",
    ]);
    let pooler = match section.get("attentional_pool") {
        Some(kind @ Value::String(_)) => {
            return Err(section.wrong("attentional_pool", "true or false", Some(kind)));
        }
        _ => section.flag("attentional_pool")?,
    };
    let pooler_heads = section.size("attn_pooler_heads", 8, MAX_WIDTH)?;
    // The first query yields the embedding, not an image token.
    let queries = section.size_in("attn_pooler_queries", 256, 2..=MAX_TOKENS)?;
    let image = section.pair("image_size", 224, MAX_IMAGE)?;
    let patch = section.pair("patch_size", 16, MAX_IMAGE)?;
    if patch[0] > image[0] || patch[1] > image[1] {
        return Err(section.wrong("patch_size", "no more than image_size", Some(&json!(patch))));
    }
    section.finish()?;
    let pooler = pooler.then_some(Pooler { queries, heads: pooler_heads });
    let vision = Vision { image, patch, layers, pooler };
    check_patches(vision.patches(), "vision_cfg.patch_size")?;
    Ok(vision)
}

/// `is_coca` tells whether a decoder stands on the tower, and with it a class token.
fn read_text(mut section: Section<'_>, is_coca: bool) -> Result<Text, ConfigError> {
    if let Some(name) = section.get("hf_model_name") {
        let expected =
            "open_clip's own text tower (one from Hugging Face, as RoBERTa, is not supported)";
        return Err(section.wrong("hf_model_name", expected, Some(name)));
    }
    section.off(&["hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"])?;
    let heads = section.size("heads", 8, MAX_WIDTH)?;
    let layers = read_layers(&mut section, 512, |_| heads, 4.0)?;
    let context_length = section.size_in("context_length", 77, CONTEXT_LENGTHS)?;
    let vocabulary = section.size_in("vocab_size", CLIP_VOCABULARY, VOCABULARIES)?;
    if section.flag("embed_cls")? != is_coca {
        let expected = match is_coca {
            true => "true (the class token that every CoCa has)",
            false => "false (without multimodal_cfg this is a CLIP, which has no class token)",
        };
        return Err(section.wrong("embed_cls", expected, Some(&json!(!is_coca))));
    }
    if !is_coca {
        section.only("pool_type", &json!("argmax"))?;
    }
    section.off(&[
        "no_causal_mask",
        "correct_cls_mask",
        "proj_bias",
        "act_kwargs",
        "norm_kwargs",
    ])?;
    section.off(&BLOCK_SWITCHES)?;
    section.only("pad_id", &json!(0))?;
    section.only("proj_type", &json!("linear"))?;
    section.only("block_type", &json!("default"))?;
    // With a class token the pooling is always that token, after ln_final.
    section.ignore(&["output_tokens", "pool_type", "eos_id", "final_ln_after_pool"]);
    section.ignore(&["hf_model_pretrained", "hf_proj_type", "hf_pooler_type"]);
    section.finish()?;
    Ok(Text { context_length, vocabulary, layers })
}

fn read_decoder(mut section: Section<'_>, text: &Text) -> Result<Layers, ConfigError> {
    let heads = section.size("heads", 8, MAX_WIDTH)?;
    let layers = read_layers(&mut section, 512, |_| heads, 4.0)?;
    if layers.width != text.layers.width {
        let expected = format!("{}, as text_cfg.width", text.layers.width);
        return Err(section.wrong("width", &expected, Some(&json!(layers.width))));
    }
    let context_length = section.size_in("context_length", 77, CONTEXT_LENGTHS)?;
    if context_length != text.context_length {
        let expected = format!("{}, as text_cfg.context_length", text.context_length);
        return Err(section.wrong("context_length", &expected, Some(&json!(context_length))));
    }
    // Other keys are not looked at: `_build_text_decoder_tower` hands no more on, not even `mlp_ratio`.
    Ok(Layers { mlp_width: 4 * layers.width, ..layers })
}

/// The keys that every tower has. open_clip's `int(width * mlp_ratio)` rounds towards 0.
fn read_layers(
    section: &mut Section<'_>,
    default_width: usize,
    heads: impl Fn(usize) -> usize,
    default_ratio: f64,
) -> Result<Layers, ConfigError> {
    let width = section.size("width", default_width, MAX_WIDTH)?;
    let heads = heads(width);
    if heads == 0 || !width.is_multiple_of(heads) {
        let expected = "a width that its heads divide evenly";
        return Err(section.wrong(
            "width",
            expected,
            Some(&json!(format!("{width} for {heads} heads"))),
        ));
    }
    let mlp_width = width as f64 * section.number("mlp_ratio", default_ratio)?;
    if !(1.0..=4.0 * MAX_WIDTH as f64).contains(&mlp_width) {
        return Err(section.wrong(
            "mlp_ratio",
            "a sensible width of the MLP",
            Some(&json!(mlp_width)),
        ));
    }
    Ok(Layers {
        count: section.size("layers", 12, MAX_LAYERS)?,
        width,
        heads,
        mlp_width: mlp_width as usize,
        layer_scale: section.get("ls_init_value").is_some(),
    })
}
