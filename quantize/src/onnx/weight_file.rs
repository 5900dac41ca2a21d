//! The weights of a checkpoint, stored for graphs.

use half::{f16, slice::HalfFloatSliceExt};
use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::external_data::{ExternalData, INLINE_BELOW};
use crate::{
    bundle_writer::{self, BundleFile},
    checkpoint::{self, Tensor},
};

/// A tensor that could not be turned into a weight.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint is damaged.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The bundle cannot be written.
    #[error(transparent)]
    Write(#[from] bundle_writer::Error),
    /// A number is too large for 16 bits.
    #[error("{key}: expected numbers up to 65504, found {found}: use --dtype f32")]
    TooLargeForF16 {
        /// The tensor.
        key: String,
        /// The number.
        found: f32,
    },
}

/// What matrices are stored as. Vectors (biases, norms, positions) are few and stay 32-bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, half the size; computed with as 32-bit.
    F16,
}

/// A tensor of a graph: its numbers, or where they stand.
#[derive(Debug, Clone)]
pub(super) struct Weight(TensorProto);

impl Weight {
    pub(super) fn proto(&self) -> &TensorProto {
        &self.0
    }

    pub(super) fn is_f16(&self) -> bool {
        self.0.data_type == DataType::Float16 as i32
    }
}

/// A file of weights in the making.
pub struct WeightFile {
    file: ExternalData,
    storage: Storage,
}

impl WeightFile {
    /// Starts with an empty `file`.
    #[must_use]
    pub fn new(file: BundleFile, storage: Storage) -> Self {
        Self { file: ExternalData::new(file), storage }
    }

    /// The complete file.
    #[must_use]
    pub fn into_file(self) -> BundleFile {
        self.file.into_file()
    }

    /// Stores a matrix or table as it stands in the checkpoint.
    pub(super) fn table(&mut self, tensor: &Tensor) -> Result<Weight, Error> {
        self.put(tensor.key(), tensor.shape(), self.storage, tensor.pieces().map(|p| Ok(p?)))
    }

    /// Stores a vector, or a small table that is added.
    pub(super) fn vector(&mut self, tensor: &Tensor) -> Result<Weight, Error> {
        self.put(tensor.key(), tensor.shape(), Storage::F32, tensor.pieces().map(|p| Ok(p?)))
    }

    /// Stores numbers that were computed from the checkpoint's.
    pub(super) fn computed(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<Weight, Error> {
        self.put(name, shape, Storage::F32, std::iter::once(Ok(values)))
    }

    /// Stores the weight of a linear layer for a plain matrix product: rows of `matrices` `[out, in]`, one below
    /// the other, become columns `[in, out]`. Row i is multiplied with `scale[i]`.
    pub(super) fn transposed(
        &mut self,
        name: &str,
        matrices: &[&Tensor],
        scale: Option<&[f32]>,
    ) -> Result<Weight, Error> {
        let columns = matrices.first().and_then(|m| m.shape().last()).copied().unwrap_or(1);
        let mut rows = Vec::new();
        for matrix in matrices {
            rows.extend(matrix.values()?);
        }
        for (row, factor) in rows.chunks_exact_mut(columns).zip(scale.unwrap_or_default()) {
            row.iter_mut().for_each(|v| *v *= factor);
        }
        let out = rows.len() / columns;
        let values = transpose(&rows, columns);
        drop(rows);
        self.put(name, &[columns, out], self.storage, std::iter::once(Ok(values)))
    }

    fn put(
        &mut self,
        name: &str,
        shape: &[usize],
        storage: Storage,
        pieces: impl Iterator<Item = Result<Vec<f32>, Error>>,
    ) -> Result<Weight, Error> {
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
        let width = if storage == Storage::F32 { 4 } else { 2 };
        if shape.iter().product::<usize>() * width < INLINE_BELOW {
            for piece in pieces {
                proto.raw_data.extend(encode(name, &piece?, storage)?);
            }
            return Ok(Weight(proto));
        }
        let offset = self.file.begin()?;
        for piece in pieces {
            for part in piece?.chunks(1 << 16) {
                self.file.write(&encode(name, part, storage)?)?;
            }
        }
        self.file.end(offset, &mut proto);
        Ok(Weight(proto))
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

/// Rows of `columns` numbers as columns, in tiles that stay in the cache.
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
        assert_eq!(
            error.to_string(),
            "visual.proj: expected numbers up to 65504, found 70000: use --dtype f32"
        );
    }
}
