//! The only room with `unsafe` in it: what Rust's type system cannot check.
//!
//! Every other module of the crate denies unsafe code.
#![allow(unsafe_code)]

mod mapping;

pub use mapping::MappedFile;
