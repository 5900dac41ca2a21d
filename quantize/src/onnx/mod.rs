//! The ONNX graphs of a model, built from its tensors.
//!
//! Inputs and outputs of the parts are those that [`coca_model::bundle::Bundle`] describes. Weights are external data
//! in files beside the graphs: a [`WeightFile`] makes them from the checkpoint one by one.

mod blocks;
mod decoder;
pub(crate) mod external_data;
mod text;
mod vision;
mod weight_file;

pub use decoder::{caption_decoder, cross_kv};
pub use text::{TextTower, text_encoder};
pub use vision::image_encoder;
pub use weight_file::{Error, Storage, WeightFile};

/// The file of a graph made by this crate.
fn encode(graph: coca_onnx::builder::GraphBuilder) -> Vec<u8> {
    graph.finish(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).encode()
}
