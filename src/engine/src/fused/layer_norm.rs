//! A layer norm that stands alone.

use coca_kernels::LayerNorm;
use tract_onnx::tract_hir::internal::*;

use super::{SingleOutput, numbers};
use crate::{Engine, buffers::filled};

/// Normalises the last axis.
#[derive(Debug)]
pub(crate) struct LayerNormalization {
    pub(crate) norm: LayerNorm,
}

impl SingleOutput for LayerNormalization {
    fn name(&self) -> &'static str {
        "FusedLayerNorm"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        Ok(inputs[0].into())
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let rows = numbers(&inputs[0])?;
        let width = inputs[0].shape().last().copied().unwrap_or(1);
        ensure!(
            width == self.norm.weight.len(),
            "a norm of rows of {} for {width}",
            self.norm.weight.len()
        );
        filled(engine.buffers(), inputs[0].shape(), |normalized| {
            self.norm.apply(engine.cpu(), rows, normalized);
            Ok(())
        })
    }
}
