//! Makes coca-edge bundles: [`import`](mod@import) turns open_clip's and transformers' checkpoints into them, [`int8`](mod@int8) stores
//! their weights as 8-bit integers, a quarter of the size, and [`compare`](mod@compare) measures what that costs.
//!
//! Each module depends only on those above it.
//!
//! | module | content |
//! |---|---|
//! | [`staging`] | folders that end up complete or removed, even after a signal |
//! | [`bundle_writer`] | atomic writing of a bundle's folder |
//! | [`checkpoint`] | named tensors in a safetensors file or a torch zip |
//! | [`open_clip`] | CoCa and CLIP: configurations, and the tensors that each has |
//! | [`transformers`] | the same of Hugging Face's `CLIPModel`, and its tokenizer |
//! | [`onnx`] | the graphs of a bundle's parts |
//! | [`vocabulary`] | CLIP's tokenizer |
//! | [`import`](mod@import) | from a checkpoint to a bundle |
//! | [`int8`](mod@int8) | from a bundle to one with 8-bit weights |
//! | [`compare`](mod@compare) | agreement, noise and speed of two bundles of one model |

#![forbid(unsafe_code)]

pub mod bundle_writer;
pub mod checkpoint;
pub mod compare;
pub mod import;
pub mod int8;
pub mod onnx;
pub mod open_clip;
pub mod staging;
pub mod transformers;
pub mod vocabulary;
