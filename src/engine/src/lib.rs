//! Runs ONNX graphs: fused operators on our own kernels, and tract for everything else.
//!
//! tract loads, optimises and executes every part of a model. Before it does, rules put a fused operator
//! in the place of each linear layer, attention, layer norm and embedding they recognise. A graph that no
//! rule recognises runs on tract alone; [`Graph::execution`] tells how much of it did.

#![forbid(unsafe_code)]

mod arithmetic;
mod engine;
mod environment;
mod error;
mod freed_memory;
mod fused;
mod graph;
mod layout;
mod onnx;
mod rewrite;
mod rules;
mod shared_tensor;
mod weights;

pub use arithmetic::Arithmetic;
pub use engine::{Engine, EngineBuilder};
pub use error::Error;
pub use graph::{Execution, Graph, Input};
pub use onnx::Onnx;
pub use rewrite::Unfused;
pub use rules::Rules;
pub use shared_tensor::{RowStore, SharedTensor};
pub use weights::{FileBytes, Weights};
