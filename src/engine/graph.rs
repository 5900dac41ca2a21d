//! One ONNX graph, loaded, optimised and ready to run.

use std::{collections::BTreeSet, sync::Arc};

use ndarray::{Array, ArrayD, Dimension};
use tract_core::ops::matmul::optimized::OptMatMul;
use tract_onnx::prelude::{
    InferenceModelExt, IntoRunnable, IntoTensor, TValue, TVec, Tensor, TractError,
    TypedRunnableModel,
};

use super::{Error, Onnx, Weights, error::chain, threads};

/// A tensor given to a graph.
#[derive(Debug, Clone)]
pub enum Input {
    /// Numbers: pixels, keys, values, masks.
    F32(ArrayD<f32>),
    /// Token ids and positions.
    I64(ArrayD<i64>),
}

impl<D: Dimension> From<Array<f32, D>> for Input {
    fn from(array: Array<f32, D>) -> Self {
        Self::F32(array.into_dyn())
    }
}

impl<D: Dimension> From<Array<i64, D>> for Input {
    fn from(array: Array<i64, D>) -> Self {
        Self::I64(array.into_dyn())
    }
}

/// A graph with a fixed order of inputs and outputs.
///
/// Running borrows it immutably, so that threads may share it.
pub struct Graph {
    part: String,
    outputs: Vec<String>,
    plan: Arc<TypedRunnableModel>,
}

impl Graph {
    /// Optimises a parsed graph whose external data stands in `weights`.
    ///
    /// [`Graph::run`] takes the tensors `inputs` and gives `outputs`, both in the order stated here;
    /// outputs left out are not computed.
    ///
    /// # Errors
    /// When an input or output is missing, when weights lie outside their file, and when tract cannot
    /// run an operator.
    pub fn prepare(
        onnx: Onnx,
        weights: &Weights,
        inputs: &[String],
        outputs: &[String],
    ) -> Result<Self, Error> {
        threads::start_default()?;
        let part = onnx.part().to_owned();
        let unsupported =
            |e: TractError| Error::Unsupported { part: part.clone(), reason: chain(&e) };
        let plan = onnx
            .into_model(weights, inputs, outputs)?
            .into_typed()
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(unsupported)?;
        Ok(Self { part, outputs: outputs.to_vec(), plan })
    }

    /// The matrix products that tract chose for this CPU and graph.
    #[must_use]
    pub fn kernels(&self) -> BTreeSet<String> {
        let operators = self.plan.model().nodes().iter().map(|node| &node.op);
        operators
            .filter_map(|op| op.downcast_ref::<OptMatMul>())
            .flat_map(|product| &product.mmm)
            .map(|kernel| kernel.name().to_owned())
            .collect()
    }

    /// Runs the graph on tensors in the order of its inputs.
    ///
    /// # Errors
    /// When a shape does not fit the graph, or an output is not of 32-bit numbers.
    pub fn run(&self, inputs: Vec<Input>) -> Result<Vec<ArrayD<f32>>, Error> {
        let inputs: TVec<TValue> = inputs.into_iter().map(|i| tensor(i).into()).collect();
        let values = self
            .plan
            .run(inputs)
            .map_err(|e| Error::Run { part: self.part.clone(), reason: chain(&e) })?;
        values
            .into_iter()
            .zip(&self.outputs)
            .map(|(value, name)| {
                let found = value.datum_type();
                value.into_tensor().into_plain_array::<f32>().map_err(|_| Error::Tensor {
                    part: self.part.clone(),
                    tensor: name.clone(),
                    expected: "f32".to_owned(),
                    found: format!("{found:?}"),
                })
            })
            .collect()
    }
}

fn tensor(input: Input) -> Tensor {
    match input {
        Input::F32(array) => array.into(),
        Input::I64(array) => array.into(),
    }
}
