//! The labels that images are compared by.

use std::{collections::HashSet, path::Path};

use coca_model::{Labels, tasks::LabelCheck};
use coca_text::ListItem;
use serde::Serialize;

use super::{
    agreement::{CosineAgreement, CosineTally},
    error::Error,
    model::Model,
    options::Progress,
};

/// Labels of common photos, for a comparison without a list.
const EVERYDAY: [&str; 48] = [
    "person",
    "child",
    "crowd",
    "face",
    "hand",
    "cat",
    "dog",
    "horse",
    "cow",
    "sheep",
    "bird",
    "fish",
    "insect",
    "flower",
    "tree",
    "forest",
    "beach",
    "mountain",
    "river",
    "sky",
    "snow",
    "street",
    "building",
    "house",
    "bridge",
    "car",
    "bus",
    "truck",
    "bicycle",
    "motorcycle",
    "train",
    "airplane",
    "boat",
    "kitchen",
    "bedroom",
    "bathroom",
    "chair",
    "table",
    "bed",
    "computer",
    "phone",
    "book",
    "clock",
    "plate of food",
    "fruit",
    "cake",
    "cup of coffee",
    "ball",
];

pub(super) fn everyday() -> Vec<String> {
    EVERYDAY.map(str::to_owned).to_vec()
}

/// The labels in a file, one a line; repeats do not count.
///
/// # Errors
/// When the file cannot be read, or holds no label.
pub fn read_labels(path: &Path) -> Result<Vec<String>, Error> {
    let labels = coca_text::read_list(path, ListItem::Label).map_err(Error::Labels)?;
    let mut seen = HashSet::new();
    Ok(labels.into_iter().filter(|label| seen.insert(label.clone())).collect())
}

/// A label that is left out, as both models see another in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SameLabel {
    /// The label.
    pub label: String,
    /// The label that stands for it.
    pub same_as: String,
}

/// The labels, encoded by both models.
pub(super) struct Encoded {
    pub(super) tables: [Labels; 2],
    pub(super) sentences: Vec<String>,
    pub(super) agreement: CosineAgreement,
    /// Labels of the list that are left out.
    pub(super) same: Vec<SameLabel>,
}

impl Encoded {
    pub(super) fn new(
        pair: &[Model; 2],
        names: Vec<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        if names.is_empty() {
            return Err(Error::NothingToCompare { what: "label" });
        }
        // Both models have one tokenizer.
        let LabelCheck { names, same, .. } = pair[0].check_labels(names)?;
        let same = same.into_iter().map(|(label, same_as)| SameLabel { label, same_as }).collect();
        let total = 2 * names.len();
        let mut encode = |model: &Model, before: usize| {
            model.labels(&names, |done| {
                progress(Progress { doing: "labels", done: before + done, total });
            })
        };
        let tables = [encode(&pair[0], 0)?, encode(&pair[1], names.len())?];
        let mut cosines = CosineTally::default();
        let rows = tables[0].embeddings().rows().into_iter().zip(tables[1].embeddings().rows());
        for (name, (a, b)) in names.iter().zip(rows) {
            cosines.add(name, a, b);
        }
        let agreement = cosines.agreement().ok_or(Error::NothingToCompare { what: "label" })?;
        let sentences = pair[0].sentences(&names)?;
        Ok(Self { tables, sentences, agreement, same })
    }

    pub(super) fn count(&self) -> usize {
        self.tables[0].names().len()
    }
}
