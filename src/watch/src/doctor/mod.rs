//! A look at the board: what stands in the way of labels and captions, with advice in the words of a shell.
//!
//! Nothing is changed, and no camera is asked for a picture.
//!
//! ```
//! # #[cfg(feature = "pocket")] {
//! use coca_engine::Engine;
//! use coca_model::bundle::Bundle;
//! use coca_watch::doctor::{Board, examine};
//!
//! for finding in examine(&Board::this(&Engine::new()?), &Bundle::pocket()?) {
//!     println!("{}: {}", finding.check, finding.found);
//!     if let Some(advice) = finding.verdict.advice() {
//!         println!("  {advice}");
//!     }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod board;
mod camera;
mod clock;
mod cores;
mod disk;
mod finding;
mod memory;
mod permissions;
mod processor;
mod temperature;
mod throttling;

pub use board::{Board, DiskSpace, Make, Processor};
use coca_model::bundle::Bundle;
pub use finding::{Check, Finding, Verdict};

/// Examines `board`, on which `model` is to run.
#[must_use]
pub fn examine(board: &Board, model: &Bundle) -> Vec<Finding> {
    [
        camera::examine(board),
        permissions::examine(board),
        processor::examine(board),
        cores::examine(board),
        memory::examine(board, memory::Need::of(model)),
        temperature::examine(board),
        throttling::examine(board),
        disk::examine(board),
        clock::examine(board),
    ]
    .concat()
}
