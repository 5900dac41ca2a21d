//! Names of a checkpoint's files, in a folder as on the hub.

/// The configuration.
pub(super) const CONFIG: &str = "open_clip_config.json";
/// The weights, the preferred format first: it needs no pickle to be read.
pub(super) const WEIGHTS: [&str; 2] =
    ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];
