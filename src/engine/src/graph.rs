//! One ONNX graph, loaded, optimised and ready to run.

use std::{borrow::Cow, collections::BTreeMap};

use coca_host::catch_panic;
use coca_kernels::static_int8::Quantization;
use ndarray::{Array, Array2, ArrayD, Dimension};
use tract_onnx::prelude::{IntoTensor, TValue, TVec, TractError};

use crate::{
    Arithmetic, Engine, Error, Onnx, SharedTensor, Unfused, Weights,
    buffers::filled,
    error::chain,
    fused::NotFinite,
    layout::Layout,
    plan::{Plan, panicked},
};

/// A tensor given to a graph.
#[derive(Debug, Clone)]
pub enum Input {
    /// Numbers: pixels, keys, values, masks.
    F32(ArrayD<f32>),
    /// Token ids and positions.
    I64(ArrayD<i64>),
    /// Codes of a picture's pixels, `[N, H, W, 3]`: see [`Graph::pixel_codes`].
    Codes(ArrayD<u8>),
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

impl<D: Dimension> From<Array<u8, D>> for Input {
    fn from(array: Array<u8, D>) -> Self {
        Self::Codes(array.into_dyn())
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
    inputs: Vec<String>,
    outputs: Vec<String>,
    layouts: Vec<Layout>,
    unfused: Vec<Unfused>,
    plan: Plan,
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
        let unsupported = |reason| Error::Unsupported { part: part.clone(), reason };
        let fuse = || onnx.fuse(weights, inputs, outputs, arithmetic, engine);
        let fused = catch_panic(fuse)
            .unwrap_or_else(|panic| Err(unsupported(panicked("a rule", &panic))))?;
        let plan = Plan::new(fused.model, &fused.operators, engine).map_err(unsupported)?;
        let (engine, inputs, outputs) = (engine.clone(), inputs.to_vec(), outputs.to_vec());
        let (layouts, unfused) = (fused.layouts, fused.unfused);
        Ok(Self { engine, part, inputs, outputs, layouts, unfused, plan })
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
    ///
    /// # Errors
    /// [`Error::Signature`] when the graph has no input `index`.
    pub fn shared_input(&self, index: usize, tensor: ArrayD<f32>) -> Result<SharedTensor, Error> {
        let layout = self.layouts.get(index).ok_or_else(|| Error::Signature {
            part: self.part.clone(),
            direction: "input",
            expected: format!("number {index}"),
            found: self.inputs.join(", "),
        })?;
        Ok(match layout {
            Layout::PixelCodes(quantization) => {
                self.codes_of_planes(index, *quantization, &tensor)?.into()
            }
            layout => layout.pack(tensor).into(),
        })
    }

    /// If input `index`, which the file declares as a picture `[N, 3, H, W]`, may be given as codes `[N, H, W, 3]`
    /// ([`Input::Codes`]): the code of each level of each channel, where `levels` are their values.
    ///
    /// Such a graph begins with int8 layers; a picture of bytes needs no f32 between its bytes and theirs.
    #[must_use]
    pub fn pixel_codes(&self, index: usize, levels: &[[f32; 256]; 3]) -> Option<[[u8; 256]; 3]> {
        match self.layouts.get(index)? {
            Layout::PixelCodes(quantization) => {
                Some(levels.map(|channel| channel.map(|level| quantization.code(level))))
            }
            _ => None,
        }
    }

    /// The codes of the planes that input `at` is given as.
    fn codes_of_planes(
        &self,
        at: usize,
        quantization: Quantization,
        planes: &ArrayD<f32>,
    ) -> Result<ArrayD<u8>, Error> {
        let name = &self.inputs[at];
        let &[batch, 3, height, width] = planes.shape() else {
            return Err(self.unexpected(name, "[N,3,H,W]", format!("{:?}", planes.shape())));
        };
        let elements: Cow<'_, [f32]> = match planes.as_slice() {
            Some(elements) => elements.into(),
            None => planes.iter().copied().collect(),
        };
        let mut codes = vec![0; elements.len()];
        let image = (3 * height * width).max(1);
        let cpu = self.engine.cpu();
        for (planes, codes) in elements.chunks_exact(image).zip(codes.chunks_exact_mut(image)) {
            if !quantization.quantize_interleaved(cpu, planes, codes) {
                return Err(Error::NotFinite { part: self.part.clone(), layer: name.clone() });
            }
        }
        #[expect(clippy::expect_used, reason = "an invariant of this function")]
        Ok(ArrayD::from_shape_vec(vec![batch, height, width, 3], codes)
            .expect("a code for each element"))
    }

    /// What it really runs on.
    #[must_use]
    pub fn execution(&self) -> Execution {
        let kernel = self.engine.cpu().instruction_set().name();
        let unfused = self.unfused.clone();
        let mut execution = Execution { kernel, unfused, ..Execution::default() };
        for (name, is_fused) in self.plan.operators() {
            let counts = if is_fused { &mut execution.fused } else { &mut execution.tract };
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
    /// [`Error::Run`] when a shape does not fit the graph, [`Error::Tensor`] for caches that are not `[B,P,W]` of one
    /// `B` and `P`, or when an output is not f32.
    pub fn run(&self, mut inputs: Vec<Input>) -> Result<Vec<ArrayD<f32>>, Error> {
        if self.takes_slot_mapping() && inputs.len() == self.layouts.len() {
            self.page_caches(&mut inputs)?;
        }
        for (at, (input, layout)) in inputs.iter_mut().zip(&self.layouts).enumerate() {
            if let Input::F32(array) = input {
                *input = match layout {
                    Layout::PixelCodes(quantization) => {
                        Input::Codes(self.codes_of_planes(at, *quantization, array)?)
                    }
                    layout => Input::F32(layout.pack(std::mem::take(array))),
                };
            }
        }
        let inputs = inputs.into_iter().map(|input| self.value(input));
        let inputs = inputs.collect::<Result<TVec<TValue>, _>>();
        let values = inputs.and_then(|inputs| self.plan.run(inputs, self.engine.profiler()));
        let values = values.map_err(|error| self.stopped(&error))?;
        values
            .into_iter()
            .zip(&self.outputs)
            .map(|(value, name)| self.output(value, name))
            .collect()
    }

    /// An input as tract takes it.
    fn value(&self, input: Input) -> Result<TValue, TractError> {
        Ok(match input {
            Input::F32(array) => match array.as_slice() {
                Some(elements) => filled(self.engine.buffers(), array.shape(), |copy| {
                    copy.copy_from_slice(elements);
                    Ok(())
                })?
                .into(),
                None => array.into_tensor().into(),
            },
            Input::I64(array) => array.into_tensor().into(),
            Input::Codes(array) => array.into_tensor().into(),
            Input::Shared(tensor) => TValue::from_const(tensor.into_tensor()),
        })
    }

    /// A copy of an output, whose own memory serves the next run.
    fn output(&self, value: TValue, name: &str) -> Result<ArrayD<f32>, Error> {
        let array = value.to_plain_array_view::<f32>().map(|view| view.to_owned());
        let array =
            array.map_err(|_| self.unexpected(name, "f32", format!("{:?}", value.datum_type())))?;
        self.engine.buffers().give_back(value);
        Ok(array)
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
    fn page_caches(&self, inputs: &mut Vec<Input>) -> Result<(), Error> {
        let mut sizes = None;
        for ((input, layout), name) in inputs.iter_mut().zip(&self.layouts).zip(&self.inputs) {
            if *layout != Layout::PagedCache {
                continue;
            }
            let Input::F32(array) = input else {
                return Err(self.unexpected(name, "f32 [B,P,W]", "another type".to_owned()));
            };
            let found = array.shape().to_vec();
            let unlike =
                || self.unexpected(name, "[B,P,W] like the other caches", format!("{found:?}"));
            let &[batch, past, width] = &*found else { return Err(unlike()) };
            if *sizes.get_or_insert((batch, past)) != (batch, past) {
                return Err(unlike());
            }
            let rows = std::mem::take(array).into_shape_clone(vec![batch * past, width]);
            *array = rows.map_err(|_| unlike())?;
        }
        let (batch, past) = sizes.unwrap_or((1, 0));
        let slots = Array2::from_shape_fn((batch, past), |(b, p)| (b * past + p) as i64);
        inputs.push(slots.into());
        Ok(())
    }

    fn unexpected(&self, tensor: &str, expected: &str, found: String) -> Error {
        let (part, tensor) = (self.part.clone(), tensor.to_owned());
        Error::Tensor { part, tensor, expected: expected.to_owned(), found }
    }
}

impl Drop for Graph {
    /// Gives back the memory that its runs would have used again; graphs that stay take theirs anew.
    fn drop(&mut self) {
        self.engine.buffers().clear();
    }
}
