//! ONNX graphs as data, for whoever rewrites them or quantises them.
//!
//! ```text
//! bytes ──Model::parse──▶ GraphProto + Opset        in order, complete and within limits
//!                            │
//!                        GraphIndex       producer of a tensor, its consumers, what subgraphs read
//!                ┌───────────┼──────────────┐
//!            Constants    Layer        weight_uses
//!         a tensor's     MatMul, Gemm,   from a weight forward to
//!         elements, seen Conv, Gather    every layer that reads it
//!         through Cast,  with a weight
//!         Transpose,
//!         DequantizeLinear
//! ```
//!
//! The protobuf types are those of tract, [`pb`]; nothing here runs a graph.

#![forbid(unsafe_code)]

pub mod attribute;
pub mod builder;
mod check;
mod constants;
mod decoded_size;
mod edit;
mod error;
mod external;
mod index;
mod layer;
mod model;
mod opset;
pub mod value_info;
mod weight_uses;

pub use constants::{Constants, Elements, StoredWeight, element_count};
pub use error::Error;
pub use external::{ExternalFiles, ExternalRange, external_files, is_external, tensor_bytes};
pub use index::{Consumer, GraphIndex, NodeId};
pub use layer::{Convolution, Layer, Linear, Lookup, Spatial};
pub use model::Model;
pub use opset::{Opset, operator};
pub use tract_onnx::pb;
pub use weight_uses::{WeightUse, WeightUses};
