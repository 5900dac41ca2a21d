//! Runs ONNX graphs: fused operators on the kernels of coca-kernels, and tract for everything else.
//!
//! ```text
//! ONNX file   LayerNormalization → MatMul → Add → Erf … Mul → Add    Softmax …    Sigmoid
//!                 │ Onnx::parse
//! rules       └──────────────── FusedLinear ───────────────┘    FusedAttention    Sigmoid
//!                 │ Graph::prepare
//! tract       loads, optimises and runs all of it ──▶ Graph::run
//! ```
//!
//! Rules put a fused operator in the place of each linear layer, convolution, attention, layer norm and embedding that
//! they recognise, and of what selects the largest elements of rows. What no rule recognises runs on tract alone;
//! [`Graph::execution`] tells which operators did, and why those that begin like a known pattern are none. [`Rules::Off`]
//! leaves everything to tract.

#![forbid(unsafe_code)]

mod arithmetic;
mod buffers;
mod checked_axis;
mod culprit;
mod engine;
mod environment;
mod error;
mod fused;
mod graph;
mod kv_pages;
mod layout;
mod onnx;
mod plan;
mod profile;
mod rewrite;
mod rules;
mod shared_tensor;
mod top_k;
mod weights;

pub use arithmetic::Arithmetic;
pub use engine::{Engine, EngineBuilder};
pub use error::Error;
pub use graph::{Execution, Graph, Input};
pub use kv_pages::KvPages;
pub use onnx::Onnx;
pub use profile::OperatorTime;
pub use rewrite::Unfused;
pub use rules::Rules;
pub use shared_tensor::SharedTensor;
pub use weights::{FileBytes, Weights};
