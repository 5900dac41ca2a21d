//! A tensor of a checkpoint: a strided view of the mapped file, decoded to `f32` piece by piece.

use std::{fmt, ops::Range, sync::Arc};

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{CheckpointFile, Error};

/// Type of a tensor's elements in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of an IEEE single-precision number.
    Bf16,
}

impl Dtype {
    /// Bytes of an element.
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

/// A little-endian tensor in a mapped file. Its elements are read when they are asked for.
#[derive(Clone)]
pub struct Tensor {
    file: Arc<CheckpointFile>,
    key: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Elements between neighbours along each dimension.
    strides: Vec<usize>,
    /// From its first element to its last; inside the file.
    bytes: Range<usize>,
}

impl Tensor {
    /// A row-major tensor that starts at byte `start`; `None` if it reaches beyond the file.
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

    /// A tensor with neighbours `strides` elements apart; `None` if it reaches beyond the file.
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

    /// Rows `range` of the outermost dimension, clamped to its size, under a key that names them.
    #[must_use]
    pub fn rows(&self, range: Range<usize>) -> Self {
        let mut rows = self.clone();
        let (Some(size), Some(stride)) = (rows.shape.first_mut(), self.strides.first()) else {
            return rows;
        };
        let (start, end) = (range.start.min(*size), range.end.min(*size));
        *size = end.saturating_sub(start);
        // A part of a span that was counted when the tensor was made can be counted.
        let elements = span(&rows.shape, &rows.strides).unwrap_or(0);
        let start_byte = self.bytes.start + start * stride * self.dtype.size();
        rows.bytes = start_byte..start_byte + elements * self.dtype.size();
        rows.key = format!("{}[{start}..{end}]", self.key);
        rows
    }

    /// A matrix with its dimensions exchanged, under the same key.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut transposed = self.clone();
        transposed.shape.reverse();
        transposed.strides.reverse();
        transposed
    }

    /// Gives the tensor another key.
    pub(super) fn rename(&mut self, key: &str) {
        key.clone_into(&mut self.key);
    }

    /// Bytes of all elements, which is more than the file has for them where elements are shared.
    pub(super) fn size(&self) -> u64 {
        self.len() as u64 * self.dtype.size() as u64
    }

    /// Gives back the memory of the file's pages that were read. Reading them again takes them from the page cache.
    pub(crate) fn release(&self) {
        self.file.map.release();
    }

    pub(super) fn ends_before(&self, byte: usize) -> bool {
        self.bytes.end <= byte
    }

    /// Its key in the checkpoint.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its shape, outermost dimension first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All elements in row-major order.
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

    /// All elements in row-major order, at most 65,536 at a time.
    ///
    /// # Errors
    /// [`Error::NotFinite`] in place of a piece with NaN or infinity.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<f32>, Error>> {
        const PIECE: usize = 1 << 16;
        let in_order = row_major(&self.shape).as_ref() == Some(&self.strides);
        (0..self.len()).step_by(PIECE).map(move |first| {
            let elements = first..self.len().min(first + PIECE);
            let values = match in_order {
                true => decode(self.stored(elements), self.dtype),
                false => decode(&self.gathered(elements), self.dtype),
            };
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(values),
                false => {
                    Err(Error::NotFinite { path: self.file.path.clone(), key: self.key.clone() })
                }
            }
        })
    }

    /// Bytes of elements that are neighbours in the file, counted from the first.
    fn stored(&self, elements: Range<usize>) -> &[u8] {
        let (size, start) = (self.dtype.size(), self.bytes.start);
        &self.file.bytes()[start + elements.start * size..start + elements.end * size]
    }

    /// Bytes of elements that are neighbours in row-major order.
    fn gathered(&self, elements: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(elements.len() * self.dtype.size());
        for mut index in elements {
            let mut offset = 0;
            for (&size, stride) in self.shape.iter().zip(&self.strides).rev() {
                offset += index % size * stride;
                index /= size;
            }
            bytes.extend_from_slice(self.stored(offset..offset + 1));
        }
        bytes
    }
}

/// Strides of a row-major tensor: the last dimension's is 1. `None` if its elements cannot be counted in a `usize`.
fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    let mut elements = 1_usize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = elements;
        elements = elements.checked_mul(size)?;
    }
    Some(strides)
}

/// Elements in the file from the tensor's first to its last, both included.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1_usize, |elements, (size, stride)| {
        elements.checked_add((size - 1).checked_mul(*stride)?)
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

    /// A mapped file with the elements 0, 1, 2 …
    fn counting(elements: usize) -> Arc<CheckpointFile> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..elements).flat_map(|i| (i as f32).to_le_bytes()).collect();
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
        assert_eq!(transposed.transposed().values().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(strided(vec![2, 3], vec![1, 3]).is_none(), "beyond the end");
        assert!(strided(vec![2, 3], vec![1]).is_none(), "one stride for two dimensions");
        assert!(strided(vec![2, usize::MAX], vec![0, 0]).is_none(), "too many elements");
    }

    proptest! {
        #[test]
        fn an_element_is_found_at_the_sum_of_its_strides(
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
