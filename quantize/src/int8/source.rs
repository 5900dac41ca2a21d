//! The stored tensors of the model to quantise.

use std::{borrow::Cow, collections::BTreeMap};

use coca_onnx::{
    ExternalFiles, ExternalRange, element_count, is_external,
    pb::{TensorProto, tensor_proto::DataType},
};
use half::{f16, slice::HalfFloatSliceExt};

use super::{
    error::Error,
    origin::{Origin, WeightBytes},
};

/// The files of weights that the parts of a model refer to.
pub(super) struct SourceFiles<'a> {
    origin: &'a Origin,
    files: BTreeMap<String, WeightBytes<'a>>,
}

/// Identity of a tensor, the same for every part that shares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TensorId {
    /// A file of weights, or the part itself for a tensor inside the graph.
    pub(super) file: String,
    /// The tensor's name inside the graph; empty in a file of weights.
    name: String,
    offset: usize,
    length: usize,
}

impl TensorId {
    /// Bytes in a file of weights.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// Files that are not written yet have no bytes side by side, and are none here.
impl ExternalFiles for SourceFiles<'_> {
    fn file(&self, name: &str) -> Option<&[u8]> {
        match self.files.get(name)? {
            WeightBytes::Checked(bytes) => Some((**bytes).as_ref()),
            WeightBytes::Unwritten(_) => None,
        }
    }
}

impl<'a> SourceFiles<'a> {
    pub(super) fn new(origin: &'a Origin) -> Self {
        Self { origin, files: BTreeMap::new() }
    }

    /// Opens and checks the files that `tensors` refer to.
    pub(super) fn open<'t>(
        &mut self,
        part: &str,
        tensors: impl Iterator<Item = &'t TensorProto>,
    ) -> Result<(), Error> {
        for tensor in tensors.filter(|tensor| is_external(tensor)) {
            let file = id(part, tensor)?.file;
            if !self.files.contains_key(&file) {
                let bytes = self.origin.weights(&file)?;
                self.files.insert(file, bytes);
            }
        }
        Ok(())
    }

    /// Whether a part refers to the file `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// A tensor's bytes, little-endian; none for a type that is not stored as raw bytes.
    pub(super) fn bytes<'t>(
        &'t self,
        part: &str,
        tensor: &'t TensorProto,
    ) -> Result<Cow<'t, [u8]>, Error> {
        if !is_external(tensor) {
            return Ok(match tensor.float_data.is_empty() {
                true => Cow::Borrowed(tensor.raw_data.as_slice()),
                false => tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            });
        }
        let id = id(part, tensor)?;
        let outside = |length: usize| Error::Tensor {
            part: part.to_owned(),
            tensor: tensor.name.clone(),
            expected: format!("{} bytes from {} on in {}", id.length, id.offset, id.file),
            found: format!("a file of {length} bytes"),
        };
        match self.files.get(&id.file) {
            None => Err(Error::MissingFile { name: id.file.clone() }),
            Some(WeightBytes::Checked(file)) => {
                let file = (**file).as_ref();
                let end = id.offset.checked_add(id.length);
                let bytes = end.and_then(|end| file.get(id.offset..end));
                bytes.map(Cow::Borrowed).ok_or_else(|| outside(file.len()))
            }
            Some(WeightBytes::Unwritten(file)) => {
                let bytes = file.read_tensor(id.offset, id.length)?;
                bytes.map(Cow::Owned).ok_or_else(|| outside(file.len()))
            }
        }
    }

    /// A tensor's elements in 32 bits. It must be [`is_float`].
    pub(super) fn values(&self, part: &str, tensor: &TensorProto) -> Result<Vec<f32>, Error> {
        let bytes = self.bytes(part, tensor)?;
        let values: Vec<f32> = if tensor.data_type == DataType::Float16 as i32 {
            let halves: Vec<f16> =
                bytes.as_chunks().0.iter().map(|&half| f16::from_le_bytes(half)).collect();
            let mut values = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            values
        } else {
            bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
        };
        let wrong = |expected: String, found: String| Error::Tensor {
            part: part.to_owned(),
            tensor: tensor.name.clone(),
            expected,
            found,
        };
        if element_count(tensor) != Some(values.len()) {
            return Err(wrong(
                format!("elements for its shape {:?}", tensor.dims),
                values.len().to_string(),
            ));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(wrong("finite numbers".to_owned(), value.to_string())),
            None => Ok(values),
        }
    }
}

/// The identity of a tensor.
pub(super) fn id(part: &str, tensor: &TensorProto) -> Result<TensorId, Error> {
    if !is_external(tensor) {
        let name = tensor.name.clone();
        return Ok(TensorId { file: part.to_owned(), name, offset: 0, length: 0 });
    }
    let range = ExternalRange::of(tensor)
        .map_err(|source| Error::Onnx { part: part.to_owned(), source })?;
    let length = range.end - range.start;
    Ok(TensorId { file: range.file, name: String::new(), offset: range.start, length })
}

/// Whether its elements are 32-bit or 16-bit floating point, and stored as such.
pub(super) fn is_float(tensor: &TensorProto) -> bool {
    let stored = is_external(tensor) || !tensor.raw_data.is_empty();
    let f32_data = stored || !tensor.float_data.is_empty();
    (tensor.data_type == DataType::Float as i32 && f32_data)
        || (tensor.data_type == DataType::Float16 as i32 && stored)
}
