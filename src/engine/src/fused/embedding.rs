//! Rows of a table that stays where its file is mapped.

use std::{fmt, ops::Range};

use half::f16;
use tract_onnx::tract_hir::internal::*;

use super::SingleOutput;
use crate::{Engine, weights::WeightFile};

/// The bytes of a table `[entries, width]`.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) file: WeightFile,
    pub(crate) bytes: Range<usize>,
    pub(crate) width: usize,
    pub(crate) numbers: Numbers,
}

/// How a table's numbers are stored.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    F32,
    F16,
    /// One scale an entry.
    Int8(Vec<f32>),
}

impl Numbers {
    /// Bytes of a number.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8(_) => 1,
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.bytes.len() / (self.width * self.numbers.size()), self.width)
    }
}

/// `ids` → the table's rows.
#[derive(Debug)]
pub(crate) struct Embedding {
    pub(crate) table: Table,
}

impl Embedding {
    fn row(&self, id: i64, to: &mut Vec<f32>) -> TractResult<()> {
        let Table { file, bytes, width, numbers } = &self.table;
        let entries = bytes.len() / (width * numbers.size());
        // ONNX counts negative indices from the end.
        let index = if id < 0 { id + entries as i64 } else { id };
        let index = usize::try_from(index).ok().filter(|&index| index < entries);
        let Some(index) = index else { bail!("id {id} in a table of {entries}") };
        let start = bytes.start + index * width * numbers.size();
        let stored = (**file).as_ref().get(start..start + width * numbers.size());
        let Some(stored) = stored else { bail!("a table beyond the end of its file") };
        match numbers {
            Numbers::F32 => {
                to.extend(
                    stored.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                );
            }
            Numbers::F16 => {
                to.extend(
                    stored.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
                );
            }
            Numbers::Int8(scales) => {
                to.extend(stored.iter().map(|&b| f32::from(b as i8) * scales[index]));
            }
        }
        Ok(())
    }
}

impl SingleOutput for Embedding {
    fn name(&self) -> &'static str {
        "FusedEmbedding"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let mut shape: TVec<TDim> = inputs[0].into();
        shape.push(self.table.width.to_dim());
        Ok(shape)
    }

    fn run(&self, _: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let ids = inputs[0].cast_to::<i64>()?;
        let ids = ids.to_plain_array_view::<i64>()?;
        let mut rows = Vec::with_capacity(ids.len() * self.table.width);
        for &id in &ids {
            self.row(id, &mut rows)?;
        }
        let mut shape: TVec<usize> = inputs[0].shape().into();
        shape.push(self.table.width);
        Ok(tract_ndarray::ArrayD::from_shape_vec(&*shape, rows)?.into_tensor())
    }
}
