//! Classifiers from a few embeddings for each label, in closed form and without a model.
//!
//! ```text
//! Shots [n, E] ──▶ Gaussian, Prototypes, Cache ── leave one out ──▶ calibration ──▶ weight of pictures beside names
//! ```
//!
//! Every classifier gives logits `[images, labels]`, and those of each shot as if it had been left out of the fit:
//! exactly, and without fitting again. From the latter alone [`mix`] chooses how much pictures count beside names, so
//! that no shot has to be set aside for validation.
//!
//! ```
//! use coca_model::teach::{Anchors, Gaussian, Prior, Shots};
//! use ndarray::array;
//!
//! let shots = Shots::new(array![[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], vec![0, 0, 1, 1], 2);
//! let fit = Gaussian::fit(&shots, &Anchors::none(&shots), &Prior::isotropic(2));
//! let logits = fit.logits(array![[0.95, 0.05]].view());
//! assert!(logits[[0, 0]] > logits[[0, 1]]);
//! assert_eq!(fit.leave_one_out(&shots).dim(), (4, 2));
//! ```

mod cache;
mod cholesky;
mod gaussian;
mod likelihood;
mod mixing;
mod moments;
mod prior;
mod prototypes;
mod shots;

pub use cache::Cache;
pub use gaussian::Gaussian;
pub use likelihood::calibrate;
pub(crate) use mixing::best;
pub use mixing::{Mix, accuracy, mix};
pub use moments::same_moments;
pub use prior::Prior;
pub use prototypes::Prototypes;
pub use shots::{Anchors, Shots};

#[cfg(test)]
mod property_tests;
