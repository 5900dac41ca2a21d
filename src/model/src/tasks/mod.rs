//! Zero-shot [labels](Labels), [captions](Caption), [embeddings](Embedding) and [scores of texts](TextScorer).

mod ask;
mod caption;
mod classify;
mod coca;
mod cohort;
mod decoder;
mod embedding;
mod encode;
mod encoded_image;
mod error;
mod everyday;
mod frame_encoder;
mod label;
mod likelihood;
mod none;
mod on_demand;
mod output;
mod score;
mod softmax;
mod table;
#[cfg(test)]
mod table_tests;
mod taught;
mod taught_table;
mod teacher;
mod text_check;
mod views;

pub use ask::{Answer, Asker, ScoredAnswer};
pub use caption::Caption;
pub use classify::{Labels, ScoredLabel, is_same_name};
pub use coca::Coca;
pub use cohort::{Cohort, CosineScale};
pub use decoder::{CaptionDecoder, CrossKv};
pub use embedding::Embedding;
pub use encoded_image::EncodedImage;
pub use error::Error;
pub use everyday::everyday_names;
pub use frame_encoder::FrameEncoder;
pub use score::{Evidence, ScoreOptions, ScoredText, TextScorer};
pub use taught::Method;
pub use teacher::{Confusion, LabelReport, NoneReport, Report, SameMoment, Teacher, Threshold};
pub use text_check::LabelCheck;
