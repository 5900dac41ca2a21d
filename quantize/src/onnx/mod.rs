//! The ONNX graphs of a CoCa, built from its tensors.
//!
//! What the parts read and give stands with [`coca_model::bundle::Bundle`]; here is how they compute it. Weights
//! go to files beside the graphs as they are read, so that no more than one tensor is in memory.

mod blocks;
mod decoder;
pub(crate) mod external_data;
mod graph;
mod text;
mod vision;
mod weight_file;

pub use decoder::{caption_decoder, cross_kv};
pub(crate) use graph::int;
pub use text::{TextTower, text_encoder};
pub use vision::image_encoder;
pub use weight_file::{Error, Storage, WeightFile};
