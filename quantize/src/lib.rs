//! Makes coca-edge bundles: `import` turns open_clip checkpoints into them.
//!
//! Each room leans only on those above it.
//!
//! | room | what it holds |
//! |---|---|
//! | [`bundle_writer`] | a bundle's folder, there whole or not at all |
//! | [`checkpoint`] | named tensors in a safetensors file or a torch zip |
//! | [`open_clip`] | configurations, and the tensors that each has |
//! | [`onnx`] | the graphs of the four parts |
//! | [`vocabulary`] | CLIP's tokenizer |
//! | [`import`] | all of it: a checkpoint becomes a bundle |

pub mod bundle_writer;
pub mod checkpoint;
pub mod import;
pub mod onnx;
pub mod open_clip;
pub mod vocabulary;
