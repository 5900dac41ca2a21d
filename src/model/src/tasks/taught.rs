//! Labels that pictures have taught.

use ndarray::{Array1, Array2, ArrayView1, aview1};

use crate::teach::Cache;

/// Pictures that taught labels, and the classifier fitted to them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taught {
    pub(super) shots: Vec<Shot>,
    pub(super) method: Method,
    /// Whether the names' embeddings count beside the pictures.
    pub(super) uses_names: bool,
    pub(super) classifier: Classifier,
}

/// The label of a picture of none of the labels.
pub(super) const NONE: usize = usize::MAX;

/// An embedded picture of a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shot {
    /// Index of the label; [`NONE`] stands for none of them.
    pub(super) label: usize,
    /// Where it came from, for reports.
    pub(super) source: String,
    /// `[E]`, of length 1.
    pub(super) embedding: Vec<f32>,
}

/// Kind of classifier that pictures teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// [`Method::Gda`], which was the best for any number of pictures.
    #[default]
    Auto,
    /// Gaussian discriminant analysis, with a covariance for all labels: [`Gaussian`](crate::teach::Gaussian).
    Gda,
    /// Tip-Adapter's cache: [`Cache`].
    Tip,
    /// Nearest prototype: [`Prototypes`](crate::teach::Prototypes).
    Prototype,
}

/// Logits of the labels from an image's embedding.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Classifier {
    /// The names' embeddings alone.
    Names,
    /// x·weightsᵀ + bias, names included.
    Linear {
        /// `[labels, E]`
        weights: Array2<f32>,
        /// `[labels]`
        bias: Array1<f32>,
    },
    /// `weight` times the cache's logits, and the names'.
    Cache { weight: f32 },
}

impl Taught {
    /// The logits of all labels; `names` are those that the names' embeddings give.
    pub(super) fn logits(&self, image: ArrayView1<'_, f32>, names: Array1<f32>) -> Array1<f32> {
        self.classifier.logits(&self.shots, self.uses_names, image, names)
    }
}

impl Classifier {
    /// As [`Taught::logits`].
    pub(super) fn logits(
        &self,
        shots: &[Shot],
        uses_names: bool,
        image: ArrayView1<'_, f32>,
        names: Array1<f32>,
    ) -> Array1<f32> {
        match self {
            Self::Names => names,
            Self::Linear { weights, bias } => weights.dot(&image) + bias,
            Self::Cache { weight } => {
                let labels = names.len();
                let mut logits = if uses_names { names } else { Array1::zeros(labels) };
                for shot in shots.iter().filter(|shot| shot.label < labels) {
                    let cosine = aview1(&shot.embedding).dot(&image);
                    logits[shot.label] += weight * (-(Cache::BETA as f32) * (1.0 - cosine)).exp();
                }
                logits
            }
        }
    }
}
