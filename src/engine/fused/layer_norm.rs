//! A layer norm that stands alone.

use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, numbers};
use crate::kernels::{Cpu, LayerNorm};

/// Normalises the last axis.
#[derive(Debug)]
pub(in crate::engine) struct LayerNormalization {
    pub(in crate::engine) cpu: Cpu,
    pub(in crate::engine) norm: LayerNorm,
}

impl FusedOperator for LayerNormalization {
    fn name(&self) -> &'static str {
        "FusedLayerNorm"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        Ok(inputs[0].into())
    }

    fn run(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let rows = numbers(&inputs[0])?;
        ensure!(rows.len().is_multiple_of(self.norm.weight.len()), "rows of another width");
        let mut normalized = vec![0.0; rows.len()];
        self.norm.apply(self.cpu, rows, &mut normalized);
        let normalized = tract_ndarray::ArrayD::from_shape_vec(inputs[0].shape(), normalized)?;
        Ok(normalized.into_tensor())
    }
}
