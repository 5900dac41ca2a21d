//! The kernels of coca-edge, nothing else.

#[path = "../../../../src/kernels/mod.rs"]
pub mod kernels;
