//! One tensor of a checkpoint: where its numbers stand, read piece by piece as 32-bit floats.

use std::{fmt, ops::Range, sync::Arc};

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{CheckpointFile, Error};

/// How a checkpoint stores its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision number.
    Bf16,
}

impl Dtype {
    /// Bytes in a number.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A shape for messages: `512×768`, or `a single number`.
pub struct Shape<'a>(pub &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("a single number");
        }
        let sizes: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&sizes.join("×"))
    }
}

/// A tensor in a mapped file, little-endian. Nothing of it is read before it is asked for.
#[derive(Clone)]
pub struct Tensor {
    file: Arc<CheckpointFile>,
    key: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// How many numbers lie between neighbours, for each dimension.
    strides: Vec<usize>,
    /// From its first number to its last.
    bytes: Range<usize>,
}

impl Tensor {
    /// A row-major tensor; `None` if `start` and the shape reach beyond the file.
    pub(super) fn new(
        file: &Arc<CheckpointFile>,
        key: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        start: usize,
    ) -> Option<Self> {
        let strides = row_major(&shape)?;
        Self::strided(file, key, dtype, shape, strides, start)
    }

    /// A tensor whose neighbours stand `strides` numbers apart; `None` if it reaches beyond the file.
    pub(super) fn strided(
        file: &Arc<CheckpointFile>,
        key: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        start: usize,
    ) -> Option<Self> {
        row_major(&shape)?.len().eq(&strides.len()).then_some(())?;
        let length = span(&shape, &strides)?.checked_mul(dtype.size())?;
        let bytes = start..start.checked_add(length)?;
        file.bytes().get(bytes.clone())?;
        Some(Self { file: Arc::clone(file), key: key.to_owned(), dtype, shape, strides, bytes })
    }

    /// Rows `range` of the outermost dimension, named after it; rows that do not exist are left out.
    #[must_use]
    pub fn rows(&self, range: Range<usize>) -> Self {
        let mut rows = self.clone();
        let (Some(size), Some(stride)) = (rows.shape.first_mut(), self.strides.first()) else {
            return rows;
        };
        let (start, end) = (range.start.min(*size), range.end.min(*size));
        *size = end.saturating_sub(start);
        let numbers = span(&rows.shape, &rows.strides).unwrap_or_default();
        let start_byte = self.bytes.start + start * stride * self.dtype.size();
        rows.bytes = start_byte..start_byte + numbers * self.dtype.size();
        rows.key = format!("{}[{start}..{end}]", self.key);
        rows
    }

    /// The same tensor under another name.
    pub(super) fn named(self, key: String) -> Self {
        Self { key, ..self }
    }

    pub(super) fn ends_before(&self, byte: usize) -> bool {
        self.bytes.end <= byte
    }

    /// Its name in the checkpoint.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its sizes, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many numbers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All numbers.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn values(&self) -> Result<Vec<f32>, Error> {
        let mut values = Vec::with_capacity(self.len());
        for piece in self.pieces() {
            values.extend(piece?);
        }
        Ok(values)
    }

    /// All numbers in row-major order, some tens of thousands at a time.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<f32>, Error>> {
        const PIECE: usize = 1 << 16;
        let in_order = row_major(&self.shape).as_ref() == Some(&self.strides);
        (0..self.len()).step_by(PIECE).map(move |first| {
            let numbers = first..self.len().min(first + PIECE);
            let values = match in_order {
                true => decode(self.stored(numbers), self.dtype),
                false => decode(&self.gathered(numbers), self.dtype),
            };
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(values),
                false => {
                    Err(Error::NotFinite { path: self.file.path.clone(), key: self.key.clone() })
                }
            }
        })
    }

    /// Bytes of numbers that follow each other in the file.
    fn stored(&self, numbers: Range<usize>) -> &[u8] {
        let bytes = self.file.bytes().get(self.bytes.clone()).unwrap_or_default();
        let size = self.dtype.size();
        bytes.get(numbers.start * size..numbers.end * size).unwrap_or_default()
    }

    /// Bytes of numbers that follow each other in row-major order.
    fn gathered(&self, numbers: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(numbers.len() * self.dtype.size());
        for mut index in numbers {
            let mut place = 0;
            for (&size, stride) in self.shape.iter().zip(&self.strides).rev() {
                place += index % size * stride;
                index /= size;
            }
            bytes.extend_from_slice(self.stored(place..place + 1));
        }
        bytes
    }
}

/// The strides of numbers in order: the last dimension's is 1. `None` for more numbers than can be counted.
fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    let mut numbers = 1_usize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = numbers;
        numbers = numbers.checked_mul(size)?;
    }
    Some(strides)
}

/// How many numbers there are from the first to the last.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1_usize, |numbers, (size, stride)| {
        numbers.checked_add((size - 1).checked_mul(*stride)?)
    })
}

fn decode(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    let halves = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F64 => {
            bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()
        }
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => halves().map(f16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
        Dtype::Bf16 => halves().map(bf16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use coca_kernels::MappedFile;
    use proptest::prelude::*;

    use super::*;

    /// A mapped file with the numbers 0, 1, 2 …
    fn counting(numbers: usize) -> Arc<CheckpointFile> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..numbers).flat_map(|i| (i as f32).to_le_bytes()).collect();
        file.write_all(&bytes).unwrap();
        let map = MappedFile::open(file.path()).unwrap();
        Arc::new(CheckpointFile { path: file.path().to_owned(), map })
    }

    #[test]
    fn a_transposed_matrix_is_read_in_its_own_order() {
        let file = counting(7);
        let strided = |shape, strides| Tensor::strided(&file, "k", Dtype::F32, shape, strides, 4);
        let transposed = strided(vec![2, 3], vec![1, 2]).unwrap();
        assert_eq!(transposed.values().unwrap(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(transposed.rows(1..2).values().unwrap(), [2.0, 4.0, 6.0]);
        assert!(strided(vec![2, 3], vec![1, 3]).is_none(), "beyond the end");
        assert!(strided(vec![2, 3], vec![1]).is_none(), "one stride for two dimensions");
        assert!(strided(vec![2, usize::MAX], vec![0, 0]).is_none(), "too many numbers");
    }

    proptest! {
        #[test]
        fn a_number_stands_at_the_sum_of_its_strides(
            shape in prop::collection::vec(1_usize..5, 3),
            strides in prop::collection::vec(0_usize..9, 3),
            row in 0_usize..5,
        ) {
            let file = counting(200);
            let tensor =
                Tensor::strided(&file, "k", Dtype::F32, shape.clone(), strides.clone(), 0).unwrap();
            let mut expected = Vec::new();
            for i in 0..shape[0] {
                for j in 0..shape[1] {
                    for k in 0..shape[2] {
                        expected.push((i * strides[0] + j * strides[1] + k * strides[2]) as f32);
                    }
                }
            }
            let size = shape[1] * shape[2];
            let below = &expected[(row * size).min(expected.len())..];
            prop_assert_eq!(tensor.rows(row..9).values().unwrap(), below);
            prop_assert_eq!(tensor.values().unwrap(), expected);
        }
    }
}
