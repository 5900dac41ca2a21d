//! The region written as ONNX: in floating point, or quantised in the form that runtimes fuse.
//!
//! ```text
//! x ─ QuantizeLinear ─ DequantizeLinear ─ Conv ─ Clip ─ QuantizeLinear ─ DequantizeLinear ─ …
//!                 i8 ─ DequantizeLinear ──┤
//!                i32 ─ DequantizeLinear ──┘
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};

use coca_onnx::{
    GraphIndex, Opset,
    attribute::of_integer,
    builder::{f32_tensor, node, raw_tensor},
    pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};

use super::{
    super::{names::Names, rounding::Int8},
    ranges::Quantization,
    region::{Filters, Region, Step},
};

/// The codes of a region.
#[derive(Debug, Clone, Default)]
pub(super) struct Codes {
    /// Those of activations, by the names of the tensors.
    pub(super) activations: BTreeMap<String, Quantization>,
    /// Those of filters, by the outputs of the convolutions' nodes.
    pub(super) filters: BTreeMap<String, Int8>,
}

/// A graph with its region quantised, and the names of tensors in it.
pub(super) struct Quantized {
    pub(super) graph: GraphProto,
    /// Each step's [`Step::linear`] by that name.
    pub(super) linear: BTreeMap<String, String>,
    /// The dequantised tensor that stands for each input of the region.
    pub(super) inputs: BTreeMap<String, String>,
}

/// The graph with the filters of `region`, in floating point.
pub(super) fn in_floating_point(graph: &GraphProto, opset: Opset, region: &Region) -> GraphProto {
    let mut graph = without_filters(graph, opset, region);
    let mut names = Names::of(&graph);
    let filters: BTreeMap<&str, &Filters> =
        region.convolutions().map(|(step, filters)| (step.linear.as_str(), filters)).collect();
    for node in &mut graph.node {
        let output = node.output.first().map(String::as_str);
        let Some(filters) = output.and_then(|output| filters.get(output)) else { continue };
        let [weight, bias] = filter_names(&mut names, filters);
        let dims = filters.dims.map(|size| size as i64);
        graph.initializer.push(f32_tensor(&weight, &dims, &filters.values));
        graph.initializer.push(f32_tensor(&bias, &dims[..1], &filters.bias));
        node.input.extend([weight, bias]);
    }
    graph
}

/// The graph with the filters and activations of `region` as `codes`.
pub(super) fn quantized(
    graph: &GraphProto,
    opset: Opset,
    region: &Region,
    codes: &Codes,
) -> Quantized {
    let mut graph = without_filters(graph, opset, region);
    let names = Names::of(&graph);
    let nodes = std::mem::take(&mut graph.node);
    let mut writer = Writer::new(graph, names, region, codes);
    for node in nodes {
        writer.write(node);
    }
    writer.written
}

/// The graph with convolutions that lack their filters, without what made these alone.
fn without_filters(graph: &GraphProto, opset: Opset, region: &Region) -> GraphProto {
    let mut graph = graph.clone();
    let outputs: HashSet<&str> =
        region.convolutions().map(|(step, _)| step.linear.as_str()).collect();
    for node in &mut graph.node {
        if node.output.first().is_some_and(|output| outputs.contains(output.as_str())) {
            node.input.truncate(1);
        }
    }
    let weights: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let mut index = GraphIndex::new(graph, opset);
    index.remove_unused();
    let mut graph = index.into_graph();
    let left: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    // Older graphs list their weights among the inputs.
    graph
        .input
        .retain(|input| left.contains(input.name.as_str()) || !weights.contains(&input.name));
    graph
}

/// The names of a convolution's weight and bias.
fn filter_names(names: &mut Names, filters: &Filters) -> [String; 2] {
    let weight = names.take(filters.name.clone());
    let bias = filters.bias_name.clone().unwrap_or_else(|| format!("{weight}.bias"));
    [weight, names.take(bias)]
}

/// A region that is being written node by node.
struct Writer<'a> {
    written: Quantized,
    names: Names,
    codes: &'a Codes,
    /// The steps by their nodes' outputs.
    steps: BTreeMap<&'a str, &'a Step>,
    /// The results of steps.
    results: BTreeSet<&'a str>,
}

impl<'a> Writer<'a> {
    /// `rest` is the graph without nodes, whose names are among `names`.
    fn new(rest: GraphProto, names: Names, region: &'a Region, codes: &'a Codes) -> Self {
        let steps = || region.steps.iter();
        Self {
            written: Quantized { graph: rest, linear: BTreeMap::new(), inputs: BTreeMap::new() },
            names,
            codes,
            steps: steps().map(|step| (step.linear.as_str(), step)).collect(),
            results: steps().map(|step| step.output.as_str()).collect(),
        }
    }

    fn push(&mut self, node: NodeProto) {
        self.written.graph.node.push(node);
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        self.written.graph.initializer.push(tensor);
        name
    }

    /// Writes a node of the graph, and what quantises its inputs and outputs.
    fn write(&mut self, mut node: NodeProto) {
        let Some(output) = node.output.first().cloned() else { return self.push(node) };
        let step = self.steps.get(output.as_str()).copied();
        if let Some(step) = step {
            self.read_codes(step, &mut node);
            if let Some(filters) = step.filters() {
                let input = self.codes.activations[&step.inputs[0]];
                let rounded = &self.codes.filters[&step.linear];
                node.input.extend(self.filters(filters, rounded, input.scale));
            }
        }
        let is_result = self.results.contains(output.as_str());
        let made =
            if is_result { self.names.take(format!("{output}.exact")) } else { output.clone() };
        // A node that is called like its output leaves that name to the node that makes it from codes.
        if node.name == output {
            node.name.clone_from(&made);
        }
        node.output[0].clone_from(&made);
        self.push(node);
        if step.is_some() {
            self.written.linear.insert(output.clone(), made.clone());
        }
        if is_result {
            self.quantize(&output, &made, output.clone());
        }
    }

    /// Makes the node of a step read dequantised codes where the region begins.
    fn read_codes(&mut self, step: &Step, node: &mut NodeProto) {
        for (at, name) in step.inputs.iter().enumerate() {
            if self.results.contains(name.as_str()) {
                continue;
            }
            let value = match self.written.inputs.get(name) {
                Some(value) => value.clone(),
                None => {
                    let value = self.names.take(format!("{name}.value"));
                    self.quantize(name, name, value.clone());
                    self.written.inputs.insert(name.clone(), value.clone());
                    value
                }
            };
            node.input[at] = value;
        }
    }

    /// Makes `value` of the tensor `from` by way of the codes of the activation `name`.
    fn quantize(&mut self, name: &str, from: &str, value: String) {
        let Quantization { scale, zero } = self.codes.activations[name];
        let [codes, scale_name, zero_name] =
            ["codes", "scale", "zero"].map(|ending| self.names.take(format!("{name}.{ending}")));
        self.constant(f32_tensor(&scale_name, &[], &[scale]));
        self.constant(raw_tensor(&zero_name, DataType::Uint8, &[], vec![zero]));
        let parameters = [scale_name.as_str(), zero_name.as_str()];
        let inputs = [&[from][..], &parameters].concat();
        self.push(node("QuantizeLinear", &inputs, &codes, Vec::new()));
        let inputs = [&[codes.as_str()][..], &parameters].concat();
        let dequantize = node("DequantizeLinear", &inputs, &value, Vec::new());
        // The tensor may have the name of the node that made it before.
        self.push(NodeProto { name: format!("{codes}.value"), ..dequantize });
    }

    /// Writes a weight and a bias that are read with codes of the scale `input`; gives their dequantised names.
    fn filters(&mut self, filters: &Filters, rounded: &Int8, input: f32) -> [String; 2] {
        let [weight, bias] = filter_names(&mut self.names, filters);
        let outputs = filters.dims[0] as i64;
        let [scale, zero, weight_value] =
            ["scale", "zero", "f32"].map(|e| self.names.take(format!("{weight}.{e}")));
        let integers = rounded.integers.iter().map(|i| i.cast_unsigned()).collect();
        let dims = filters.dims.map(|size| size as i64);
        self.constant(raw_tensor(&weight, DataType::Int8, &dims, integers));
        self.constant(f32_tensor(&scale, &[outputs], &rounded.scales));
        self.constant(raw_tensor(&zero, DataType::Int8, &[outputs], vec![0; filters.dims[0]]));
        let axis = || vec![of_integer("axis", 0)];
        self.push(node("DequantizeLinear", &[&weight, &scale, &zero], &weight_value, axis()));

        let [scale, bias_value] = ["scale", "f32"].map(|e| self.names.take(format!("{bias}.{e}")));
        let scales: Vec<f32> = rounded.scales.iter().map(|scale| scale * input).collect();
        let integers = filters.bias.iter().zip(&scales).flat_map(|(&bias, &scale)| {
            let integer = (f64::from(bias) / f64::from(scale)).round_ties_even() as i32;
            integer.to_le_bytes()
        });
        let integers = integers.collect();
        self.constant(raw_tensor(&bias, DataType::Int32, &[outputs], integers));
        self.constant(f32_tensor(&scale, &[outputs], &scales));
        self.push(node("DequantizeLinear", &[&bias, &scale], &bias_value, axis()));
        [weight_value, bias_value]
    }
}
