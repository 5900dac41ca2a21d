//! An ONNX file, parsed: which weights it needs, and its inputs and outputs.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::{
    pb::{
        GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
        ValueInfoProto,
        tensor_proto::DataType,
        tensor_shape_proto::{Dimension, dimension::Value},
        type_proto,
    },
    prelude::{Framework, InferenceModel},
    tract_hir::ops::expandable::expand,
};

use crate::{
    Arithmetic, Engine, Error, Rules, Weights,
    error::chain,
    fused::Fused,
    layout::Layout,
    rewrite::{FUSED, rewrite},
    weights::is_external,
};

/// A parsed ONNX graph, not yet joined with its external data.
pub struct Onnx {
    part: String,
    proto: ModelProto,
    /// A tensor inside the graph that may be given or asked for.
    inner: Option<ValueInfoProto>,
}

impl Onnx {
    /// Reads the graph in `bytes`; `part` names it in errors.
    ///
    /// # Errors
    /// [`Error::NotOnnx`] when the bytes are something else or cut off.
    pub fn parse(part: &str, bytes: &[u8]) -> Result<Self, Error> {
        let proto = tract_onnx::onnx()
            .proto_model_for_read(&mut &bytes[..])
            .map_err(|e| Error::NotOnnx { part: part.to_owned(), reason: chain(&e) })?;
        if proto.graph.is_none() {
            let reason = "it holds no graph".to_owned();
            return Err(Error::NotOnnx { part: part.to_owned(), reason });
        }
        Ok(Self { part: part.to_owned(), proto, inner: None })
    }

    /// The name it goes by in errors.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// The files that its external data stands in.
    #[must_use]
    pub fn weight_files(&self) -> BTreeSet<String> {
        let tensors = self.proto.graph.iter().flat_map(|graph| &graph.initializer);
        tensors
            .filter(|tensor| is_external(tensor))
            .flat_map(|tensor| &tensor.external_data)
            .filter(|entry| entry.key == "location")
            .map(|entry| entry.value.clone())
            .collect()
    }

    /// About how many bytes of memory the graph takes once it is prepared: its weights, but for tables of
    /// embeddings, which stay in their mapped file.
    #[must_use]
    pub fn memory(&self, arithmetic: Arithmetic) -> u64 {
        let Some(graph) = &self.proto.graph else { return 0 };
        let bytes = |tensor: &TensorProto| {
            let numbers: u64 = tensor.dims.iter().map(|&dim| dim.unsigned_abs()).product();
            let is_int8 = tensor.data_type == DataType::Int8 as i32;
            numbers * if is_int8 && arithmetic == Arithmetic::Int8 { 1 } else { 4 }
        };
        let packed = graph.initializer.iter().filter(|tensor| !is_table(graph, &tensor.name));
        packed.map(bytes).sum()
    }

    /// Gives the size of a dimension that the graph's inputs and outputs leave open.
    ///
    /// tract plans convolutions better when it knows every size: depthwise ones run twelve times faster.
    #[must_use]
    pub fn with_size(mut self, dimension: &str, size: i64) -> Self {
        let graph = self.proto.graph.iter_mut();
        let tensors = graph.flat_map(|graph| graph.input.iter_mut().chain(&mut graph.output));
        for dim in tensors.flat_map(dims) {
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
        let dims = ["N", "rows", "width"].map(|axis| Dimension {
            value: Some(Value::DimParam(axis.to_owned())),
            ..Dimension::default()
        });
        let tensor = type_proto::Tensor {
            elem_type: DataType::Float as i32,
            shape: Some(TensorShapeProto { dim: dims.into() }),
        };
        let kind = type_proto::Value::TensorType(tensor);
        self.inner = Some(ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto { value: Some(kind), ..TypeProto::default() }),
            ..ValueInfoProto::default()
        });
        self
    }

    /// What an attentional pooler reads: the one tensor that the keys and values of an attention with
    /// learnt queries are parts of, if `output` can be computed from it alone.
    #[must_use]
    pub fn pooler_input(&self, output: &str) -> Option<String> {
        let graph = self.proto.graph.as_ref()?;
        let learnt = |name: &String| {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name == *name);
            tensor.is_some_and(|tensor| tensor.dims.len() == 4)
        };
        let of_learnt =
            |node: &&NodeProto| node.op_type == "MatMul" && node.input.first().is_some_and(learnt);
        let scores = graph.node.iter().find(of_learnt)?;
        let mut node = maker(graph, scores.input.get(1)?)?;
        while matches!(node.op_type.as_str(), "Transpose" | "Reshape") {
            node = maker(graph, node.input.first()?)?;
        }
        let cut = (node.op_type == "Split").then(|| node.input.first().cloned())??;
        let inputs: BTreeSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        let (mut seen, mut open) = (BTreeSet::new(), vec![output]);
        while let Some(name) = open.pop() {
            if inputs.contains(name) {
                return None;
            }
            if name != cut && seen.insert(name) {
                let node = maker(graph, name);
                open.extend(node.iter().flat_map(|node| &node.input).map(String::as_str));
            }
        }
        Some(cut)
    }

    /// Joins the graph with its weights, leaves the inputs and outputs asked for, in order, and fuses what it can.
    pub(crate) fn into_model(
        mut self,
        weights: &Weights,
        inputs: &[String],
        outputs: &[String],
        arithmetic: Arithmetic,
        engine: &Engine,
    ) -> Result<FusedModel, Error> {
        let part = &self.part;
        let mut operators = BTreeMap::new();
        let mut layouts = vec![Layout::Stated; inputs.len()];
        if let Some(mut graph) = self.proto.graph.take() {
            graph.input.retain(|i| graph.initializer.iter().all(|t| t.name != i.name));
            let found = std::mem::take(&mut graph.input);
            let inner = self.inner.take();
            match inner {
                Some(inner) if inputs.contains(&inner.name) => graph.input = vec![inner],
                inner => {
                    graph.input = in_order(part, "input", found, inputs, |i| &i.name)?;
                    graph.output.extend(inner);
                }
            }
            let found = std::mem::take(&mut graph.output);
            graph.output = in_order(part, "output", found, outputs, |o| &o.name)?;
            if engine.rules() == Rules::On {
                let rewritten = rewrite(graph, weights, engine, arithmetic == Arithmetic::Int8);
                for (layout, input) in layouts.iter_mut().zip(inputs) {
                    *layout = rewritten.layouts.get(input).copied().unwrap_or(Layout::Stated);
                }
                operators.extend(rewritten.operators);
                graph = rewritten.graph;
            }
            for tensor in graph.initializer.iter_mut().filter(|t| is_external(t)) {
                weights.inline(part, tensor)?;
            }
            self.proto.graph = Some(graph);
        }
        let mut model = tract_onnx::onnx()
            .model_for_proto_model(&self.proto)
            .map_err(|e| Error::Unsupported { part: part.clone(), reason: chain(&e) })?;
        for node in model.nodes.iter_mut().filter(|node| node.name.starts_with(FUSED)) {
            if let Some(operator) = operators.remove(&node.name) {
                node.op = expand(Fused::new(operator, engine));
            }
        }
        Ok(FusedModel { model, layouts })
    }
}

/// A graph in tract's hands, and how it takes its inputs.
pub(crate) struct FusedModel {
    pub(crate) model: InferenceModel,
    pub(crate) layouts: Vec<Layout>,
}

/// Whether nothing reads a tensor but look-ups of its rows.
fn is_table(graph: &GraphProto, name: &str) -> bool {
    let is_read = |node: &&NodeProto| node.input.iter().any(|input| input == name);
    let mut readers = graph.node.iter().filter(is_read).peekable();
    readers.peek().is_some()
        && readers.all(|node| match node.op_type.as_str() {
            "Gather" => node.input.first().is_some_and(|table| table == name),
            "Cast" | "DequantizeLinear" => {
                node.output.first().is_some_and(|output| is_table(graph, output))
            }
            _ => false,
        })
}

fn maker<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a NodeProto> {
    graph.node.iter().find(|node| node.output.iter().any(|output| output == name))
}

fn dims(tensor: &mut ValueInfoProto) -> impl Iterator<Item = &mut Dimension> {
    let shape = tensor.r#type.iter_mut().flat_map(|kind| match &mut kind.value {
        Some(type_proto::Value::TensorType(tensor)) => tensor.shape.as_mut(),
        _ => None,
    });
    shape.flat_map(|shape| &mut shape.dim)
}

/// The entries of `all` that `names` names, in that order. Inputs must all be named: none can be left unfed.
fn in_order<T>(
    part: &str,
    direction: &'static str,
    mut all: Vec<T>,
    names: &[String],
    name: impl Fn(&T) -> &String,
) -> Result<Vec<T>, Error> {
    let found = all.iter().map(|t| name(t).as_str()).collect::<Vec<_>>().join(", ");
    let signature = |expected: String| Error::Signature {
        part: part.to_owned(),
        direction,
        expected,
        found: found.clone(),
    };
    let mut ordered = Vec::with_capacity(names.len());
    for wanted in names {
        let at =
            all.iter().position(|t| name(t) == wanted).ok_or_else(|| signature(wanted.clone()))?;
        ordered.push(all.swap_remove(at));
    }
    if direction == "input" && !all.is_empty() {
        return Err(signature(format!("one of {} and nothing else", names.join(", "))));
    }
    Ok(ordered)
}
