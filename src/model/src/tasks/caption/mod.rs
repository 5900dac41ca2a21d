//! The caption decoder and its KV cache.

mod cache;
mod decoder;

pub(crate) use decoder::{CachedDecoder, CrossKv};
