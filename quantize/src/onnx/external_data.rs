//! External data: a file of tensors beside the graphs, each at an aligned offset.

use coca_onnx::pb::{StringStringEntryProto, TensorProto, tensor_proto::DataLocation};

use crate::bundle_writer::{self, BundleFile};

/// Tensors of fewer bytes are stored in the graph.
pub(crate) const INLINE_BELOW: usize = 1024;
/// Every tensor starts at a multiple of this many bytes: a cache line, and wide enough for any vector load.
pub(crate) const ALIGNMENT: usize = 64;

/// A file of tensors that is being written.
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

    /// Pads the file to the alignment and returns the offset of the tensor that begins there.
    pub(crate) fn begin(&mut self) -> Result<u64, bundle_writer::Error> {
        let padding = self.file.len().next_multiple_of(ALIGNMENT as u64) - self.file.len();
        self.file.write(&[0; ALIGNMENT][..padding as usize])?;
        Ok(self.file.len())
    }

    /// Appends bytes to the tensor begun last.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), bundle_writer::Error> {
        self.file.write(bytes)
    }

    /// Makes `tensor` refer to the bytes from `offset` to the end of the file.
    pub(crate) fn end(&self, offset: u64, tensor: &mut TensorProto) {
        refer(tensor, self.file.name(), offset, self.file.len() - offset);
    }
}

/// Makes `tensor` refer to `length` bytes at `offset` of the file `location`.
pub(crate) fn refer(tensor: &mut TensorProto, location: &str, offset: u64, length: u64) {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}
