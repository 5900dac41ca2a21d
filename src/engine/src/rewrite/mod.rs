//! Rules that put fused operators in the place of the ONNX nodes they recognise.
//!
//! They work on the ONNX graph rather than on tract's: there a layer norm is still one node, and weights
//! are still bytes of a mapped file, which are packed for the kernels without ever becoming a tensor of
//! tract's. What no rule recognises is left as it is, and runs on tract.

mod activation;
mod attention;
mod constants;
mod convolutions;
mod embedding;
mod linear;
mod network;
mod normalization;
mod patches;

use std::{collections::BTreeMap, sync::Arc};

pub(super) use network::FUSED;
use network::Network;
use tract_onnx::pb::GraphProto;

use super::{Engine, Weights, fused::FusedOperator, layout::Layout};

/// A graph with fused operators in it.
pub(super) struct Rewritten {
    /// The nodes of type [`FUSED`] stand for the operators.
    pub(super) graph: GraphProto,
    /// The fused operators by the names of their nodes.
    pub(super) operators: Vec<(String, Arc<dyn FusedOperator>)>,
    /// The inputs that are laid out otherwise than the file says. If there are stores among them, one more
    /// input, the last, says which of their rows are whose.
    pub(super) layouts: BTreeMap<String, Layout>,
}

/// Applies every rule.
pub(super) fn rewrite(
    graph: GraphProto,
    weights: &Weights,
    engine: &Engine,
    int8: bool,
) -> Rewritten {
    let network = Network::new(graph);
    let (layouts, pictures) = (BTreeMap::new(), BTreeMap::new());
    let mut rewriter = Rewriter { network, weights, engine, int8, layouts, pictures };
    rewriter.fuse_patch_embeddings();
    rewriter.fuse_convolutions();
    rewriter.fuse_linear_layers();
    rewriter.fuse_attention();
    rewriter.fuse_layer_norms();
    rewriter.fuse_embeddings();
    let layouts = rewriter.layouts;
    let (graph, operators) = rewriter.network.finish();
    Rewritten { graph, operators, layouts }
}

/// What the rules work with.
struct Rewriter<'w> {
    network: Network,
    weights: &'w Weights,
    engine: &'w Engine,
    /// Whether int8 weights are multiplied as int8.
    int8: bool,
    layouts: BTreeMap<String, Layout>,
    /// The channels of every picture that a fused convolution makes `[N, H, W, C]`.
    pictures: BTreeMap<String, usize>,
}
