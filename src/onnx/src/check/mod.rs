//! The check of a parsed graph: in order, complete, and within limits.
//!
//! Graphs come from others. Whatever walks over one later, here or in tract, may rely on what this pass found: names that
//! lead to earlier nodes, chains of bounded length, sizes that can be. It takes time and memory in proportion to the file.

mod attributes;
mod sizes;

use std::collections::HashMap;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use crate::{Error, attribute, opset::is};

/// Most nodes of a graph and those inside it: a ViT-L/14 with a decoder has some thousand.
const MAX_NODES: usize = 10_000;
/// Most inputs of all nodes.
const MAX_INPUTS: usize = 100_000;
/// Most initializers of a graph.
const MAX_INITIALIZERS: usize = 10_000;
/// Most nodes in a row, each of which waits for the one before: those of a ViT-L/14 are some hundred.
const MAX_DEPTH: usize = 4_000;
/// Most inputs or outputs of a node, and inputs of a graph.
const MAX_EDGES: usize = 1_024;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 1_024;
/// Graphs inside the nodes of each other.
const MAX_NESTING: usize = 4;
/// Most axes of a tensor.
const MAX_AXES: usize = 8;
/// Largest size of an axis.
const MAX_SIZE: i64 = 1 << 31;
/// Largest stride, dilation or pad, and most taps of a kernel.
const MAX_WINDOW: i64 = 1 << 14;

/// Refuses a graph that is out of order, incomplete or beyond a limit.
pub(crate) fn check(graph: &GraphProto) -> Result<(), Error> {
    Checker::default().graph(graph)
}

/// The tensors that are there before the node at hand.
#[derive(Default)]
struct Checker<'g> {
    /// Those of the graph, and in front of them those of the graphs around it.
    scopes: Vec<HashMap<&'g str, Known<'g>>>,
    nodes: usize,
    inputs: usize,
}

/// A tensor that a node may read.
#[derive(Clone, Copy, Default)]
struct Known<'g> {
    /// The longest row of nodes that makes it.
    depth: usize,
    constant: Option<Constant<'g>>,
}

/// Elements of a constant, as the file holds them.
#[derive(Clone, Copy)]
enum Constant<'g> {
    Tensor(&'g TensorProto),
    Integers(&'g [i64]),
}

impl<'g> Checker<'g> {
    fn graph(&mut self, graph: &'g GraphProto) -> Result<(), Error> {
        self.nodes += graph.node.len();
        at_most("nodes", MAX_NODES, self.nodes)?;
        at_most("initializers", MAX_INITIALIZERS, graph.initializer.len())?;
        let inputs = graph.input.len().saturating_sub(graph.initializer.len());
        at_most("inputs of a graph", MAX_EDGES, inputs)?;
        at_most("outputs of a graph", MAX_NODES, graph.output.len())?;
        at_most("graphs inside each other", MAX_NESTING, self.scopes.len())?;
        let mut described = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        described.try_for_each(sizes::check_value)?;
        graph.initializer.iter().try_for_each(sizes::check_tensor)?;
        let mut scope = HashMap::with_capacity(2 * graph.node.len() + graph.initializer.len());
        for input in &graph.input {
            define(&mut scope, &input.name, Known::default())?;
        }
        // Older files list their weights among the inputs.
        for tensor in &graph.initializer {
            let constant = Some(Constant::Tensor(tensor));
            scope.insert(&tensor.name, Known { depth: 0, constant });
        }
        self.scopes.push(scope);
        graph.node.iter().try_for_each(|node| self.node(node))?;
        if let Some(output) = graph.output.iter().find(|output| self.find(&output.name).is_none()) {
            return Err(Error::Tensor {
                tensor: output.name.clone(),
                expected: "an output that a node makes".to_owned(),
                found: "none that does".to_owned(),
            });
        }
        self.scopes.pop();
        Ok(())
    }

    fn node(&mut self, node: &'g NodeProto) -> Result<(), Error> {
        at_most("inputs of a node", MAX_EDGES, node.input.len())?;
        self.inputs += node.input.len();
        at_most("inputs of nodes", MAX_INPUTS, self.inputs)?;
        at_most("outputs of a node", MAX_EDGES, node.output.len())?;
        let mut names = node.output.iter().chain([&node.name, &node.op_type]);
        names.try_for_each(|name| check_name(name))?;
        let mut depth = 1;
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            let known = self.find(name).ok_or_else(|| unmade(node, name))?;
            depth = depth.max(known.depth + 1);
        }
        at_most("nodes that wait for each other", MAX_DEPTH, depth)?;
        attributes::check(node)?;
        sizes::check_results(node, |input| self.find(input)?.constant)?;
        for attribute in &node.attribute {
            self.attribute(attribute)?;
        }
        let known = Known { depth, constant: constant(node) };
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        let mut outputs = node.output.iter().filter(|name| !name.is_empty());
        outputs.try_for_each(|output| define(scope, output, known))
    }

    fn attribute(&mut self, attribute: &'g AttributeProto) -> Result<(), Error> {
        check_name(&attribute.name)?;
        let mut tensors = attribute.t.iter().chain(&attribute.tensors);
        tensors.try_for_each(sizes::check_tensor)?;
        let mut graphs = attribute.g.iter().chain(&attribute.graphs);
        graphs.try_for_each(|graph| self.graph(graph))
    }

    fn find(&self, name: &str) -> Option<Known<'g>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }
}

/// The elements that a `Constant` makes a tensor of, if they are numbers of a kind that says sizes.
fn constant(node: &NodeProto) -> Option<Constant<'_>> {
    let named = |name| attribute::get(node, name).filter(|_| is(node, "Constant"));
    let tensor = || named("value")?.t.as_ref().map(Constant::Tensor);
    let integer = || Some(Constant::Integers(std::slice::from_ref(&named("value_int")?.i)));
    let integers = || Some(Constant::Integers(&named("value_ints")?.ints));
    tensor().or_else(integer).or_else(integers)
}

/// Adds a tensor that no other of the same graph may be called like.
fn define<'g>(
    scope: &mut HashMap<&'g str, Known<'g>>,
    name: &'g str,
    known: Known<'g>,
) -> Result<(), Error> {
    match scope.insert(name, known) {
        None => Ok(()),
        Some(_) => Err(Error::Tensor {
            tensor: name.to_owned(),
            expected: "one input or node that gives it".to_owned(),
            found: "two".to_owned(),
        }),
    }
}

fn unmade(node: &NodeProto, input: &str) -> Error {
    let found = input.chars().take(MAX_NAME_BYTES).collect();
    in_node(node, "inputs that an earlier node makes".to_owned(), found)
}

fn in_node(node: &NodeProto, expected: String, found: String) -> Error {
    let name = std::iter::once(&node.name).chain(&node.output).find(|name| !name.is_empty());
    let node = format!("{} ({})", name.map_or("", |name| name), node.op_type);
    Error::Node { node, expected, found }
}

fn check_name(name: &str) -> Result<(), Error> {
    at_most("bytes of a name", MAX_NAME_BYTES, name.len())
}

fn at_most(what: &'static str, limit: usize, found: usize) -> Result<(), Error> {
    if found <= limit { Ok(()) } else { Err(Error::Limit { what, limit, found }) }
}
