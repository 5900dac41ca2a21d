//! CLIP as Hugging Face's transformers stores it (`CLIPModel.save_pretrained`), as a model of open_clip's architecture.

mod config;
mod error;
mod pixels;
mod tokenizer;
mod weights;

pub use config::ClipConfig;
pub use error::Error;
pub use pixels::read_pixels;
pub use tokenizer::ClipTokenizer;
pub use weights::take_weights;
