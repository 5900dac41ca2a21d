//! open_clip's CoCa and CLIP: their configurations, and the keys and shapes of their tensors.

mod architecture;
mod config;
mod error;
pub(crate) mod limits;
mod named;
mod section;
mod weights;

pub use architecture::{Activation, Architecture, Layers, Pooler, Text, Vision};
pub use config::OpenClipConfig;
pub(crate) use config::{OPENAI_MEAN, OPENAI_STD, validated};
pub use error::ConfigError;
pub use named::NAMED;
pub(crate) use section::Section;
pub use weights::{
    Block, CrossBlock, DecoderWeights, LayerNorm, Linear, Mlp, PoolerWeights, Projections,
    TextWeights, VisionWeights, Weights,
};
