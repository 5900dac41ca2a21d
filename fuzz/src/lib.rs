//! Fuzzing: every parser of bytes from outside as a [`Target`], and a driver that needs no other tools.
//!
//! ```text
//! Target::seeds ──▶ Corpus ── Mutator::input(number) ──▶ Target::run
//!                                                          │ panic, abort, too long, too much memory
//!                                    Campaign (processes) ◀┘ the input is computed again from its number and saved
//! ```
//!
//! | module | targets |
//! |---|---|
//! | `bundles` | `coca.json`, `tokenizer.json` |
//! | `graphs` | ONNX graphs with their external data, looked at and run |
//! | `indexes` | an index of pictures |
//! | `models` | whole models, label tables, taught ones |
//! | `pictures` | files of pictures, their EXIF data, frames of a camera |
//! | `settings` | sources, displays, addresses, labels, templates, queries |
//! | `streams` | MJPEG and multipart, HTTP requests and answers |
//! | `weights` | checkpoints that `coca-quantize import` reads |

#![forbid(unsafe_code)]

mod bundles;
mod campaign;
mod corpus;
mod graphs;
mod indexes;
mod models;
mod mutator;
mod packed;
mod pictures;
mod scratch;
mod settings;
mod small_model;
mod streams;
mod target;
mod trial;
mod weights;

pub use campaign::{Campaign, Outcome};
pub use coca_host::silence_caught_panics;
pub use corpus::Corpus;
pub use mutator::Mutator;
pub use target::{Seeds, Target};
pub use trial::{Allocator, Budget, Report, fuzz};

/// All targets.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    let families = [
        settings::TARGETS,
        streams::TARGETS,
        pictures::TARGETS,
        weights::TARGETS,
        bundles::TARGETS,
        graphs::TARGETS,
        models::TARGETS,
        indexes::TARGETS,
    ];
    families.into_iter().flatten()
}

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    targets().find(|target| target.name == name)
}

/// Gives bytes to the target of that name, as libFuzzer does.
///
/// # Panics
/// When there is no such target, and when the target does.
pub fn run(name: &str, bytes: &[u8]) {
    match target(name) {
        Some(target) => (target.run)(bytes),
        None => panic!("there is no target {name}"),
    }
}
