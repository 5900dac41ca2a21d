//! An index over folders of pictures, and exact search in it by texts and pictures.
//!
//! ```text
//! folders ── Indexer ──▶ IndexWriter ──▶ index.redb (paths, times, labels, captions), codes, scales, vectors
//!                                                              │
//! words, pictures ── Term ──▶ Embedding ── Query ──▶ Index::search ──▶ Answer
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`IndexWriter`], [`Index`] | writing by one process, reading by others meanwhile |
//! | [`Indexer`] | folders → pictures → embeddings: only what is new is encoded |
//! | [`Query`], [`Filter`], [`Term`] | what to find |
//!
//! A search multiplies the query with every embedding, in int8, and looks again, in f32, at those that the rounding leaves in doubt:
//! nothing is missed, and a million embeddings of 512 take tens of milliseconds on one core. An index holds embeddings of one model
//! and refuses another's.

#![forbid(unsafe_code)]

mod background;
mod captions;
mod content;
mod database;
mod error;
mod filter;
mod follow;
mod fusion;
#[doc(hidden)]
pub mod fuzzing;
mod generations;
mod index;
mod indexing;
mod location;
mod memory;
mod picture;
mod quantized;
mod query;
mod rows;
mod scan;
mod search;
mod similar;
mod snapshot;
mod terms;
#[cfg(test)]
mod tests;
mod vectors;
mod writer;

pub use background::Background;
pub use error::Error;
pub use filter::Filter;
pub use follow::Follower;
pub use index::Index;
pub use indexing::{IndexOptions, Indexer, Progress, Summary};
pub use location::{FOLDER_NAME, nearest};
pub use picture::Picture;
pub use query::{Answer, DEFAULT_MIN_SHARE, Hit, Query};
pub use similar::SimilarGroup;
pub use terms::{Subject, Term};
pub use writer::IndexWriter;
