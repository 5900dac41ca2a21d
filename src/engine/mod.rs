//! Runs ONNX graphs: tract loads, optimises and executes every part of a model.

mod error;
mod graph;
mod machine;
mod onnx;
mod threads;
mod weights;

pub use error::Error;
pub use graph::{Graph, Input};
pub use machine::cpu_features;
pub use onnx::Onnx;
pub use threads::{set_threads, threads};
pub use weights::Weights;
