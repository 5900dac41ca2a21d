//! open_clip's CoCa: its configurations, and the keys and shapes of its tensors.

mod architecture;
mod config;
mod error;
mod section;
mod weights;

pub use architecture::{Activation, Architecture, Layers, Pooler, Text, Vision};
pub use config::{NAMED, OpenClipConfig};
pub use error::ConfigError;
pub use weights::{
    Block, CoCaWeights, CrossBlock, DecoderWeights, LayerNorm, Linear, Mlp, PoolerWeights,
    TextWeights, VisionWeights,
};
