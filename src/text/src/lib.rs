//! Tokenization for CLIP and CoCa: labels and prompts to token ids, token ids to captions.
//!
//! ```text
//! label ── Templates ──▶ sentences ── Cleaning ──▶ clean text ── Tokenizer ──▶ ids [N, L]
//! ```
//!
//! A text is [cleaned](Cleaning), tokenized by the model's `tokenizer.json`, and framed by
//! the start and end ids that `coca.json` names ([`TextSpec`]). For a model imported from
//! open_clip every id is the one that open_clip 3.3.0 gives, but for characters that were added to
//! Unicode after version 14: whether such a one is a letter depends on the age of the tables, in
//! Python as here. [`Templates`] make the sentences that stand for a label, [`read_list`] reads labels from a file.

#![forbid(unsafe_code)]

mod cleaning;
mod encodings;
mod error;
mod ftfy;
mod html;
mod list;
mod spec;
mod templates;
mod tokenizer;
mod tokenizer_file;
mod whitespace;

pub use cleaning::Cleaning;
pub use error::Error;
pub use list::{ListItem, parse_list, read_list};
pub use spec::{TextSpec, Vocabulary};
pub use templates::Templates;
pub use tokenizer::{TokenIds, Tokenizer};
