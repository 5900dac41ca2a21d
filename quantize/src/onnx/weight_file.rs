//! Weight files: the tensors that graphs refer to, computed from the checkpoint when they are read.

use std::collections::BTreeSet;

use coca_onnx::pb::{TensorProto, tensor_proto::DataType};
use half::{f16, slice::HalfFloatSliceExt};

use super::external_data::{ALIGNMENT, INLINE_BELOW, refer};
use crate::{
    bundle_writer::{self, BundleFile},
    checkpoint::{self, Tensor},
};

/// A tensor could not be turned into a weight.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint is damaged.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The bundle cannot be written.
    #[error(transparent)]
    Write(#[from] bundle_writer::Error),
    /// An element is too large for 16 bits.
    #[error("{key}: expected numbers up to 65504, found {found}")]
    TooLargeForF16 {
        /// The tensor.
        key: String,
        /// The element.
        found: f32,
    },
}

/// Element type of matrices. Vectors (biases, norms, positions) are few and stay 32-bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, half the size; computed with as 32-bit.
    F16,
}

impl Storage {
    /// Bytes of an element.
    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A file of weights beside the graphs.
///
/// It records how each tensor is made from the checkpoint, and makes it when it is written or read: never more than
/// one is in memory.
pub struct WeightFile {
    name: String,
    storage: Storage,
    tensors: Vec<External>,
    /// Bytes of all tensors, with the padding between them.
    length: usize,
}

/// A tensor of a weight file.
struct External {
    offset: usize,
    length: usize,
    recipe: Recipe,
}

/// The computation that makes a tensor.
struct Recipe {
    /// The tensor's name, for errors.
    name: String,
    storage: Storage,
    elements: Elements,
}

enum Elements {
    /// A tensor of the checkpoint as it is.
    Checkpoint(Tensor),
    /// The transpose of matrices of the checkpoint, one below the other, with a factor for each row.
    Transposed {
        matrices: Vec<Tensor>,
        scale: Option<Vec<f32>>,
    },
    Computed(Vec<f32>),
}

impl WeightFile {
    /// Creates the description of the file `name`, without tensors yet.
    #[must_use]
    pub fn new(name: &str, storage: Storage) -> Self {
        Self { name: name.to_owned(), storage, tensors: Vec::new(), length: 0 }
    }

    /// Its name in the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no tensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Writes all tensors to `file`.
    ///
    /// # Errors
    /// When the checkpoint is damaged, an element does not fit 16 bits, or the file cannot be written.
    pub fn write(&self, file: &mut BundleFile) -> Result<(), Error> {
        self.stream(&mut |bytes| Ok(file.write(bytes)?))
    }

    /// The file with the tensors that begin at the offsets `wanted`. The others are zeros, which take no memory: that is given
    /// where it is written to.
    pub(crate) fn read(&self, wanted: &BTreeSet<usize>) -> Result<Vec<u8>, Error> {
        let mut file = vec![0; self.length];
        for tensor in self.tensors.iter().filter(|tensor| wanted.contains(&tensor.offset)) {
            let mut place = &mut file[tensor.offset..tensor.offset + tensor.length];
            tensor.recipe.encode(&mut |bytes| {
                let (start, rest) = std::mem::take(&mut place).split_at_mut(bytes.len());
                start.copy_from_slice(bytes);
                place = rest;
                Ok(())
            })?;
        }
        Ok(file)
    }

    /// The bytes of the tensor at `offset`; `None` if no tensor of this length starts there.
    pub(crate) fn read_tensor(
        &self,
        offset: usize,
        length: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let found = self.tensors.binary_search_by_key(&offset, |tensor| tensor.offset);
        let Some(tensor) = found.ok().map(|at| &self.tensors[at]).filter(|t| t.length == length)
        else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(length);
        tensor.recipe.encode(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    fn stream(&self, write: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut end = 0;
        for tensor in &self.tensors {
            write(&[0; ALIGNMENT][..tensor.offset - end])?;
            tensor.recipe.encode(write)?;
            end = tensor.offset + tensor.length;
        }
        Ok(())
    }

    /// Adds a matrix or table of the checkpoint as it is.
    pub(super) fn table(&mut self, tensor: &Tensor) -> Result<TensorProto, Error> {
        let elements = Elements::Checkpoint(tensor.clone());
        self.add(tensor.key(), tensor.shape(), self.storage, elements)
    }

    /// Adds a vector, or a small table of addends.
    pub(super) fn vector(&mut self, tensor: &Tensor) -> Result<TensorProto, Error> {
        let elements = Elements::Checkpoint(tensor.clone());
        self.add(tensor.key(), tensor.shape(), Storage::F32, elements)
    }

    /// Adds elements that were computed from the checkpoint's.
    pub(super) fn computed(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<TensorProto, Error> {
        self.add(name, shape, Storage::F32, Elements::Computed(values))
    }

    /// Adds the weight `[in, out]` of a linear layer: the transpose of one or more `matrices` `[out, in]`, one below
    /// the other, with output i scaled by `scale[i]`.
    pub(super) fn transposed(
        &mut self,
        name: &str,
        matrices: &[&Tensor],
        scale: Option<&[f32]>,
    ) -> Result<TensorProto, Error> {
        let columns = matrices[0].shape()[1];
        let rows = matrices.iter().map(|matrix| matrix.shape()[0]).sum();
        let elements = Elements::Transposed {
            matrices: matrices.iter().map(|&matrix| matrix.clone()).collect(),
            scale: scale.map(<[f32]>::to_vec),
        };
        self.add(name, &[columns, rows], self.storage, elements)
    }

    fn add(
        &mut self,
        name: &str,
        shape: &[usize],
        storage: Storage,
        elements: Elements,
    ) -> Result<TensorProto, Error> {
        let data_type = match storage {
            Storage::F32 => DataType::Float,
            Storage::F16 => DataType::Float16,
        };
        let mut proto = TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: data_type as i32,
            ..TensorProto::default()
        };
        let recipe = Recipe { name: name.to_owned(), storage, elements };
        let length = shape.iter().product::<usize>() * storage.size();
        if length < INLINE_BELOW {
            recipe.encode(&mut |bytes| {
                proto.raw_data.extend_from_slice(bytes);
                Ok(())
            })?;
            return Ok(proto);
        }
        let offset = self.length.next_multiple_of(ALIGNMENT);
        refer(&mut proto, &self.name, offset as u64, length as u64);
        self.tensors.push(External { offset, length, recipe });
        self.length = offset + length;
        Ok(proto)
    }
}

impl Recipe {
    /// Calls `write` with the tensor's bytes, piece by piece.
    fn encode(&self, write: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut encode = |values: &[f32]| -> Result<(), Error> {
            for part in values.chunks(1 << 16) {
                write(&encode(&self.name, part, self.storage)?)?;
            }
            Ok(())
        };
        match &self.elements {
            Elements::Computed(values) => encode(values),
            Elements::Checkpoint(tensor) => {
                for piece in tensor.pieces() {
                    encode(&piece?)?;
                }
                tensor.release();
                Ok(())
            }
            Elements::Transposed { matrices, scale } => {
                let columns = matrices[0].shape()[1];
                let mut rows = Vec::new();
                for matrix in matrices {
                    rows.extend(matrix.values()?);
                    matrix.release();
                }
                if let Some(scale) = scale {
                    for (row, factor) in rows.chunks_exact_mut(columns).zip(scale) {
                        row.iter_mut().for_each(|v| *v *= factor);
                    }
                }
                let values = transpose(&rows, columns);
                drop(rows);
                encode(&values)
            }
        }
    }
}

fn encode(name: &str, values: &[f32], storage: Storage) -> Result<Vec<u8>, Error> {
    match storage {
        Storage::F32 => Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Storage::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            match halves.iter().zip(values).find(|(half, _)| !half.is_finite()) {
                Some((_, &found)) => Err(Error::TooLargeForF16 { key: name.to_owned(), found }),
                None => Ok(halves.iter().flat_map(|v| v.to_le_bytes()).collect()),
            }
        }
    }
}

/// Transposes `[rows, columns]`, in tiles that stay in the cache.
fn transpose(rows: &[f32], columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let height = rows.len() / columns;
    let mut transposed = vec![0.0; rows.len()];
    for top in (0..height).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for column in left..(left + TILE).min(columns) {
                for row in top..(top + TILE).min(height) {
                    transposed[column * height + row] = rows[row * columns + column];
                }
            }
        }
    }
    transposed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_swaps_row_and_column_for_any_size() {
        for (height, columns) in [(1, 1), (3, 5), (32, 33), (70, 31)] {
            let rows: Vec<f32> = (0..height * columns).map(|i| i as f32).collect();
            let transposed = transpose(&rows, columns);
            for (row, column) in [(0, 0), (height - 1, columns - 1), (height / 2, columns / 3)] {
                assert_eq!(transposed[column * height + row], rows[row * columns + column]);
            }
        }
    }

    #[test]
    fn a_number_too_large_for_f16_is_an_error_that_names_the_tensor() {
        let error = encode("visual.proj", &[1.0, 70_000.0], Storage::F16).unwrap_err();
        assert_eq!(error.to_string(), "visual.proj: expected numbers up to 65504, found 70000");
    }
}
