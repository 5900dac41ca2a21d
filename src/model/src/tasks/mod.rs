//! What a model is for: [labels](Labels), [captions](Caption) and [embeddings](Embedding).

pub mod caption;
mod classify;
mod coca;
mod embedding;
mod encoded_picture;
mod error;
mod everyday;
mod on_demand;
mod table;
mod timing;

pub use caption::{CaptionOptions, CaptionSettings, Search};
pub use classify::{LabelScore, Labels};
pub use coca::{Caption, Coca};
pub use embedding::Embedding;
pub use encoded_picture::EncodedPicture;
pub use error::Error;
pub use everyday::everyday_names;
pub use timing::{Part, Timing};
