//! Weights that stand beside a graph: ONNX external data, taken from bytes already checked.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use tract_onnx::pb::TensorProto;

use super::Error;

/// The files that a graph's external data may refer to, by name.
#[derive(Clone, Default)]
pub struct Weights {
    files: BTreeMap<String, Arc<dyn AsRef<[u8]> + Send + Sync>>,
}

impl Weights {
    /// No external data: every tensor stands in the graph itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the file that graphs call `name`.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        self.files.insert(name.to_owned(), bytes);
        self
    }

    /// Puts the bytes that `tensor` refers to into it.
    pub(super) fn inline(&self, part: &str, tensor: &mut TensorProto) -> Result<(), Error> {
        let reference = Reference::read(part, tensor)?;
        let file = self.files.get(&reference.file).ok_or_else(|| Error::ForeignWeights {
            part: part.to_owned(),
            file: reference.file.clone(),
        })?;
        let file: &[u8] = (**file).as_ref();
        let bytes = file.get(reference.bytes.clone()).ok_or_else(|| Error::Tensor {
            part: part.to_owned(),
            tensor: tensor.name.clone(),
            expected: format!(
                "bytes {} to {} of {}",
                reference.bytes.start, reference.bytes.end, reference.file
            ),
            found: format!("a file of {} bytes", file.len()),
        })?;
        tensor.raw_data = bytes.to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }
}

/// Where a tensor's bytes stand.
struct Reference {
    file: String,
    bytes: Range<usize>,
}

impl Reference {
    fn read(part: &str, tensor: &TensorProto) -> Result<Self, Error> {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str())
        };
        let broken = |found: String| Error::Tensor {
            part: part.to_owned(),
            tensor: tensor.name.clone(),
            expected: "external data with a location, an offset and a length".to_owned(),
            found,
        };
        let number = |key: &str| {
            let text = entry(key).unwrap_or("nothing");
            text.parse::<usize>().map_err(|_| broken(format!("{key} {text}")))
        };
        let file = entry("location").ok_or_else(|| broken("no location".to_owned()))?.to_owned();
        let start = number("offset")?;
        let end = start
            .checked_add(number("length")?)
            .ok_or_else(|| broken("a range beyond any file".to_owned()))?;
        Ok(Self { file, bytes: start..end })
    }
}
