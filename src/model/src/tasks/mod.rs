//! What a model is for: [labels](Labels), [captions](Caption) and [embeddings](Embedding).

mod caption;
mod classify;
mod coca;
mod embedding;
mod encoded_image;
mod error;
mod everyday;
mod on_demand;
mod table;
mod timing;

pub use classify::{Labels, ScoredLabel};
pub use coca::{Caption, Coca};
pub use embedding::Embedding;
pub use encoded_image::EncodedImage;
pub use error::Error;
pub use everyday::everyday_names;
pub use timing::{Part, Timing};
