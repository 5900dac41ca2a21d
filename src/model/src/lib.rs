//! CoCa models: the folder that holds one, and its labels, captions and embeddings.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use coca_model::{CaptionOptions, Coca};
//!
//! let coca = Coca::pocket()?; // the model inside the program; or Coca::open("models/vit-b-32")
//! let picture = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?; // encoded once
//! let labels = coca.labels(["cat", "dog", "house"])?; // text embeddings, computed once
//! let best = labels.classify(&picture, 3)?;
//! assert_eq!(best[0].label, "cat");
//! let caption = coca.caption(&picture, &CaptionOptions::default())?;
//! println!("{}", caption.text);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod bundle;
pub mod generate;
pub mod tasks;

pub use bundle::Bundle;
pub use generate::{CaptionOptions, Search};
pub use tasks::{Caption, Coca, Embedding, EncodedImage, Error, Labels, ScoredLabel};
