//! Zero-shot [labels](Labels), [captions](Caption), [embeddings](Embedding) and [scores of texts](TextScorer).

mod caption;
mod classify;
mod coca;
mod decoder;
mod embedding;
mod encode;
mod encoded_image;
mod error;
mod everyday;
mod frame_encoder;
mod label;
mod likelihood;
mod on_demand;
mod output;
mod score;
mod table;

pub use caption::Caption;
pub use classify::{Labels, ScoredLabel};
pub use coca::Coca;
pub use decoder::{CaptionDecoder, CrossKv};
pub use embedding::Embedding;
pub use encoded_image::EncodedImage;
pub use error::Error;
pub use everyday::everyday_names;
pub use frame_encoder::FrameEncoder;
pub use score::{Evidence, ScoreOptions, ScoredText, TextScorer};
