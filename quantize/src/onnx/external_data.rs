//! External data: a file of tensors beside the graphs, each at an aligned offset.

use tract_onnx::pb::{StringStringEntryProto, TensorProto, tensor_proto::DataLocation};

use crate::bundle_writer::{self, BundleFile};

/// Tensors shorter than this stand in the graph.
pub(crate) const INLINE_BELOW: usize = 1024;
/// Every tensor starts at a multiple of this many bytes: a cache line, and wide enough for any vector load.
const ALIGNMENT: u64 = 64;

/// A file of tensors in the making.
pub(crate) struct ExternalData {
    file: BundleFile,
}

impl ExternalData {
    /// Starts with an empty `file`.
    pub(crate) fn new(file: BundleFile) -> Self {
        Self { file }
    }

    /// The complete file.
    pub(crate) fn into_file(self) -> BundleFile {
        self.file
    }

    /// Starts a tensor: gives its offset, to which [`ExternalData::write`] appends and [`ExternalData::end`] refers.
    pub(crate) fn begin(&mut self) -> Result<u64, bundle_writer::Error> {
        let padding = self.file.len().next_multiple_of(ALIGNMENT) - self.file.len();
        self.file.write(&[0; ALIGNMENT as usize][..padding as usize])?;
        Ok(self.file.len())
    }

    /// Appends bytes of the tensor begun last.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), bundle_writer::Error> {
        self.file.write(bytes)
    }

    /// Makes `tensor` refer to all that was written from `offset` on.
    pub(crate) fn end(&self, offset: u64, tensor: &mut TensorProto) {
        let entry =
            |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![
            entry("location", self.file.name().to_owned()),
            entry("offset", offset.to_string()),
            entry("length", (self.file.len() - offset).to_string()),
        ];
    }
}
