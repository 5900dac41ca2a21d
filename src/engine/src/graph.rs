//! One ONNX graph, loaded, optimised and ready to run.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{Array, ArrayD, Dimension};
use tract_onnx::prelude::{
    InferenceModelExt, IntoRunnable, IntoTensor, TValue, TVec, TractError, TypedRunnableModel,
};

use crate::{
    Arithmetic, Engine, Error, Onnx, SharedTensor, Unfused, Weights,
    error::chain,
    freed_memory,
    fused::{Fused, NotFinite},
    layout::Layout,
};

/// A tensor given to a graph.
#[derive(Debug, Clone)]
pub enum Input {
    /// Numbers: pixels, keys, values, masks.
    F32(ArrayD<f32>),
    /// Token ids and positions.
    I64(ArrayD<i64>),
    /// A tensor that is given again and again, and never copied.
    Shared(SharedTensor),
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

impl From<SharedTensor> for Input {
    fn from(tensor: SharedTensor) -> Self {
        Self::Shared(tensor)
    }
}

/// A graph with a fixed order of inputs and outputs.
///
/// Running borrows it immutably, so that threads may share it.
pub struct Graph {
    engine: Engine,
    part: String,
    outputs: Vec<String>,
    layouts: Vec<Layout>,
    unfused: Vec<Unfused>,
    plan: Arc<TypedRunnableModel>,
}

/// What a graph really runs on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// The instruction set of the fused operators.
    pub kernel: &'static str,
    /// Fused operators, by name.
    pub fused: BTreeMap<String, usize>,
    /// Operators that no rule recognised, which run on tract, by name.
    pub tract: BTreeMap<String, usize>,
    /// Nodes that begin like a pattern that a rule knows, and why none took them.
    pub unfused: Vec<Unfused>,
}

impl Graph {
    /// Fuses and optimises a parsed graph whose external data stands in `weights`, for `engine` to run.
    ///
    /// [`Graph::run`] takes the tensors `inputs` and gives `outputs`, both in the order stated here;
    /// outputs left out are not computed. Inputs that [`Graph::is_paged_cache`] names are another matter, and
    /// shared tensors come from [`Graph::shared_input`].
    ///
    /// # Errors
    /// When an input or output is missing, when weights lie outside their file, and when tract cannot run an
    /// operator.
    pub fn prepare(
        onnx: Onnx,
        weights: &Weights,
        inputs: &[String],
        outputs: &[String],
        arithmetic: Arithmetic,
        engine: &Engine,
    ) -> Result<Self, Error> {
        let part = onnx.part().to_owned();
        let unsupported =
            |e: TractError| Error::Unsupported { part: part.clone(), reason: chain(&e) };
        let fused = onnx.into_model(weights, inputs, outputs, arithmetic, engine)?;
        let plan = fused
            .model
            .into_typed()
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(unsupported)?;
        freed_memory::keep();
        let (engine, outputs) = (engine.clone(), outputs.to_vec());
        Ok(Self { engine, part, outputs, layouts: fused.layouts, unfused: fused.unfused, plan })
    }

    /// Whether input `index`, which the file declares as `[B,P,W]`, is a paged KV cache `[C,W]` instead: see
    /// [`KvPages`](crate::KvPages).
    ///
    /// Such a graph takes one more input, the last: the slot mapping `[B,P]`. A cache is then read where it stands,
    /// however its beams are reordered.
    #[must_use]
    pub fn is_paged_cache(&self, index: usize) -> bool {
        self.layouts.get(index) == Some(&Layout::PagedCache)
    }

    /// Whether the slot mapping of paged KV caches is an input, the last.
    #[must_use]
    pub fn takes_slot_mapping(&self) -> bool {
        self.layouts.contains(&Layout::PagedCache)
    }

    /// A tensor, as the file says it is, to be given as input `index` again and again: what the graph would do
    /// with it in every run is done here.
    #[must_use]
    pub fn shared_input(&self, index: usize, tensor: ArrayD<f32>) -> SharedTensor {
        let layout = self.layouts.get(index).copied().unwrap_or(Layout::AsDeclared);
        SharedTensor::from(layout.pack(tensor))
    }

    /// What it really runs on.
    #[must_use]
    pub fn execution(&self) -> Execution {
        let kernel = self.engine.cpu().instruction_set().name();
        let unfused = self.unfused.clone();
        let mut execution = Execution { kernel, unfused, ..Execution::default() };
        for node in self.plan.model().nodes() {
            let name = node.op.name().into_owned();
            let counts = match name.as_str() {
                "Source" | "Const" => continue,
                _ if node.op.downcast_ref::<Fused>().is_some() => &mut execution.fused,
                _ => &mut execution.tract,
            };
            *counts.entry(name).or_default() += 1;
        }
        execution
    }

    /// Runs the graph on tensors in the order of its inputs.
    ///
    /// Where a cache is paged, either all of them are given as pages with the slot mapping behind them, or all
    /// as the file declares them, `[B,P,W]`, and no slot mapping.
    ///
    /// # Errors
    /// When a shape does not fit the graph, or an output is not of 32-bit numbers.
    pub fn run(&self, mut inputs: Vec<Input>) -> Result<Vec<ArrayD<f32>>, Error> {
        if self.takes_slot_mapping() && inputs.len() == self.layouts.len() {
            self.page_caches(&mut inputs);
        }
        for (input, layout) in inputs.iter_mut().zip(&self.layouts) {
            if let Input::F32(array) = input {
                *array = layout.pack(std::mem::take(array));
            }
        }
        let inputs: TVec<TValue> = inputs.into_iter().map(value).collect();
        let values = match self.engine.profiler() {
            None => self.plan.run(inputs),
            Some(profiler) => profiler.run(&self.plan, inputs),
        };
        let values = values.map_err(|error| self.stopped(&error))?;
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

    /// Why a run stopped.
    fn stopped(&self, error: &TractError) -> Error {
        let part = self.part.clone();
        match error.downcast_ref::<NotFinite>() {
            Some(NotFinite { layer }) => Error::NotFinite { part, layer: layer.clone() },
            None => Error::Run { part, reason: chain(error) },
        }
    }

    /// Makes pages `[B × P, W]` of caches `[B,P,W]`, and their slot mapping.
    fn page_caches(&self, inputs: &mut Vec<Input>) {
        let mut slots = ndarray::Array2::zeros((1, 0));
        for (input, layout) in inputs.iter_mut().zip(&self.layouts) {
            let (Input::F32(array), Layout::PagedCache) = (input, layout) else { continue };
            let &[batch, past, width] = array.shape() else { continue };
            slots = ndarray::Array2::from_shape_fn((batch, past), |(b, p)| (b * past + p) as i64);
            let rows = std::mem::take(array).into_shape_clone(vec![batch * past, width]);
            *array = rows.unwrap_or_default();
        }
        inputs.push(slots.into());
    }
}

fn value(input: Input) -> TValue {
    match input {
        Input::F32(array) => array.into_tensor().into(),
        Input::I64(array) => array.into_tensor().into(),
        Input::Shared(tensor) => TValue::from_const(tensor.into_tensor()),
    }
}
