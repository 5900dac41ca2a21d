//! Weights that stand beside a graph: ONNX external data, taken from bytes already checked.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use coca_kernels::MappedFile;
use tract_onnx::pb::{TensorProto, tensor_proto::DataLocation};

use crate::Error;

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

    /// The bytes of `tensor`, wherever they stand; `None` if they are not to be had.
    pub(crate) fn bytes<'a>(&'a self, tensor: &'a TensorProto) -> Option<Cow<'a, [u8]>> {
        if !is_external(tensor) {
            return Some(Cow::Borrowed(&tensor.raw_data));
        }
        let (file, range) = self.external("", tensor).ok()?;
        (**file).as_ref().get(range).map(Cow::Borrowed)
    }

    /// The file that the bytes of `tensor` stand in, and where; a file of its own for those in the graph itself.
    pub(crate) fn place(&self, tensor: &TensorProto) -> Option<(WeightFile, Range<usize>)> {
        if !is_external(tensor) {
            let length = tensor.raw_data.len();
            return Some((Arc::new(tensor.raw_data.clone()), 0..length));
        }
        let (file, range) = self.external("", tensor).ok()?;
        Some((file.clone(), range))
    }

    /// Puts the bytes that `tensor` refers to into it.
    pub(crate) fn inline(&self, part: &str, tensor: &mut TensorProto) -> Result<(), Error> {
        let (file, range) = self.external(part, tensor)?;
        tensor.raw_data = (**file).as_ref()[range].to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }

    /// The file that `tensor` refers to, and the range of it, which lies within.
    fn external(
        &self,
        part: &str,
        tensor: &TensorProto,
    ) -> Result<(&WeightFile, Range<usize>), Error> {
        let reference = Reference::read(part, tensor)?;
        let file = self.files.get(&reference.file).ok_or_else(|| Error::ForeignWeights {
            part: part.to_owned(),
            file: reference.file.clone(),
        })?;
        let length = (**file).as_ref().len();
        if reference.bytes.start > reference.bytes.end || reference.bytes.end > length {
            return Err(Error::Tensor {
                part: part.to_owned(),
                tensor: tensor.name.clone(),
                expected: format!(
                    "bytes {} to {} of {}",
                    reference.bytes.start, reference.bytes.end, reference.file
                ),
                found: format!("a file of {length} bytes"),
            });
        }
        Ok((file, reference.bytes))
    }
}

/// Whether a tensor's bytes stand beside the graph.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
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
