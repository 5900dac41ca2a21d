//! `coca score`, as a user meets it.
#![cfg(all(feature = "cli", feature = "pocket"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod command;
mod score;
