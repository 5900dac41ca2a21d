//! Operators that do in one pass what takes tract many: each on our kernels, run by tract like its own.

mod attention;
mod convolution;
mod embedding;
mod integer_region;
mod layer_norm;
mod linear;
mod patch_embedding;

use std::{fmt::Debug, sync::Arc};

pub(super) use attention::{Attention, Memory, Operand};
pub(super) use convolution::{Convolution, DepthwiseConvolution};
pub(super) use embedding::{Embedding, Numbers, Table};
pub(super) use integer_region::{
    Form, ImageId, IntegerRegion, Memories, Operation, OutputForm, Picture, PictureId, Project,
    RegionInput, RegionOutput, Step, StepSource,
};
pub(super) use layer_norm::LayerNormalization;
pub(super) use linear::Linear;
pub(super) use patch_embedding::PatchEmbedding;
use tract_onnx::tract_hir::internal::*;

use crate::Engine;

/// An operator whose outputs are 32-bit numbers.
pub(super) trait FusedOperator: Debug + Send + Sync {
    /// Its name in listings.
    fn name(&self) -> &'static str;

    /// The number of its outputs.
    fn outputs(&self) -> usize;

    /// The outputs' shapes from those of the inputs.
    fn output_shapes(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TVec<TDim>>>;

    /// Computes the outputs.
    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<TVec<Tensor>>;
}

/// An operator with one output.
pub(super) trait SingleOutput: Debug + Send + Sync {
    /// Its name in listings.
    fn name(&self) -> &'static str;

    /// The output's shape from those of the inputs.
    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>>;

    /// Computes the output.
    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor>;
}

impl<T: SingleOutput> FusedOperator for T {
    fn name(&self) -> &'static str {
        SingleOutput::name(self)
    }

    fn outputs(&self) -> usize {
        1
    }

    fn output_shapes(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TVec<TDim>>> {
        Ok(tvec!(self.output_shape(inputs)?))
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<TVec<Tensor>> {
        Ok(tvec!(SingleOutput::run(self, engine, inputs)?))
    }
}

/// A fused operator as tract holds it, with the engine that runs it.
#[derive(Debug, Clone)]
pub(super) struct Fused {
    operator: Arc<dyn FusedOperator>,
    engine: Engine,
}

impl Fused {
    pub(super) fn new(operator: Arc<dyn FusedOperator>, engine: &Engine) -> Self {
        Self { operator, engine: engine.clone() }
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operator, &other.operator)
    }
}

impl Eq for Fused {}

impl Op for Fused {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for Fused {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let outputs = self.operator.run(&self.engine, &inputs)?;
        // tract drops what nobody reads later before it runs an operator: the rest of such a tensor's life is here.
        inputs.into_iter().for_each(|input| self.engine.buffers().give_back(input));
        Ok(outputs.into_iter().map(IntoTValue::into_tvalue).collect())
    }
}

impl TypedOp for Fused {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shapes: Vec<TVec<TDim>> = inputs.iter().map(|fact| fact.shape.to_tvec()).collect();
        let shapes: Vec<&[TDim]> = shapes.iter().map(|shape| &shape[..]).collect();
        Ok(self.operator.output_shapes(&shapes)?.into_iter().map(f32::fact).collect())
    }
}

impl Expansion for Fused {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.operator.outputs())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for output in outputs {
            s.equals(&output.datum_type, f32::datum_type())?;
        }
        s.given_all(inputs.iter().map(|input| &input.shape), move |s, shapes| {
            let shapes: Vec<&[TDim]> = shapes.iter().map(|shape| &shape[..]).collect();
            let found = self.operator.output_shapes(&shapes)?;
            outputs
                .iter()
                .zip(found)
                .try_for_each(|(output, shape)| s.equals(&output.shape, ShapeFactoid::from(shape)))
        })
    }
}

/// A layer that was given NaN or infinity, of which int8 would make confident answers.
#[derive(Debug, thiserror::Error)]
#[error("the layer {layer} was given a number that is not finite")]
pub(super) struct NotFinite {
    /// The name of its weight.
    pub(super) layer: String,
}

/// The numbers of an input.
pub(super) fn numbers<T: Datum>(value: &TValue) -> TractResult<&[T]> {
    // tract's view of a tensor without numbers is a null pointer.
    if value.len() == 0 { Ok(&[]) } else { value.view().as_slice() }
}
