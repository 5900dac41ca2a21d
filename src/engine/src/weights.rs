//! Files of external data that stand beside a graph, as bytes already checked.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use coca_kernels::MappedFile;
use coca_onnx::{ExternalFiles, ExternalRange, is_external, pb::TensorProto, tensor_bytes};

/// The bytes of a file, wherever they are.
pub trait FileBytes: AsRef<[u8]> + Send + Sync {
    /// Gives back the memory that reading them took, where they can be read again.
    fn release(&self) {}
}

impl FileBytes for Vec<u8> {}

impl FileBytes for &'static [u8] {}

impl FileBytes for MappedFile {
    fn release(&self) {
        Self::release(self);
    }
}

/// A file's bytes, already checked.
pub(crate) type WeightFile = Arc<dyn FileBytes>;

/// The files that a graph's external data may refer to, by name.
#[derive(Clone, Default)]
pub struct Weights {
    files: BTreeMap<String, WeightFile>,
}

impl ExternalFiles for Weights {
    fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| (**file).as_ref())
    }
}

impl Weights {
    /// No external data: every tensor stands in the graph itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the file that graphs call `name`.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: Arc<dyn FileBytes>) -> Self {
        self.files.insert(name.to_owned(), bytes);
        self
    }

    /// Gives back the memory that reading took so far.
    pub(crate) fn release(&self) {
        self.files.values().for_each(|file| file.release());
    }

    /// The file that the bytes of `tensor` stand in, and which of its bytes they are; a file of its own for a tensor
    /// inside the graph.
    pub(crate) fn shared(&self, tensor: &TensorProto) -> Option<(WeightFile, Range<usize>)> {
        if !is_external(tensor) {
            let bytes = tensor_bytes(tensor, self).ok()?.into_owned();
            let range = 0..bytes.len();
            return Some((Arc::new(bytes), range));
        }
        let range = ExternalRange::of(tensor).ok()?;
        range.read(tensor, self).ok()?;
        Some((self.files.get(&range.file)?.clone(), range.bytes()))
    }

    /// Puts the bytes that an external `tensor` refers to into it.
    pub(crate) fn inline(&self, tensor: &mut TensorProto) -> Result<(), coca_onnx::Error> {
        tensor.raw_data = ExternalRange::of(tensor)?.read(tensor, self)?.to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }
}
