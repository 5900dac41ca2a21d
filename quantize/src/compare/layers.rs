//! The layers of two graphs that belong together, and the tensors to compare them by.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tract_onnx::pb::{GraphProto, NodeProto};

use super::noise::Noise;

/// Noise of the layers of all parts. Both models' parts get the same input: the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layers {
    /// Pictures, spread over the folder, that the layers ran on.
    pub pictures: usize,
    /// Layers that both models have.
    pub compared: usize,
    /// Layers of the reference without a counterpart of the same name, as `part: weight`.
    pub unmatched: Vec<String>,
    /// Every compared layer, first those where most noise arises.
    pub worst: Vec<LayerNoise>,
}

/// Noise of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerNoise {
    /// The part's file.
    pub part: &'static str,
    /// The name of its weight.
    pub layer: String,
    /// Signal to noise of what it gives, in dB; infinite (in JSON null) where both models give the same.
    pub snr_db: f64,
    /// Signal to noise of what it reads: noise that came from layers before it.
    pub input_snr_db: f64,
    /// How much of the noise arises here; only good for comparison.
    #[serde(skip)]
    pub(super) arising: f64,
}

impl LayerNoise {
    pub(super) fn new(part: &'static str, layer: String, output: Noise, input: Noise) -> Self {
        let (snr_db, input_snr_db) = (output.snr_db(), input.snr_db());
        Self { part, layer, snr_db, input_snr_db, arising: arising(output.lost(), input.lost()) }
    }
}

/// Noise that no answer shows, as a share of the signal: 60 dB.
const IMPERCEPTIBLE: f64 = 1e-6;

/// The share of the signal that is lost behind a layer, times the logarithm of its growth in the layer.
///
/// The difference to the share lost before would not do: layers after a damaged one often amplify its noise, and lose
/// more in absolute terms than the one where it began.
fn arising(lost: f64, lost_before: f64) -> f64 {
    lost * (lost.max(IMPERCEPTIBLE) / lost_before.max(IMPERCEPTIBLE)).ln()
}

/// A matrix product or convolution with weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Its weight; the second layer with the same weight is called `weight (2)`.
    pub(super) name: String,
    pub(super) input: String,
    pub(super) output: String,
}

/// One layer in both graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    /// What it gives, in each graph.
    pub(super) outputs: [String; 2],
    /// What it reads, where both graphs compute that.
    pub(super) inputs: Option<[String; 2]>,
}

/// The layers of `a` and their counterparts in `b`: with the same weight, else with an output of the same name.
/// Beside them the names of those without any.
pub(super) fn pairs(a: &GraphProto, b: &GraphProto) -> (Vec<Pair>, Vec<String>) {
    let theirs: HashMap<String, Layer> =
        layers(b).into_iter().map(|layer| (layer.name.clone(), layer)).collect();
    let [computed_a, computed_b] = [a, b].map(computed);
    let (mut pairs, mut unmatched) = (Vec::new(), Vec::new());
    for Layer { name, input, output } in layers(a) {
        let (their_input, their_output) = match theirs.get(&name) {
            Some(layer) => (layer.input.clone(), layer.output.clone()),
            None if computed_b.contains(output.as_str()) => (input.clone(), output.clone()),
            None => {
                unmatched.push(name);
                continue;
            }
        };
        let both = computed_a.contains(input.as_str()) && computed_b.contains(their_input.as_str());
        let inputs = both.then_some([input, their_input]);
        pairs.push(Pair { name, outputs: [output, their_output], inputs });
    }
    (pairs, unmatched)
}

/// The tensors that a graph's nodes give.
fn computed(graph: &GraphProto) -> HashSet<&str> {
    graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect()
}

/// The layers in the order of the graph.
fn layers(graph: &GraphProto) -> Vec<Layer> {
    let makers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let weights: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut layers = Vec::new();
    for node in &graph.node {
        let [input, weight, ..] = node.input.as_slice() else { continue };
        let Some(output) = node.output.first() else { continue };
        if !matches!(node.op_type.as_str(), "MatMul" | "Gemm" | "Conv") {
            continue;
        }
        let Some(mut name) = weight_of(weight, &makers, &weights) else { continue };
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            name = format!("{name} ({times})");
        }
        layers.push(Layer { name, input: input.clone(), output: output.clone() });
    }
    layers
}

/// The stored weight behind the tensor `name`, if nothing but how it is stored lies between them.
fn weight_of(
    name: &str,
    makers: &HashMap<&str, &NodeProto>,
    weights: &HashSet<&str>,
) -> Option<String> {
    let mut name = name;
    // A graph with a cycle is refused later, by tract.
    for _ in 0..8 {
        if weights.contains(name) {
            return Some(name.to_owned());
        }
        let maker = makers.get(name)?;
        name = match maker.op_type.as_str() {
            "Constant" => return Some(name.to_owned()),
            "DequantizeLinear" | "Cast" | "Identity" | "Transpose" | "Reshape" => {
                maker.input.first()?
            }
            _ => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::TensorProto;

    use super::*;

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn graph(nodes: Vec<NodeProto>, weights: &[&str]) -> GraphProto {
        let tensor = |name: &&str| TensorProto { name: (*name).to_owned(), ..Default::default() };
        GraphProto {
            node: nodes,
            initializer: weights.iter().map(tensor).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn the_layer_where_noise_begins_stands_before_one_that_amplifies_it() {
        assert!(arising(0.085, 0.0) > arising(0.34, 0.135));
        assert!(arising(0.1, 0.01) > arising(1e-4, 0.0));
        assert_eq!(arising(0.0, 0.0), 0.0);
        assert!(arising(0.1, 0.2) < 0.0);
    }

    #[test]
    fn a_layer_and_its_int8_counterpart_meet_by_their_weight() {
        let f32 = graph(vec![node("MatMul", &["x", "w"], "y")], &["w"]);
        let dequantize = node("DequantizeLinear", &["w", "w.scale", "w.zero"], "w.f32");
        let product = node("MatMul", &["x", "w.f32"], "z");
        let int8 = graph(vec![dequantize, product], &["w", "w.scale", "w.zero"]);
        let (pairs, unmatched) = pairs(&f32, &int8);
        let outputs = ["y", "z"].map(str::to_owned);
        assert_eq!(pairs, [Pair { name: "w".to_owned(), outputs, inputs: None }]);
        assert!(unmatched.is_empty());
    }

    #[test]
    fn a_layer_with_a_renamed_weight_meets_the_one_with_its_output() {
        let f32 = graph(vec![node("Relu", &["x"], "r"), node("Conv", &["r", "w"], "y")], &["w"]);
        let scaled = node("Mul", &["product", "scale"], "y");
        let product = node("ConvInteger", &["r", "w_quantized"], "product");
        let int8 = graph(vec![node("Relu", &["x"], "r"), product, scaled], &["w_quantized"]);
        let (pairs, _) = pairs(&f32, &int8);
        assert_eq!(pairs[0].inputs, Some(["r", "r"].map(str::to_owned)));
        assert_eq!(pairs[0].outputs, ["y", "y"].map(str::to_owned));
    }

    #[test]
    fn a_layer_without_a_counterpart_is_told() {
        let a = graph(vec![node("MatMul", &["x", "w"], "y")], &["w"]);
        let (pairs, unmatched) = pairs(&a, &graph(Vec::new(), &[]));
        assert_eq!((pairs.len(), unmatched), (0, vec!["w".to_owned()]));
    }

    #[test]
    fn products_without_weights_are_no_layers_and_a_weight_may_serve_twice() {
        let nodes = vec![
            node("MatMul", &["x", "w"], "y"),
            node("MatMul", &["y", "x"], "attention"),
            node("MatMul", &["attention", "w"], "z"),
        ];
        let names: Vec<_> = layers(&graph(nodes, &["w"])).into_iter().map(|l| l.name).collect();
        assert_eq!(names, ["w", "w (2)"]);
    }
}
