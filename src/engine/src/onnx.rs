//! An ONNX file, parsed: which weights it needs, and how it becomes a graph with fused operators.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use coca_kernels::OutOfMemory;
use coca_onnx::{
    GraphIndex, Model, element_count, external_files, is_external,
    pb::{
        ModelProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
        tensor_shape_proto::dimension::Value,
    },
    value_info,
};

use crate::{
    Arithmetic, Engine, Error, Weights,
    fused::FusedOperator,
    layout::Layout,
    rewrite::{Unfused, rewrite},
};

/// A parsed ONNX graph, not yet joined with its external data.
pub struct Onnx {
    part: String,
    graph: GraphIndex,
    /// The model without its graph.
    rest: ModelProto,
    /// A tensor inside the graph that may be given or asked for.
    inner: Option<ValueInfoProto>,
}

impl Onnx {
    /// Reads the graph in `bytes`; `part` names it in errors.
    ///
    /// # Errors
    /// [`Error::NotOnnx`] when the bytes are something else or cut off; [`Error::Limit`], [`Error::Node`] and [`Error::Tensor`] as
    /// [`Model::from_proto`].
    pub fn parse(part: &str, bytes: &[u8]) -> Result<Self, Error> {
        let model = Model::parse(bytes).map_err(|e| Error::in_part(part, e))?;
        Ok(Self::new(part, model))
    }

    /// Takes a graph that is parsed already; `part` names it in errors.
    #[must_use]
    pub fn new(part: &str, model: Model) -> Self {
        let opset = model.opset();
        let (graph, rest) = model.into_parts();
        Self { part: part.to_owned(), graph: GraphIndex::new(graph, opset), rest, inner: None }
    }

    /// The name it goes by in errors.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// The graph with its index, to recognise what it computes.
    #[must_use]
    pub fn graph(&self) -> &GraphIndex {
        &self.graph
    }

    /// The files that its external data stands in.
    #[must_use]
    pub fn weight_files(&self) -> BTreeSet<String> {
        external_files(self.graph.graph())
    }

    /// About how many bytes of memory the graph takes once it is prepared: its weights, but for tables of
    /// embeddings, which stay in their mapped file.
    #[must_use]
    pub fn memory(&self, arithmetic: Arithmetic) -> u64 {
        let bytes = |tensor: &TensorProto| {
            let is_int8 = tensor.data_type == DataType::Int8 as i32;
            let size = if is_int8 && arithmetic == Arithmetic::Int8 { 1 } else { 4 };
            // A shape that cannot be asks for more than there is.
            element_count(tensor).map_or(u64::MAX, |count| count as u64).saturating_mul(size)
        };
        let tensors = self.graph.graph().initializer.iter();
        let packed = tensors.filter(|tensor| !self.graph.is_only_looked_up(&tensor.name));
        packed.map(bytes).fold(0, u64::saturating_add)
    }

    /// Gives the size of a dimension that the graph's inputs and outputs leave open.
    ///
    /// tract plans convolutions better when it knows every size: depthwise ones run twelve times faster.
    #[must_use]
    pub fn with_size(mut self, dimension: &str, size: i64) -> Self {
        for dim in self.graph.dimensions_mut() {
            if dim.value == Some(Value::DimParam(dimension.to_owned())) {
                dim.value = Some(Value::DimValue(size));
            }
        }
        self
    }

    /// Makes a tensor inside the graph, of three axes, one that [`crate::Graph::prepare`] may be
    /// asked for as an output, or as the only input.
    #[must_use]
    pub fn with_inner(mut self, name: &str) -> Self {
        let axes = ["N".into(), "rows".into(), "width".into()];
        self.inner = Some(value_info::tensor(name, DataType::Float, &axes));
        self
    }

    /// Joins the graph with its weights, leaves the inputs and outputs asked for, in order, and fuses what it can.
    pub(crate) fn fuse(
        mut self,
        weights: &Weights,
        inputs: &[String],
        outputs: &[String],
        arithmetic: Arithmetic,
        engine: &Engine,
    ) -> Result<FusedModel, Error> {
        self.select(inputs, outputs)?;
        let rewritten = rewrite(self.graph, weights, engine, arithmetic == Arithmetic::Int8);
        let no_memory =
            |refused: OutOfMemory| Error::Memory { part: self.part.clone(), bytes: refused.bytes };
        let mut rewritten = rewritten.map_err(no_memory)?;
        let layout = |input: &String| rewritten.layouts.get(input).copied();
        let layouts = inputs.iter().map(|input| layout(input).unwrap_or(Layout::AsDeclared));
        let layouts = layouts.collect();
        for tensor in rewritten.graph.initializer.iter_mut().filter(|t| is_external(t)) {
            weights.inline(tensor).map_err(|e| Error::in_part(&self.part, e))?;
        }
        let model = ModelProto { graph: Some(rewritten.graph), ..self.rest };
        let (operators, unfused) = (rewritten.operators, rewritten.unfused);
        Ok(FusedModel { model, operators, layouts, unfused })
    }

    /// Leaves the inputs and outputs asked for, in order.
    fn select(&mut self, inputs: &[String], outputs: &[String]) -> Result<(), Error> {
        let (part, inner) = (&self.part, self.inner.take());
        let graph = self.graph.graph();
        let mut found_outputs = graph.output.clone();
        let inputs = match inner {
            Some(inner) if inputs.contains(&inner.name) => vec![inner],
            inner => {
                found_outputs.extend(inner);
                let found = graph.input.iter().filter(|input| self.graph.is_input(&input.name));
                in_order(part, "input", found.cloned().collect(), inputs)?
            }
        };
        let outputs = in_order(part, "output", found_outputs, outputs)?;
        self.graph.set_signature(inputs, outputs);
        Ok(())
    }
}

/// A graph with fused operators in it, and how it takes its inputs.
pub(crate) struct FusedModel {
    pub(crate) model: ModelProto,
    /// The fused operators, by the names of the nodes that stand for them.
    pub(crate) operators: HashMap<String, Arc<dyn FusedOperator>>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) unfused: Vec<Unfused>,
}

/// The entries of `all` that `names` names, in that order. Inputs must all be named: none can be left unfed.
fn in_order(
    part: &str,
    direction: &'static str,
    mut all: Vec<ValueInfoProto>,
    names: &[String],
) -> Result<Vec<ValueInfoProto>, Error> {
    let found = all.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
    let signature = |expected: String| Error::Signature {
        part: part.to_owned(),
        direction,
        expected,
        found: found.clone(),
    };
    let mut ordered = Vec::with_capacity(names.len());
    for wanted in names {
        let at = all.iter().position(|info| info.name == *wanted);
        ordered.push(all.swap_remove(at.ok_or_else(|| signature(wanted.clone()))?));
    }
    if direction == "input" && !all.is_empty() {
        return Err(signature(format!("one of {} and nothing else", names.join(", "))));
    }
    Ok(ordered)
}
