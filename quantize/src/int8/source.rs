//! The tensors of a bundle, read where they are mapped.

use std::{borrow::Cow, collections::BTreeMap};

use coca_model::bundle::{Bundle, CheckedBytes};
use half::{f16, slice::HalfFloatSliceExt};
use tract_onnx::pb::{
    TensorProto,
    tensor_proto::{DataLocation, DataType},
};

use super::Error;

/// The files of weights that the parts of a bundle refer to.
pub(super) struct SourceFiles<'a> {
    bundle: &'a Bundle,
    files: BTreeMap<String, CheckedBytes>,
}

/// Which bytes of which file a tensor is: the same for every part that shares it.
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

impl<'a> SourceFiles<'a> {
    pub(super) fn new(bundle: &'a Bundle) -> Self {
        Self { bundle, files: BTreeMap::new() }
    }

    /// Maps and checks the files that `tensors` refer to.
    pub(super) fn open<'t>(
        &mut self,
        part: &str,
        tensors: impl Iterator<Item = &'t TensorProto>,
    ) -> Result<(), Error> {
        for tensor in tensors.filter(|tensor| is_external(tensor)) {
            let file = id(part, tensor)?.file;
            if !self.files.contains_key(&file) {
                self.bundle.read(&file, "quantising")?;
                // Its checksum is compared once, which takes every page into memory: a new map has none of them.
                let bytes = self.bundle.read(&file, "quantising")?;
                self.files.insert(file, bytes);
            }
        }
        Ok(())
    }

    /// Whether a part refers to the file `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// A tensor's bytes, little-endian; nothing for a type that is not stored as raw bytes.
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
        let file = self.files.get(&id.file).map_or(&[][..], |file| (**file).as_ref());
        let bytes = id.offset.checked_add(id.length).and_then(|end| file.get(id.offset..end));
        bytes.map(Cow::Borrowed).ok_or_else(|| Error::Tensor {
            part: part.to_owned(),
            tensor: tensor.name.clone(),
            expected: format!("{} bytes from {} on in {}", id.length, id.offset, id.file),
            found: format!("a file of {} bytes", file.len()),
        })
    }

    /// A tensor's numbers in 32 bits. It must be [`is_float`].
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
        if values.len() != count(tensor) {
            return Err(wrong(
                format!("{} numbers for its shape {:?}", count(tensor), tensor.dims),
                values.len().to_string(),
            ));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(wrong("finite numbers".to_owned(), value.to_string())),
            None => Ok(values),
        }
    }
}

/// Where a tensor stands.
pub(super) fn id(part: &str, tensor: &TensorProto) -> Result<TensorId, Error> {
    if !is_external(tensor) {
        let name = tensor.name.clone();
        return Ok(TensorId { file: part.to_owned(), name, offset: 0, length: 0 });
    }
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key);
    let number = |key: &str| entry(key).and_then(|e| e.value.parse().ok());
    let reference = entry("location").zip(number("offset")).zip(number("length"));
    let ((location, offset), length) = reference.ok_or_else(|| Error::Tensor {
        part: part.to_owned(),
        tensor: tensor.name.clone(),
        expected: "external data with a location, an offset and a length".to_owned(),
        found: format!("{} of them", tensor.external_data.len()),
    })?;
    Ok(TensorId { file: location.value.clone(), name: String::new(), offset, length })
}

/// Whether it stands in a file beside the graph.
pub(super) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// Whether its numbers are of 32 or 16 bits, and stored as such.
pub(super) fn is_float(tensor: &TensorProto) -> bool {
    let stored = is_external(tensor) || !tensor.raw_data.is_empty();
    let f32_data = stored || !tensor.float_data.is_empty();
    (tensor.data_type == DataType::Float as i32 && f32_data)
        || (tensor.data_type == DataType::Float16 as i32 && stored)
}

/// How many numbers it has.
pub(super) fn count(tensor: &TensorProto) -> usize {
    tensor.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product()
}
