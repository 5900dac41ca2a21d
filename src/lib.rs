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
//! # Rooms
//! Each leans only on those above it.
//!
//! | room | what it holds |
//! |---|---|
//! | [`kernels`] | int8 and f32 kernels for each instruction set; all that needs `unsafe` |
//! | [`engine`] | runs ONNX graphs: fused operators on the kernels, tract for the rest |
//! | [`vision`] | pictures → normalised pixels |
//! | [`text`] | texts → token ids, templates |
//! | [`bundle`] | a model's folder: description, checksums, parts |
//! | [`tasks`] | labels, captions, embeddings |
//! | [`camera`] | sources of frames, the newest frame of one |
//! | [`display`] | live views on a framebuffer, a panel, a PNG file, a window, a web page |
//! | [`watch`] | a camera in, live labels and captions out |
//! | [`doctor`] | what stands in the way on a board, and what to do |

pub mod bundle;
pub mod camera;
pub mod display;
pub mod doctor;
pub mod engine;
pub mod kernels;
pub mod tasks;
pub mod text;
pub mod vision;
pub mod watch;

pub use bundle::Bundle;
pub use engine::{set_threads, threads};
pub use tasks::{
    Caption, CaptionOptions, Coca, Embedding, EncodedPicture, Error, LabelScore, Labels, Search,
};
pub use text::Templates;
