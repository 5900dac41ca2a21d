//! Rules that put fused operators in the place of the ONNX nodes they recognise.
//!
//! They work on the ONNX graph rather than on tract's: there a layer norm is still one node, and weights
//! are still bytes of a mapped file, which are packed for the kernels without ever becoming a tensor of
//! tract's. What no rule recognises is left as it is, and runs on tract.

mod activation;
mod attention;
mod attention_pattern;
mod convolutions;
mod embedding;
mod integer_region;
mod linear;
mod miss;
mod normalization;
mod packing;
mod patches;
mod queries;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    sync::Arc,
};

use coca_kernels::OutOfMemory;
use coca_onnx::{
    Constants, GraphIndex, NodeId, Opset,
    pb::{GraphProto, NodeProto},
};
pub use miss::Unfused;
use miss::{Miss, Rule};

use super::{Engine, Rules, Weights, fused::FusedOperator, layout::Layout};

/// The operator type of nodes that stand for fused operators.
const FUSED: &str = "CocaFused";

/// The first version of ONNX's operators in which those that the rules know mean what they do today, or differ in
/// ways that the rules translate. `Add` and `Mul` broadcast along an attribute before.
const OLDEST_OPSET: Opset = Opset::new(7);

/// A graph with fused operators in it.
pub(super) struct Rewritten {
    /// The nodes of type [`FUSED`] stand for the operators.
    pub(super) graph: GraphProto,
    /// The fused operators by the names of their nodes.
    pub(super) operators: HashMap<String, Arc<dyn FusedOperator>>,
    /// The inputs that are laid out otherwise than the file says. If there are paged caches among them, one more
    /// input, the last, maps their slots.
    pub(super) layouts: BTreeMap<String, Layout>,
    /// Nodes that begin like a known pattern, and why they are none.
    pub(super) unfused: Vec<Unfused>,
}

/// Drops what nothing reads, and applies every rule unless `engine` has none.
///
/// # Errors
/// [`OutOfMemory`] when there is none for the weights that the rules pack.
pub(super) fn rewrite(
    mut graph: GraphIndex,
    weights: &Weights,
    engine: &Engine,
    int8: bool,
) -> Result<Rewritten, OutOfMemory> {
    graph.remove_unused();
    let mut rewriter = Rewriter {
        weights,
        engine,
        int8,
        operators: HashMap::new(),
        layouts: BTreeMap::new(),
        channels_last: BTreeMap::new(),
        misses: BTreeMap::new(),
        refused: None,
        prefix: unused_prefix(graph.graph()),
        graph,
    };
    let is_old = rewriter.graph.opset() < OLDEST_OPSET;
    if engine.rules() == Rules::On && !is_old {
        if int8 {
            rewriter.fuse_integer_regions();
        } else {
            rewriter.apply("DequantizeLinear", Rewriter::clamp_without_rounding);
        }
        rewriter.apply("Conv", Rewriter::fuse_patch_embedding);
        rewriter.apply("Conv", Rewriter::fuse_convolution);
        rewriter.apply("Transpose", Rewriter::flatten_channels_last);
        for operator in ["MatMul", "Gemm"] {
            rewriter.apply(operator, Rewriter::fuse_linear_layer);
        }
        rewriter.apply("MatMul", Rewriter::split_constant_queries);
        rewriter.apply("Softmax", Rewriter::fuse_attention);
        rewriter.apply("LayerNormalization", Rewriter::fuse_layer_norm);
        rewriter.apply("Gather", Rewriter::fuse_embedding);
    }
    if let Some(refused) = rewriter.refused {
        return Err(refused);
    }
    let mut rewritten = rewriter.finish();
    if engine.rules() == Rules::On && is_old {
        rewritten.unfused.push(Unfused::every_operator("the file's opset is older than 7"));
    }
    Ok(rewritten)
}

/// What the rules work with.
struct Rewriter<'w> {
    graph: GraphIndex,
    weights: &'w Weights,
    engine: &'w Engine,
    /// Whether int8 weights are multiplied as int8.
    int8: bool,
    operators: HashMap<String, Arc<dyn FusedOperator>>,
    layouts: BTreeMap<String, Layout>,
    /// The channels of every tensor that a fused convolution makes `[N, H, W, C]`.
    channels_last: BTreeMap<String, usize>,
    /// Why the last rule that had something to tell of a node left it.
    misses: BTreeMap<NodeId, Miss>,
    /// Weights that there was no memory for.
    refused: Option<OutOfMemory>,
    /// The beginning of every name that a rule makes, and of none in the file.
    prefix: String,
}

impl Rewriter<'_> {
    /// Applies a rule to every node of the standard operator `operator`.
    fn apply(&mut self, operator: &str, mut rule: impl FnMut(&mut Self, NodeId) -> Rule) {
        for id in self.graph.nodes_of(operator) {
            if self.refused.is_some() {
                return;
            }
            match rule(self, id) {
                Ok(()) | Err(Miss::Other) => {}
                Err(miss @ Miss::Near(_)) => {
                    self.misses.insert(id, miss);
                }
                Err(Miss::Memory(refused)) => self.refused = Some(refused),
            }
        }
    }

    /// The name of a tensor or node that a rule makes: `kind` tells apart those that it makes of the same one.
    fn derived(&self, kind: impl Display, of: impl Display) -> String {
        format!("{}{kind} {of}", self.prefix)
    }

    fn constants(&self) -> Constants<'_, GraphProto, Weights> {
        Constants::new(&self.graph, self.weights)
    }

    /// Puts `operator` in the place of the node `id`, as what makes `output`.
    fn replace(
        &mut self,
        id: NodeId,
        inputs: Vec<String>,
        output: String,
        operator: impl FusedOperator + 'static,
    ) {
        let node = self.fused_node(inputs, vec![output], operator);
        self.graph.replace(id, node);
    }

    /// A node that stands for `operator`.
    fn fused_node(
        &mut self,
        input: Vec<String>,
        output: Vec<String>,
        operator: impl FusedOperator + 'static,
    ) -> NodeProto {
        let name = self.derived("fused", self.operators.len());
        self.operators.insert(name.clone(), Arc::new(operator));
        NodeProto { name, op_type: FUSED.to_owned(), input, output, ..NodeProto::default() }
    }

    fn finish(self) -> Rewritten {
        let unfused = self.misses.iter().filter_map(|(&id, miss)| {
            let node = self.graph.node(id).filter(|node| node.op_type != FUSED)?;
            Unfused::new(node, miss)
        });
        let unfused = unfused.collect();
        let mut graph = self.graph.into_graph();
        name_apart(&mut graph, &self.prefix);
        Rewritten { graph, operators: self.operators, layouts: self.layouts, unfused }
    }
}

/// A prefix of no name in the graph.
fn unused_prefix(graph: &GraphProto) -> String {
    let nodes = graph.node.iter().flat_map(|node| node.output.iter().chain([&node.name]));
    let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
    let names = nodes.chain(tensors).chain(graph.input.iter().map(|input| &input.name));
    let colons = names.map(|name| name.bytes().take_while(|&byte| byte == b':').count());
    ":".repeat(colons.max().unwrap_or(0) + 1)
}

/// Gives each node a name of its own: those of a file may be alike, and tract names inputs and weights as nodes too.
fn name_apart(graph: &mut GraphProto, prefix: &str) {
    let inputs = graph.input.iter().map(|input| input.name.clone());
    let weights = graph.initializer.iter().map(|tensor| tensor.name.clone());
    let mut names: HashSet<String> = inputs.chain(weights).collect();
    for (at, node) in graph.node.iter_mut().enumerate() {
        if node.name.is_empty() {
            node.name = node.output.first().cloned().unwrap_or_default();
        }
        if !names.insert(node.name.clone()) {
            node.name = format!("{prefix}node {at} {}", node.name);
        }
    }
}

/// The other operand of a node with two inputs, one of which is `name`.
fn other_operand<'n>(node: &'n NodeProto, name: &str) -> Option<&'n str> {
    match &node.input[..] {
        [a, b] if a == name && b != name => Some(b),
        [a, b] if b == name && a != name => Some(a),
        _ => None,
    }
}

/// The node that lays the axes of `from` out in another order, as `to`.
fn transpose(from: &str, to: &str, order: &[i64]) -> NodeProto {
    let order = vec![coca_onnx::attribute::of_integers("perm", order)];
    coca_onnx::builder::node("Transpose", &[from], to, order)
}

/// Whether a node lays axes out in this order.
fn is_transpose(node: &NodeProto, order: &[i64]) -> bool {
    coca_onnx::operator(node) == Some("Transpose")
        && coca_onnx::attribute::integers(node, "perm") == Some(order)
}
