//! Rules that put fused operators in the place of the ONNX nodes they recognise.
//!
//! They work on the ONNX graph rather than on tract's: there a layer norm is still one node, and weights
//! are still bytes of a mapped file, which are packed for the kernels without ever becoming a tensor of
//! tract's. What no rule recognises is left as it is, and runs on tract.

mod activation;
mod attention;
mod constants;
mod embedding;
mod linear;
mod network;
mod normalization;
mod patches;

use std::collections::BTreeSet;

use tract_onnx::pb::GraphProto;

use super::{Weights, fused::Fused};
use crate::kernels::Cpu;
use network::Network;

pub(super) use network::FUSED;

/// A graph with fused operators in it.
pub(super) struct Rewritten {
    /// The nodes of type [`FUSED`] stand for the operators.
    pub(super) graph: GraphProto,
    /// The fused operators by the names of their nodes.
    pub(super) operators: Vec<(String, Fused)>,
    /// The inputs that became stores of rows `[C, width]`. If there are any, one more input, the last, says
    /// which rows are whose.
    pub(super) stores: BTreeSet<String>,
}

/// Applies every rule.
pub(super) fn rewrite(graph: GraphProto, weights: &Weights, cpu: Cpu, int8: bool) -> Rewritten {
    let network = Network::new(graph);
    let mut rewriter = Rewriter { network, weights, cpu, int8, stores: BTreeSet::new() };
    rewriter.fuse_patch_embeddings();
    rewriter.fuse_linear_layers();
    rewriter.fuse_attention();
    rewriter.fuse_layer_norms();
    rewriter.fuse_embeddings();
    let stores = rewriter.stores;
    let (graph, operators) = rewriter.network.finish();
    Rewritten { graph, operators, stores }
}

/// What the rules work with.
struct Rewriter<'w> {
    network: Network,
    weights: &'w Weights,
    cpu: Cpu,
    /// Whether int8 weights are multiplied as int8.
    int8: bool,
    stores: BTreeSet<String>,
}
