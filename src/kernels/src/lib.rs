//! int8 and f32 kernels for each instruction set, packed weights and a thread pool: the only crate with `unsafe` in it.
//!
//! A kernel asks for a [`Cpu`], which only
//! exists for an instruction set that this CPU has. What a kernel computes does not depend on the
//! instruction set: the results are equal bit for bit, and tests hold every one to the scalar code.

mod activation;
mod attention;
mod attention_input;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod depthwise;
#[cfg(test)]
mod depthwise_tests;
mod disjoint;
#[cfg(target_arch = "aarch64")]
mod dotprod;
mod elementary;
mod f32_product;
#[cfg(target_arch = "aarch64")]
mod i8mm;
mod instruction_set;
mod lanes;
mod layer_norm;
mod linear;
mod mapping;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed_keys;
mod pool;
mod rows;
#[cfg(test)]
mod same_everywhere_tests;
mod scalar;
pub mod static_int8;
#[cfg(test)]
mod tests;
mod weight_memory;
mod weights;
mod window;
mod work_queue;

pub use activation::Activation;
pub use attention::Attention;
pub use attention_input::{AttentionInput, AttentionShape, CachedRows, HeadRows, Mask, Memory};
pub use depthwise::{Depthwise, DepthwiseFilters};
pub use instruction_set::{Cpu, InstructionSet, UnknownInstructionSet};
pub use layer_norm::LayerNorm;
pub use linear::{Epilogue, Linear, LinearInput};
pub use mapping::MappedFile;
pub use packed_keys::{PANEL_COLUMNS, PackedKeys, pack_keys, pack_values};
pub use pool::Pool;
pub use rows::QuantizedRows;
pub use weight_memory::WeightMemory;
pub use weights::{F32Weights, Int8Weights, Matrix, Weights};
pub use window::Window;
