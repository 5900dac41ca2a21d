//! Passes that one operator can hold.

use std::collections::{BTreeMap, HashMap};

use super::{super::Rewriter, layer::Layer, passes::Pass};

/// The passes of each region, by their places, in order; no region reads what a later one makes.
///
/// Passes that hand codes to each other belong together, unless something else of the graph lies between two of them: it would
/// have to wait for the operator that waits for it.
pub(super) fn regions(
    rewriter: &Rewriter<'_>,
    layers: &[Layer],
    passes: &[Pass],
) -> Vec<Vec<usize>> {
    let producers = producers(layers, passes);
    let levels = levels(rewriter, layers, passes, &producers);
    // Each pass joins the regions of those in front of it.
    let mut region: Vec<usize> = (0..passes.len()).collect();
    for (at, pass) in passes.iter().enumerate() {
        for producer in inputs(layers, pass).filter_map(|name| producers.get(name).copied()) {
            if producer != at && levels[producer] == levels[at] {
                let (from, to) =
                    (region[producer].max(region[at]), region[producer].min(region[at]));
                region.iter_mut().filter(|r| **r == from).for_each(|r| *r = to);
            }
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (pass, region) in region.into_iter().enumerate() {
        members.entry(region).or_default().push(pass);
    }
    let mut regions: Vec<Vec<usize>> = members.into_values().collect();
    regions.sort_by_key(|region| levels[region[0]]);
    regions
}

/// The times that the way to each pass leaves passes for other nodes and comes back to one.
fn levels(
    rewriter: &Rewriter<'_>,
    layers: &[Layer],
    passes: &[Pass],
    producers: &HashMap<&str, usize>,
) -> Vec<usize> {
    let mut levels = vec![0; passes.len()];
    let mut of_tensor: HashMap<&str, usize> = HashMap::new();
    for (_, node) in rewriter.graph.nodes() {
        let level_of = |name: &str| of_tensor.get(name).copied().unwrap_or(0);
        let made = node.output.first().and_then(|name| producers.get(name.as_str()));
        let level = match made {
            Some(&pass) => {
                let level = inputs(layers, &passes[pass])
                    .map(|name| level_of(name) + usize::from(!producers.contains_key(name)))
                    .max();
                levels[pass] = level.unwrap_or(0);
                levels[pass]
            }
            None => node.input.iter().map(|name| level_of(name)).max().unwrap_or(0),
        };
        of_tensor.extend(node.output.iter().map(|name| (name.as_str(), level)));
    }
    levels
}

/// The pass that makes codes, by their names.
fn producers<'l>(layers: &'l [Layer], passes: &[Pass]) -> HashMap<&'l str, usize> {
    let outputs = passes.iter().enumerate();
    outputs.map(|(at, pass)| (layers[pass.last()].output.name.as_str(), at)).collect()
}

/// The names of the codes that a pass reads.
fn inputs<'l>(layers: &'l [Layer], pass: &Pass) -> impl Iterator<Item = &'l str> {
    let members = pass.members.clone();
    let made: Vec<&str> = members.iter().map(|&at| layers[at].output.name.as_str()).collect();
    let read = members.into_iter().flat_map(|at| &layers[at].inputs);
    read.map(|input| input.codes.name.as_str()).filter(move |name| !made.contains(name))
}
