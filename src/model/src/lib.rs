//! CoCa (Contrastive Captioners) models: bundles, labels, captions and embeddings.
//!
//! | module | contents |
//! |---|---|
//! | [`bundle`] | a model's files: `coca.json`, ONNX parts, weights |
//! | [`generate`] | beam searches, greedy search and sampling, without a model |
//! | [`teach`] | classifiers from a few embeddings for each label, without a model |
//! | [`tasks`] | [`Coca`]: labels, captions, embeddings, scores of texts |
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use coca_model::{CaptionOptions, Coca};
//!
//! let coca = Coca::pocket()?; // the model inside the program; or Coca::open("models/vit-b-32")
//! let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?; // encoded once
//! let labels = coca.labels(["cat", "dog", "house"])?; // text embeddings, computed once
//! let best = labels.classify(&image, 3)?;
//! assert_eq!(best[0].label, "cat");
//! let caption = coca.caption(&image, &CaptionOptions::default())?;
//! println!("{}", caption.text);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod bundle;
pub mod generate;
pub mod tasks;
pub mod teach;

pub use bundle::Bundle;
pub use generate::{CaptionOptions, Search};
pub use tasks::{
    Answer, Asker, Caption, Coca, Embedding, EncodedImage, Error, FrameEncoder, Labels,
    ScoredLabel, ScoredText, Teacher, TextScorer,
};
