//! CoCa (Contrastive Captioners) on small boards: labels and captions for pictures, offline, on the CPU.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use coca_edge::{CaptionOptions, Coca};
//!
//! let coca = Coca::pocket()?; // the model inside the program; or Coca::open("models/vit-b-32")
//! let picture = coca.encode_image(&image::open("tests/photos/cat.jpg")?)?; // encoded once
//! let labels = coca.labels(["cat", "dog", "house"])?; // text embeddings, computed once
//! let best = labels.classify(&picture, 3)?;
//! assert_eq!(best[0].label, "cat");
//! let caption = coca.caption(&picture, &CaptionOptions::default())?;
//! println!("{}", caption.text);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Crates
//! This crate re-exports what others of the project hold; each leans only on those above it.
//!
//! | module | crate | what it holds |
//! |---|---|---|
//! | [`host`] | coca-host | the machine: cores, memory, temperature |
//! | [`kernels`] | coca-kernels | int8 and f32 kernels for each instruction set; all that needs `unsafe` |
//! | [`engine`] | coca-engine | runs ONNX graphs: fused operators on the kernels, tract for the rest |
//! | [`vision`] | coca-vision | pictures and camera frames → normalised pixels |
//! | [`text`] | coca-text | texts → token ids, templates |
//! | [`bundle`], [`generate`], [`tasks`] | coca-model | a model's folder; caption searches; labels, captions, embeddings |
//! | [`camera`], [`display`], [`watch`], [`doctor`] | coca-watch | a camera in, live labels and captions out |

#![forbid(unsafe_code)]

pub use coca_engine as engine;
pub use coca_engine::Engine;
pub use coca_host as host;
pub use coca_kernels as kernels;
pub use coca_model::{
    Bundle, Caption, CaptionOptions, Coca, Embedding, EncodedImage, Error, Labels, ScoredLabel,
    Search, bundle, generate, tasks,
};
pub use coca_text as text;
pub use coca_text::Templates;
pub use coca_vision as vision;
#[cfg(feature = "watch")]
pub use coca_watch::{camera, display, doctor, pipeline as watch};

/// README's example, compiled and run with the documentation's tests.
#[cfg(all(doctest, feature = "pocket"))]
#[doc = include_str!("../README.md")]
struct Readme;
