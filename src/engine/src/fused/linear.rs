//! A linear layer with what stands before and behind it.

use coca_kernels::{self, Activation, Epilogue, LayerNorm, LinearInput, QuantizedRows, Weights};
use tract_onnx::tract_hir::{internal::*, tract_core::broadcast::multi_broadcast};

use super::{NotFinite, SingleOutput, numbers};
use crate::{Engine, buffers::filled};

/// `activation(norm(x) × weights + bias) + residual`, rows of any number of axes in front.
#[derive(Debug)]
pub(crate) struct Linear {
    /// The name of its weight, for errors.
    pub(crate) name: String,
    pub(crate) norm: Option<LayerNorm>,
    pub(crate) weights: Weights,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) activation: Activation,
    /// Whether there is a second input to add.
    pub(crate) residual: bool,
}

impl Linear {
    /// Writes the layer's `output` for rows that stand one after the other; `residual` has the output's shape.
    pub(super) fn apply(
        &self,
        engine: &Engine,
        rows: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
    ) -> TractResult<()> {
        let inputs = self.weights.inputs();
        let epilogue =
            Epilogue { bias: self.bias.as_deref(), activation: self.activation, residual };
        let cpu = engine.cpu();
        let (quantized, normalized);
        let input = match &self.weights {
            Weights::Int8(_) => {
                let norm = self.norm.as_ref();
                quantized = QuantizedRows::new(cpu, rows, inputs, norm, engine.pool())
                    .ok_or_else(|| format_err!("rows that are not of {inputs} inputs"))?;
                if !quantized.is_finite() {
                    return Err(NotFinite { layer: self.name.clone() }.into());
                }
                LinearInput::Int8(&quantized)
            }
            Weights::F32(_) => LinearInput::F32(match &self.norm {
                None => rows,
                Some(norm) => {
                    let mut buffer = vec![0.0; rows.len()];
                    norm.apply(cpu, rows, &mut buffer);
                    normalized = buffer;
                    &normalized
                }
            }),
        };
        let job = coca_kernels::Linear::new(
            cpu,
            input,
            &self.weights,
            epilogue,
            output,
            engine.threads(),
        );
        let job = job.ok_or_else(|| format_err!("a linear layer's shapes do not fit"))?;
        engine.broadcast(|| job.work());
        Ok(())
    }

    /// The layer's output `shape` for rows that stand one after the other, plus the second of `inputs` if there is a
    /// residual, of whatever shape it broadcasts from.
    pub(super) fn apply_with_residual(
        &self,
        engine: &Engine,
        rows: &[f32],
        shape: &[usize],
        inputs: &[TValue],
    ) -> TractResult<Tensor> {
        let residual = inputs.get(1).filter(|_| self.residual);
        let same_shape = residual.filter(|residual| residual.shape() == shape);
        let same_shape = same_shape.map(numbers).transpose()?;
        let output =
            filled(engine.buffers(), shape, |output| self.apply(engine, rows, same_shape, output))?;
        match residual {
            Some(other) if same_shape.is_none() => {
                let shapes: [TVec<usize>; 2] = [shape.into(), other.shape().into()];
                multi_broadcast(&shapes)?;
                let output = output.to_plain_array_view::<f32>()?;
                Ok((&output + &other.to_plain_array_view::<f32>()?).into_tensor())
            }
            _ => Ok(output),
        }
    }

    /// The shape of an output plus the residual, if there is one.
    pub(super) fn shape_of_sum(
        &self,
        shape: TVec<TDim>,
        inputs: &[&[TDim]],
    ) -> TractResult<TVec<TDim>> {
        match inputs.get(1).filter(|_| self.residual) {
            Some(&residual) => multi_broadcast(&[shape, residual.into()]),
            None => Ok(shape),
        }
    }
}

impl SingleOutput for Linear {
    fn name(&self) -> &'static str {
        "FusedLinear"
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let mut shape: TVec<TDim> = inputs[0].into();
        let Some(last) = shape.last_mut() else { bail!("a linear layer needs rows") };
        if let Ok(width) = last.to_usize() {
            ensure!(width == self.weights.inputs(), "rows of {width} for {:?}", self.weights);
        }
        *last = self.weights.outputs().to_dim();
        self.shape_of_sum(shape, inputs)
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let mut shape: TVec<usize> = inputs[0].shape().into();
        let Some(last) = shape.last_mut() else { bail!("a linear layer needs rows") };
        *last = self.weights.outputs();
        self.apply_with_residual(engine, numbers(&inputs[0])?, &shape, inputs)
    }
}
