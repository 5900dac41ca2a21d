//! `coca score`, `ask`, `teach`, `labels`, `index`, `search` and `similar`, and `--none`, as a user meets them.
#![cfg(all(feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod ask;
mod clip;
mod command;
mod none;
mod pictures;
mod score;
mod search;
mod teach;
