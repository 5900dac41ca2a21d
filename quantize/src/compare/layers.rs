//! Pairs of corresponding layers of two graphs, and the tensors to compare them by.

use std::{borrow::Borrow, collections::HashMap};

use coca_onnx::{self as onnx, GraphIndex, pb::GraphProto};
use serde::Serialize;

use super::noise::Noise;

/// Noise of the layers of all parts. Both models' parts get the same input: the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layers {
    /// Images, spread over the folder, that the layers ran on.
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
    /// File name of the part.
    pub part: &'static str,
    /// The name of its weight.
    pub layer: String,
    /// Signal-to-noise ratio of its output in dB; infinite (in JSON null) where both models give the same.
    pub snr_db: f64,
    /// Signal-to-noise ratio of its input: noise of the layers before it.
    pub input_snr_db: f64,
    /// Share of the noise that arises here, for comparisons only.
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

/// A linear layer or convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Name of its weight; the second layer with the same weight is called `weight (2)`.
    pub(super) name: String,
    pub(super) input: String,
    pub(super) output: String,
}

/// One layer in both graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    /// Its output in each graph.
    pub(super) outputs: [String; 2],
    /// Its input, where both graphs compute it.
    pub(super) inputs: Option<[String; 2]>,
}

/// The layers of `a` and their counterparts in `b`: with the same weight, else with an output of the same name; and
/// the names of those without a counterpart.
pub(super) fn pairs<G: Borrow<GraphProto>>(
    a: &GraphIndex<G>,
    b: &GraphIndex<G>,
) -> (Vec<Pair>, Vec<String>) {
    let theirs: HashMap<String, Layer> =
        layers(b).into_iter().map(|layer| (layer.name.clone(), layer)).collect();
    let (mut pairs, mut unmatched) = (Vec::new(), Vec::new());
    for Layer { name, input, output } in layers(a) {
        let (their_input, their_output) = match theirs.get(&name) {
            Some(layer) => (layer.input.clone(), layer.output.clone()),
            None if b.producer(&output).is_some() => (input.clone(), output.clone()),
            None => {
                unmatched.push(name);
                continue;
            }
        };
        let both = a.producer(&input).is_some() && b.producer(&their_input).is_some();
        let inputs = both.then_some([input, their_input]);
        pairs.push(Pair { name, outputs: [output, their_output], inputs });
    }
    (pairs, unmatched)
}

/// The linear layers and convolutions in the order of the graph.
fn layers<G: Borrow<GraphProto>>(index: &GraphIndex<G>) -> Vec<Layer> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut layers = Vec::new();
    for (_, node) in index.nodes() {
        let (input, weight) = match onnx::Layer::of(node) {
            Some(onnx::Layer::Linear(linear)) => (linear.input, linear.weight),
            Some(onnx::Layer::Convolution(convolution)) => (convolution.input, convolution.weight),
            Some(onnx::Layer::Lookup(_)) | None => continue,
        };
        let weight = stored_weight(weight, index);
        let Some((mut name, output)) = weight.zip(node.output.first()) else { continue };
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            name = format!("{name} ({times})");
        }
        layers.push(Layer { name, input: input.to_owned(), output: output.clone() });
    }
    layers
}

/// The constant that the tensor `name` is computed from, if all nodes between only change how it is stored.
fn stored_weight<G: Borrow<GraphProto>>(name: &str, index: &GraphIndex<G>) -> Option<String> {
    let mut name = name;
    // A graph with a cycle is refused later, by tract.
    for _ in 0..8 {
        if index.is_constant(name) {
            return Some(name.to_owned());
        }
        let (_, producer) = index.producer(name)?;
        name = match producer.op_type.as_str() {
            "DequantizeLinear" | "Cast" | "Identity" | "Transpose" | "Reshape" => {
                producer.input.first()?
            }
            _ => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use coca_onnx::{
        Opset, builder,
        pb::{NodeProto, TensorProto},
    };

    use super::*;

    fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
        builder::node(operator, inputs, output, Vec::new())
    }

    fn graph(nodes: Vec<NodeProto>, weights: &[&str]) -> GraphIndex<GraphProto> {
        let tensor = |name: &&str| TensorProto { name: (*name).to_owned(), ..Default::default() };
        let graph = GraphProto {
            node: nodes,
            initializer: weights.iter().map(tensor).collect(),
            ..Default::default()
        };
        GraphIndex::new(graph, Opset::new(17))
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
