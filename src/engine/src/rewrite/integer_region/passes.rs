//! Layers that run as one pass: an inverted residual, or whatever is left.

use std::collections::HashMap;

use super::{
    super::Rewriter,
    layer::{Kind, Layer},
};

/// Layers that run as one, by their places, each the only reader of the one before; the last one's codes come out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pass {
    pub(super) members: Vec<usize>,
}

impl Pass {
    pub(super) fn last(&self) -> usize {
        self.members[self.members.len() - 1]
    }
}

/// Puts layers together, every layer once. Passes stand in an order in which each can run.
pub(super) fn passes(rewriter: &Rewriter<'_>, layers: &[Layer]) -> Vec<Pass> {
    let links = Links::new(rewriter, layers);
    let mut taken = vec![false; layers.len()];
    let mut passes = Vec::new();
    let is_depthwise = |&at: &usize| matches!(layers[at].kind, Kind::Depthwise(_));
    let depthwise = (0..layers.len()).filter(is_depthwise);
    for start in depthwise.chain(0..layers.len()) {
        if taken[start] {
            continue;
        }
        let mut members = vec![start];
        if is_depthwise(&start) {
            members.splice(0..0, links.source(layers, start).filter(|&at| !taken[at]));
            let project =
                links.next_of(layers, start, &taken, |kind| matches!(kind, Kind::Pointwise(_)));
            members.extend(project);
        }
        let end = members[members.len() - 1];
        if matches!(layers[end].kind, Kind::Pointwise(_)) {
            members.extend(links.next_of(layers, end, &taken, |kind| matches!(kind, Kind::Sum)));
        }
        members.iter().for_each(|&at| taken[at] = true);
        passes.push(Pass { members });
    }
    passes.sort_by_key(Pass::last);
    passes
}

/// Which layer reads which.
struct Links {
    /// The layer that makes the first input of each.
    producer: Vec<Option<usize>>,
    /// The layer that alone reads the output of each.
    only_reader: Vec<Option<usize>>,
}

impl Links {
    fn new(rewriter: &Rewriter<'_>, layers: &[Layer]) -> Self {
        let places = layers.iter().enumerate();
        let by_output: HashMap<&str, usize> =
            places.clone().map(|(at, layer)| (layer.output.name.as_str(), at)).collect();
        let by_node: HashMap<_, usize> = places.map(|(at, layer)| (layer.node, at)).collect();
        let producer = |layer: &Layer| by_output.get(layer.inputs[0].codes.name.as_str()).copied();
        let only_reader = |layer: &Layer| {
            let (_, dequantize) = rewriter.graph.only_consumer(&layer.output.name)?;
            let (reader, _) = rewriter.graph.only_consumer(dequantize.output.first()?)?;
            by_node.get(&reader).copied()
        };
        Self {
            producer: layers.iter().map(producer).collect(),
            only_reader: layers.iter().map(only_reader).collect(),
        }
    }

    /// The layer whose output a depthwise one alone reads, if both run as one: an expansion, or a stem over what no layer made.
    fn source(&self, layers: &[Layer], depthwise: usize) -> Option<usize> {
        let source = self.producer[depthwise]?;
        (self.only_reader[source] == Some(depthwise)).then_some(())?;
        match layers[source].kind {
            Kind::Pointwise(_) => Some(source),
            Kind::Dense { stem: Some(_), .. } => self.producer[source].is_none().then_some(source),
            _ => None,
        }
    }

    /// The only reader of a layer, if it is of a kind and not taken.
    fn next_of(
        &self,
        layers: &[Layer],
        at: usize,
        taken: &[bool],
        is_fitting: impl Fn(&Kind) -> bool,
    ) -> Option<usize> {
        self.only_reader[at].filter(|&next| !taken[next] && is_fitting(&layers[next].kind))
    }
}
