//! Makes coca-edge bundles: `import` turns open_clip checkpoints into them, `int8` stores them in a quarter of the
//! space, `compare` says what that has cost.
//!
//! Each room leans only on those above it.
//!
//! | room | what it holds |
//! |---|---|
//! | [`unfinished`] | folders that are whole in the end or gone, even after a signal |
//! | [`bundle_writer`] | a bundle's folder, there whole or not at all |
//! | [`checkpoint`] | named tensors in a safetensors file or a torch zip |
//! | [`open_clip`] | configurations, and the tensors that each has |
//! | [`onnx`] | the graphs of the four parts |
//! | [`vocabulary`] | CLIP's tokenizer |
//! | [`import`] | all of it: a checkpoint becomes a bundle |
//! | [`int8`] | a bundle's weights become 8-bit integers |
//! | [`compare`] | how far two bundles of one model agree |

#![forbid(unsafe_code)]

pub mod bundle_writer;
pub mod checkpoint;
pub mod compare;
pub mod import;
pub mod int8;
pub mod onnx;
pub mod open_clip;
pub mod unfinished;
pub mod vocabulary;
