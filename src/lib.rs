//! CoCa (Contrastive Captioners) on small boards: labels and captions for pictures, offline, on the CPU.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use coca_edge::{CaptionOptions, Coca};
//!
//! let coca = Coca::pocket()?; // the model inside the program; or Coca::open("models/vit-b-32")
//! let image = coca.encode_image(&image::open("tests/photos/cat.jpg")?)?; // encoded once
//! let labels = coca.labels(["cat", "dog", "house"])?; // text embeddings, computed once
//! let best = labels.classify(&image, 3)?;
//! assert_eq!(best[0].label, "cat");
//! let caption = coca.caption(&image, &CaptionOptions::default())?;
//! println!("{}", caption.text);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Crates
//! This crate re-exports the crates of the project; each depends only on those above it.
//!
//! | module | crate | contents |
//! |---|---|---|
//! | [`host`] | coca-host | the machine: cores, memory, temperature |
//! | [`kernels`] | coca-kernels | int8 and f32 kernels for each instruction set; all that needs `unsafe` |
//! | [`engine`] | coca-engine | runs ONNX graphs: fused operators on the kernels, tract for the rest |
//! | [`vision`] | coca-vision | decoding and preprocessing of images and camera frames |
//! | [`text`] | coca-text | tokenization, prompt templates |
//! | [`bundle`], [`generate`], [`teach`], [`tasks`] | coca-model | a model's files; caption searches; classifiers from a few pictures; labels, captions, embeddings, scores, questions |
//! | [`index`] | coca-index | an index over folders of pictures, and search in it |
//! | [`camera`], [`display`], [`watch`], [`doctor`] | coca-watch | live labels and captions of a camera |

#![forbid(unsafe_code)]

pub use coca_engine as engine;
pub use coca_engine::Engine;
pub use coca_host as host;
#[cfg(feature = "index")]
pub use coca_index as index;
pub use coca_kernels as kernels;
pub use coca_model::{
    Answer, Asker, Bundle, Caption, CaptionOptions, Coca, Embedding, EncodedImage, Error,
    FrameEncoder, Labels, ScoredLabel, ScoredText, Search, Teacher, TextScorer, bundle, generate,
    tasks, teach,
};
pub use coca_text as text;
pub use coca_text::Templates;
pub use coca_vision as vision;
#[cfg(feature = "watch")]
pub use coca_watch::{
    Counters, FrameCaption, TrackedLabel, camera, display, doctor, pipeline as watch, redact,
};

/// README's example, compiled and run with the documentation's tests.
#[cfg(all(doctest, feature = "pocket"))]
#[doc = include_str!("../README.md")]
struct Readme;
