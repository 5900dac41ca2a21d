//! The weights of the new bundle; a tensor that several parts share is stored once.

use std::{borrow::Cow, collections::BTreeMap};

use coca_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::{error::Error, source::TensorId};
use crate::{
    bundle_writer::{self, BundleWriter},
    onnx::external_data::{ExternalData, INLINE_BELOW},
};

/// A tensor to be stored.
pub(super) struct Stored<'a> {
    name: String,
    data_type: DataType,
    dims: Vec<i64>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    pub(super) fn raw(name: String, kind: DataType, dims: &[i64], bytes: Cow<'a, [u8]>) -> Self {
        Self { name, data_type: kind, dims: dims.to_vec(), bytes }
    }

    pub(super) fn f32(name: String, dims: &[i64], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, DataType::Float, dims, bytes)
    }

    pub(super) fn int8(name: String, dims: &[i64], integers: &[i8]) -> Self {
        let bytes = integers.iter().map(|i| i.cast_unsigned()).collect();
        Self::raw(name, DataType::Int8, dims, bytes)
    }
}

/// The files of weights that are being written.
pub(super) struct Store {
    bundle: BundleWriter,
    files: BTreeMap<String, ExternalData>,
    done: BTreeMap<TensorId, Vec<TensorProto>>,
}

impl Store {
    pub(super) fn new(bundle: BundleWriter) -> Self {
        Self { bundle, files: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// The tensors stored for `id` by an earlier part, under the names `renamed`; `None` if none was.
    pub(super) fn again(&self, id: &TensorId, renamed: &[String]) -> Option<Vec<TensorProto>> {
        let mut tensors = self.done.get(id)?.clone();
        tensors
            .iter_mut()
            .zip(renamed)
            .for_each(|(tensor, name)| name.clone_into(&mut tensor.name));
        Some(tensors)
    }

    /// Stores `tensors` in place of the tensor `id`; returns the graph's references to them. Those of a tensor inside a
    /// graph go to the file `home`, or to one beside the part.
    pub(super) fn put(
        &mut self,
        id: TensorId,
        home: Option<&str>,
        tensors: Vec<Stored>,
    ) -> Result<Vec<TensorProto>, Error> {
        let location = location(&id, home);
        let stored: Vec<_> = tensors
            .into_iter()
            .map(|tensor| self.store(&location, tensor))
            .collect::<Result<_, _>>()?;
        self.done.insert(id, stored.clone());
        Ok(stored)
    }

    fn store(
        &mut self,
        location: &str,
        tensor: Stored,
    ) -> Result<TensorProto, bundle_writer::Error> {
        let mut proto = TensorProto {
            name: tensor.name,
            dims: tensor.dims,
            data_type: tensor.data_type as i32,
            ..TensorProto::default()
        };
        if tensor.bytes.len() < INLINE_BELOW {
            proto.raw_data = tensor.bytes.into_owned();
            return Ok(proto);
        }
        if !self.files.contains_key(location) {
            let file = ExternalData::new(self.bundle.start(location)?);
            self.files.insert(location.to_owned(), file);
        }
        if let Some(file) = self.files.get_mut(location) {
            let offset = file.begin()?;
            file.write(&tensor.bytes)?;
            file.end(offset, &mut proto);
        }
        Ok(proto)
    }

    /// The bundle, with all weights in it.
    pub(super) fn finish(mut self) -> Result<BundleWriter, Error> {
        for file in self.files.into_values() {
            self.bundle.add(file.into_file())?;
        }
        Ok(self.bundle)
    }
}

/// The file that takes a tensor up: the one it stood in, or for one inside a part `home` or one beside the part.
fn location(id: &TensorId, home: Option<&str>) -> String {
    match (id.file.strip_suffix(".onnx"), home) {
        (Some(_), Some(home)) => home.to_owned(),
        (Some(part), None) => format!("{part}.bin"),
        (None, _) => id.file.clone(),
    }
}
