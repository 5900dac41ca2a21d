//! Names of a checkpoint's files, in a folder as on the hub.

/// The configuration in open_clip's layout.
pub(super) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
/// The weights in open_clip's layout, the preferred format first: it needs no pickle to be read.
pub(super) const OPEN_CLIP_WEIGHTS: [&str; 2] =
    ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// The configuration in transformers' layout.
pub(super) const TRANSFORMERS_CONFIG: &str = "config.json";
/// The weights in transformers' layout, the preferred format first.
pub(super) const TRANSFORMERS_WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// The tokenizer in transformers' layout.
pub(super) const TRANSFORMERS_TOKENIZER: &str = "tokenizer.json";
/// The preparation of pictures in transformers' layout; not every checkpoint has it.
pub(super) const TRANSFORMERS_PIXELS: &str = "preprocessor_config.json";
