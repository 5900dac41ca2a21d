//! One tensor of a checkpoint: where its numbers stand, read piece by piece as 32-bit floats.

use std::{fmt, ops::Range, sync::Arc};

use coca_edge::kernels::MappedFile;
use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::Error;

/// How a checkpoint stores its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
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

/// A tensor in a mapped file, row-major and little-endian. Nothing of it is read before it is asked for.
#[derive(Clone)]
pub struct Tensor {
    file: Arc<MappedFile>,
    key: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl Tensor {
    /// `None` if `start` and the shape reach beyond the file.
    pub(super) fn new(
        file: &Arc<MappedFile>,
        key: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        start: usize,
    ) -> Option<Self> {
        let length = shape.iter().try_fold(dtype.size(), |bytes, &size| bytes.checked_mul(size))?;
        let bytes = start..start.checked_add(length)?;
        (**file).as_ref().get(bytes.clone())?;
        Some(Self { file: Arc::clone(file), key: key.to_owned(), dtype, shape, bytes })
    }

    /// Rows `range` of the outermost dimension, named after it; rows that do not exist are left out.
    #[must_use]
    pub fn rows(&self, range: Range<usize>) -> Self {
        let all = self.shape.first().copied().unwrap_or_default();
        let (start, end) = (range.start.min(all), range.end.min(all));
        let row = self.bytes.len().checked_div(all).unwrap_or_default();
        let bytes = self.bytes.start + start * row..self.bytes.start + end * row;
        let mut shape = self.shape.clone();
        shape.iter_mut().take(1).for_each(|size| *size = end.saturating_sub(start));
        let key = format!("{}[{start}..{end}]", self.key);
        Self { file: Arc::clone(&self.file), key, dtype: self.dtype, shape, bytes }
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
        self.bytes.len() / self.dtype.size()
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

    /// All numbers in order, some tens of thousands at a time.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Vec<f32>, Error>> {
        const PIECE: usize = 1 << 18;
        let bytes = (*self.file).as_ref().get(self.bytes.clone()).unwrap_or_default();
        bytes.chunks(PIECE).map(|piece| {
            let values = decode(piece, self.dtype);
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(values),
                false => Err(Error::NotFinite { key: self.key.clone() }),
            }
        })
    }
}

fn decode(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    let halves = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => halves().map(f16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
        Dtype::Bf16 => halves().map(bf16::from_le_bytes).collect::<Vec<_>>().to_f32_vec(),
    }
}
