//! int8 and f32 kernels for vision and language models on the CPU: linear layers, attention, layer normalisation, depthwise
//! convolutions, packed weights and a thread pool.
//!
//! Every kernel takes a [`Cpu`], the proof that this CPU has an instruction set. The instruction set decides how fast a result
//! comes, never what it is: results are equal bit for bit on every CPU, and tests hold each instruction set to the scalar code.
//!
//! A layer is prepared once for a call ([`Linear::new`], [`Attention::new`], [`Depthwise::new`]), which checks every shape,
//! and then worked on by all threads of a [`Pool`]:
//!
//! ```
//! use coca_kernels::{
//!     Activation, Cpu, Epilogue, Int8Weights, Linear, LinearInput, Matrix, Pool, QuantizedRows,
//!     WeightMemory, Weights,
//! };
//!
//! let (cpu, memory, pool) = (Cpu::best(), WeightMemory::new(), Pool::start(2)?);
//! // Four inputs, two outputs: weights are int8 × scale.
//! let matrix = Matrix::OutputsFirst(&[100, 0, 0, 0, 0, 50, 50, 0]);
//! let weights = Int8Weights::pack(&memory, cpu, matrix, 4, &[0.01, 0.01]).expect("2 × 4 weights");
//! let weights = Weights::Int8(weights);
//!
//! let rows = QuantizedRows::new(cpu, &[3.0, 2.0, -4.0, 9.0], 4, None, Some(&pool)).expect("one row");
//! let epilogue = Epilogue { bias: None, activation: Activation::Identity, residual: None };
//! let mut output = [0.0; 2];
//! let input = LinearInput::Int8(&rows);
//! let layer = Linear::new(cpu, input, &weights, epilogue, &mut output, pool.threads()).expect("shapes fit");
//! Pool::broadcast(Some(&pool), || layer.work());
//! assert!((output[0] - 3.0).abs() < 0.05 && (output[1] + 1.0).abs() < 0.05);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! This is the only crate of coca-edge with `unsafe` code: SIMD intrinsics, parts of one output that threads write side by
//! side, closures that a pool's threads borrow, mapped files and the signal of one that was cut, and a setting of the C library's heap.

mod activation;
mod attention;
mod attention_input;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod byte_product;
mod codes;
mod conv2d;
mod depthwise;
#[cfg(test)]
mod depthwise_tests;
mod disjoint;
mod dispatch;
#[cfg(target_arch = "aarch64")]
mod dotprod;
mod f32_product;
mod fatal_signal;
mod heap;
#[cfg(target_arch = "aarch64")]
mod i8mm;
mod isa;
mod lanes;
mod layer_norm;
mod linear;
mod mapping;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_f32_product;
mod packed_keys;
mod pool;
mod row_query;
mod rows;
// Other tests run the same scalar code; what these compare are machines.
#[cfg(test)]
#[cfg(not(miri))]
mod same_everywhere_tests;
mod scalar;
#[cfg(target_arch = "aarch64")]
mod smull;
pub mod static_int8;
#[cfg(test)]
mod tests;
mod weight_memory;
mod weights;
mod work_queue;
mod ycbcr;
#[cfg(target_arch = "x86_64")]
mod ymm;

pub use activation::Activation;
pub use attention::Attention;
pub use attention_input::{AttentionInput, AttentionShape, CachedRows, HeadRows, KeyValues, Mask};
pub use conv2d::Conv2d;
pub use depthwise::{Depthwise, DepthwiseFilters};
pub use dispatch::{Cpu, InstructionSet, UnknownInstructionSet};
#[cfg(unix)]
pub use fatal_signal::{exit_on_abort, exit_on_lost_file};
#[cfg(unix)]
pub use heap::share_heap_within_address_limit;
pub use layer_norm::LayerNorm;
pub use linear::{Epilogue, Linear, LinearInput};
pub use mapping::MappedFile;
pub use packed_keys::{PANEL_COLUMNS, PackedKeys, pack_keys, pack_values};
pub use pool::Pool;
pub use row_query::{ROW_PADDING, RowQuery};
pub use rows::QuantizedRows;
pub use weight_memory::{OutOfMemory, WeightMemory};
pub use weights::{F32Weights, Int8Weights, Matrix, PackError, Weights};
pub use ycbcr::Ycbcr;
