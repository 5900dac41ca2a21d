//! The part of a label table that pictures have taught.
//!
//! | | |
//! |---|---|
//! | metadata `taught` | method, classifier, each picture's label and source, the label for everything else |
//! | tensor `shots` | f32 `[pictures, E]` |
//! | tensors `weights`, `bias` | f32 `[labels, E]`, `[labels]`: a linear classifier |
//! | tensor `prototypes` | f32 `[labels, E]`: what the label for everything else is measured with |

use std::collections::BTreeMap;

use ndarray::{Array, Array1, Array2, Dimension};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{
    none::NoneRule,
    taught::{Classifier, Method, NONE, Shot, Taught},
};

/// Key of the metadata.
pub(super) const KEY: &str = "taught";

/// A tensor to be written.
pub(super) struct Tensor {
    shape: Vec<usize>,
    /// Little-endian f32.
    pub(super) data: Vec<u8>,
}

/// The contents of a table beside its names' embeddings.
pub(super) struct TaughtPart {
    pub(super) taught: Taught,
    pub(super) none: Option<(String, NoneRule)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    method: Method,
    uses_names: bool,
    classifier: Kind,
    shots: Vec<ShotEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    none: Option<NoneEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Names,
    Linear,
    Cache { weight: f32 },
}

#[derive(Serialize, Deserialize)]
struct ShotEntry {
    /// Absent for a picture of none of the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<usize>,
    source: String,
}

#[derive(Serialize, Deserialize)]
struct NoneEntry {
    name: String,
    threshold: f32,
    deviation: f32,
}

impl Tensor {
    pub(super) fn of<D: Dimension>(array: &Array<f32, D>) -> Self {
        let data = array.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { shape: array.shape().to_vec(), data }
    }

    pub(super) fn view(&self) -> Result<TensorView<'_>, SafeTensorError> {
        TensorView::new(Dtype::F32, self.shape.clone(), &self.data)
    }
}

/// The metadata and the tensors.
pub(super) fn write(
    taught: &Taught,
    none: Option<(&str, &NoneRule)>,
) -> (String, BTreeMap<&'static str, Tensor>) {
    let mut tensors = BTreeMap::new();
    let classifier = match &taught.classifier {
        Classifier::Names => Kind::Names,
        Classifier::Cache { weight } => Kind::Cache { weight: *weight },
        Classifier::Linear { weights, bias } => {
            tensors.extend([("weights", Tensor::of(weights)), ("bias", Tensor::of(bias))]);
            Kind::Linear
        }
    };
    let none = none.and_then(|(name, rule)| match rule {
        // That the names have a label for everything else is a matter of use, not of the table.
        NoneRule::Names(_) => None,
        NoneRule::Pictures { prototypes, threshold, deviation } => {
            tensors.insert("prototypes", Tensor::of(prototypes));
            let (threshold, deviation) = (*threshold, *deviation);
            Some(NoneEntry { name: name.to_owned(), threshold, deviation })
        }
    });
    let width = taught.shots.first().map_or(0, |shot| shot.embedding.len());
    let element = |(i, e): (usize, usize)| taught.shots[i].embedding[e];
    let shots = Array2::from_shape_fn((taught.shots.len(), width), element);
    tensors.insert("shots", Tensor::of(&shots));
    let entry = |shot: &Shot| ShotEntry {
        label: (shot.label != NONE).then_some(shot.label),
        source: shot.source.clone(),
    };
    let description = Description {
        method: taught.method,
        uses_names: taught.uses_names,
        classifier,
        shots: taught.shots.iter().map(entry).collect(),
        none,
    };
    (serde_json::json!(description).to_string(), tensors)
}

/// Reads the part of a table whose names' embeddings are `[labels, width]`.
///
/// # Errors
/// A sentence that names what is wrong.
pub(super) fn read(
    description: &str,
    tensors: &SafeTensors<'_>,
    (labels, width): (usize, usize),
) -> Result<TaughtPart, String> {
    let description: Description =
        serde_json::from_str(description).map_err(|e| format!("{KEY}: {e}"))?;
    let matrix = |name: &str, rows: usize| {
        let elements = elements(tensors, name, &[rows, width])?;
        Array2::from_shape_vec((rows, width), elements).map_err(|e| format!("{name}: {e}"))
    };
    let classifier = match description.classifier {
        Kind::Names => Classifier::Names,
        Kind::Cache { weight } => Classifier::Cache { weight },
        Kind::Linear => Classifier::Linear {
            weights: matrix("weights", labels)?,
            bias: Array1::from(elements(tensors, "bias", &[labels])?),
        },
    };
    let embeddings = matrix("shots", description.shots.len())?;
    check_lengths("shots", &embeddings)?;
    let mut shots = Vec::with_capacity(description.shots.len());
    for (entry, row) in description.shots.into_iter().zip(embeddings.rows()) {
        if let Some(label) = entry.label.filter(|&label| label >= labels) {
            return Err(format!("{KEY}: expected labels below {labels}, found {label}"));
        }
        let (label, source) = (entry.label.unwrap_or(NONE), entry.source);
        shots.push(Shot { label, source, embedding: row.to_vec() });
    }
    let none = match description.none {
        None => None,
        Some(NoneEntry { name, threshold, deviation }) => {
            if !threshold.is_finite() || !deviation.is_finite() || deviation <= 0.0 {
                return Err(format!("{KEY}: expected a threshold and a deviation above 0"));
            }
            let prototypes = matrix("prototypes", labels)?;
            Some((name, NoneRule::Pictures { prototypes, threshold, deviation }))
        }
    };
    let (method, uses_names) = (description.method, description.uses_names);
    Ok(TaughtPart { taught: Taught { shots, method, uses_names, classifier }, none })
}

/// Refuses rows that are no embeddings, whose length is 1: a fit relies on that.
pub(super) fn check_lengths(name: &str, embeddings: &Array2<f32>) -> Result<(), String> {
    // The oldest tables have 16 bits an element.
    const TOLERANCE: f32 = 0.01;
    let mut lengths = embeddings.rows().into_iter().map(|row| row.dot(&row).sqrt());
    match lengths.find(|length| (length - 1.0).abs() > TOLERANCE) {
        Some(length) => Err(format!("{name}: expected rows of length 1, found {length}")),
        None => Ok(()),
    }
}

/// The elements of a tensor of this shape, all finite.
fn elements(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        let found = format!("{} {:?}", tensor.dtype(), tensor.shape());
        return Err(format!("{name}: expected F32 {shape:?}, found {found}"));
    }
    let bytes = tensor.data().as_chunks().0.iter();
    let elements: Vec<f32> = bytes.map(|&b| f32::from_le_bytes(b)).collect();
    match elements.iter().all(|element| element.is_finite()) {
        true => Ok(elements),
        false => Err(format!("{name}: expected finite numbers")),
    }
}
