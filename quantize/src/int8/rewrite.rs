//! Rewrites a graph for int8 weights: integers and scales take a weight's place, with the nodes that multiply them.
//!
//! A layer reads `DequantizeLinear(integers, scales, zeros)`. A lookup gathers rows of the integers and multiplies them
//! by their scales, so that no runtime ever widens the whole table.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use coca_onnx::{
    NodeId,
    attribute::of_integer,
    element_count, is_external,
    pb::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType},
};

use super::{
    error::Error,
    names::Names,
    part::Rewritable,
    plan::{Plan, Treatment},
    source::{self, SourceFiles},
    store::Store,
    uses::{Form, Use, Uses},
    weight,
};

/// Rewrites `part` as `plan` says; `done` is called with the bytes of each weight that was read.
pub(super) fn rewrite(
    part: &mut Rewritable,
    plan: &Plan,
    files: &SourceFiles,
    store: &mut Store,
    done: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut edits = Edits::of(part);
    let all_uses = std::mem::take(&mut part.uses);
    let initializers = std::mem::take(&mut part.graph.initializer);
    let home = home(&part.name, &initializers)?;
    for tensor in &initializers {
        let id = source::id(&part.name, tensor)?;
        let names = edits.names(&tensor.name);
        let stored = match store.again(&id, &names) {
            Some(stored) => stored,
            None => {
                let home = home.as_deref();
                let source = weight::Source { files, part: &part.name, home, tensor };
                weight::store(&source, plan, id.clone(), &names, store)?
            }
        };
        let treatment = plan.weights.get(&id).map(|planned| &planned.treatment);
        match (treatment, all_uses.get(&tensor.name)) {
            (Some(Treatment::Int8(Form::Table)), Some(uses)) => edits.lookups(part, uses, &names),
            (Some(Treatment::Int8(Form::Tied)), Some(uses)) => {
                let rows = |value: &str| dequantized(&names, value, 0);
                edits.widen(part, uses, &names[0], rows);
            }
            (Some(Treatment::Int8(form)), Some(uses)) => {
                edits.dequantize(part, uses, *form, &names);
            }
            (Some(Treatment::F16(_)), Some(uses)) => edits.widen(part, uses, &names[0], |value| {
                let to = vec![of_integer("to", DataType::Float as i64)];
                node("Cast", &names[..1], value, to)
            }),
            (Some(Treatment::Keep(_)) | None, _) | (_, None) => (),
        }
        part.graph.initializer.extend(stored);
        done(bytes(tensor));
    }
    edits.apply(part);
    Ok(())
}

/// The file of weights that a part's first external tensor stands in.
fn home(part: &str, tensors: &[TensorProto]) -> Result<Option<String>, Error> {
    let external = tensors.iter().find(|tensor| is_external(tensor));
    external.map(|tensor| Ok(source::id(part, tensor)?.file)).transpose()
}

fn bytes(tensor: &TensorProto) -> u64 {
    let width = if tensor.data_type == DataType::Float16 as i32 { 2 } else { 4 };
    // Elements that could not be counted were refused when the part was parsed.
    element_count(tensor).map_or(0, |count| count as u64 * width)
}

/// Nodes to add and remove.
struct Edits {
    /// New nodes in front of the node at a position.
    before: BTreeMap<usize, Vec<NodeProto>>,
    /// New nodes behind it.
    after: BTreeMap<usize, Vec<NodeProto>>,
    removed: BTreeSet<usize>,
    /// Tensors whose type or shape changes.
    changed: HashSet<String>,
    taken: Names,
}

impl Edits {
    fn of(part: &Rewritable) -> Self {
        Self {
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            removed: BTreeSet::new(),
            changed: HashSet::new(),
            taken: Names::of(&part.graph),
        }
    }

    /// The names of a weight's integers, scales and zero points.
    fn names(&self, weight: &str) -> [String; 3] {
        [weight.to_owned(), self.free(weight, "scale"), self.free(weight, "zero")]
    }

    /// A name that no other tensor has.
    fn free(&self, name: &str, ending: &str) -> String {
        self.taken.free(format!("{name}.{ending}"))
    }

    /// Layers read the output of one new node that dequantises the weight.
    fn dequantize(&mut self, part: &mut Rewritable, uses: &Uses, form: Form, names: &[String; 3]) {
        let Some(first) = uses.nodes.first() else { return };
        let weight = &names[0];
        let value = match first.value == *weight {
            true => self.free(weight, "f32"),
            false => first.value.clone(),
        };
        let outputs_last = matches!(form, Form::Columns | Form::Transposed);
        let node = dequantized(names, &value, i64::from(outputs_last));
        self.before.entry(first.consumer.node.position()).or_default().push(node);
        self.replace_between(part, uses, weight);
        for Use { consumer, .. } in &uses.nodes {
            part.graph.node[consumer.node.position()].input[consumer.input].clone_from(&value);
        }
    }

    /// Lookups gather integers, which new nodes behind them multiply by their scales.
    fn lookups(&mut self, part: &mut Rewritable, uses: &Uses, names: &[String; 3]) {
        let [weight, scales, _] = names;
        for Use { consumer, widened_by, .. } in &uses.nodes {
            let at = consumer.node.position();
            let lookup = &mut part.graph.node[at];
            lookup.input[consumer.input].clone_from(weight);
            let (ids, attributes) = (lookup.input[1].clone(), lookup.attribute.clone());
            let last = widened_by.map_or(at, NodeId::position);
            let rows = part.graph.node[last].output[0].clone();
            let integers = self.free(&rows, "int8");
            let widened = self.free(&rows, "unscaled");
            let factors = self.free(&rows, "scale");
            let replaced = part.graph.node[last].name.clone();
            let mut new = Vec::new();
            match widened_by {
                Some(cast) => {
                    self.changed.extend(part.graph.node[at].output.iter().cloned());
                    rename(&mut part.graph.node[cast.position()], &widened);
                }
                None => {
                    rename(&mut part.graph.node[at], &integers);
                    let to = vec![of_integer("to", DataType::Float as i64)];
                    new.push(node("Cast", &[integers], &widened, to));
                }
            }
            new.push(node("Gather", &[scales.clone(), ids], &factors, attributes));
            let product = node("Mul", &[widened, factors], &rows, Vec::new());
            new.push(NodeProto { name: replaced, ..product });
            self.after.entry(last).or_default().extend(new);
        }
        self.replace_between(part, uses, weight);
    }

    /// Consumers of a weight read the output of `widened`, its elements in 32 bits, instead.
    fn widen(
        &mut self,
        part: &mut Rewritable,
        uses: &Uses,
        weight: &str,
        widened: impl FnOnce(&str) -> NodeProto,
    ) {
        let value = self.free(weight, "f32");
        let nodes = uses.nodes.iter().map(|use_| use_.consumer.node);
        let nodes = nodes.chain(uses.between.iter().copied()).map(NodeId::position);
        if let Some(first) = nodes.min() {
            self.before.entry(first).or_default().push(widened(&value));
        }
        self.changed.insert(weight.to_owned());
        for lookup in uses.nodes.iter().filter(|use_| use_.widened_by.is_some()) {
            let outputs = &part.graph.node[lookup.consumer.node.position()].output;
            self.changed.extend(outputs.iter().cloned());
        }
        let inputs = part.graph.node.iter_mut().flat_map(|node| &mut node.input);
        inputs.filter(|name| *name == weight).for_each(|name| value.clone_into(name));
    }

    fn replace_between(&mut self, part: &Rewritable, uses: &Uses, weight: &str) {
        let outputs = uses.between.iter().flat_map(|id| &part.graph.node[id.position()].output);
        self.changed.extend(outputs.cloned());
        self.changed.insert(weight.to_owned());
        self.removed.extend(uses.between.iter().map(|id| id.position()));
    }

    fn apply(mut self, part: &mut Rewritable) {
        let graph = &mut part.graph;
        let mut nodes = Vec::with_capacity(graph.node.len());
        for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
            nodes.extend(self.before.remove(&at).into_iter().flatten());
            if !self.removed.contains(&at) {
                nodes.push(node);
            }
            nodes.extend(self.after.remove(&at).into_iter().flatten());
        }
        graph.node = nodes;
        graph.value_info.retain(|info| !self.changed.contains(&info.name));
        // Older graphs list their weights among the inputs, with their types.
        graph.input.retain(|input| !self.changed.contains(&input.name));
    }
}

/// The node that dequantises integers with a scale for each entry of `axis`.
fn dequantized(names: &[String; 3], value: &str, axis: i64) -> NodeProto {
    node("DequantizeLinear", names, value, vec![of_integer("axis", axis)])
}

/// Renames a node and its only output.
fn rename(node: &mut NodeProto, output: &str) {
    output.clone_into(&mut node.name);
    node.output = vec![output.to_owned()];
}

/// A node named after its output.
fn node(
    operator: &str,
    inputs: &[String],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: operator.to_owned(),
        input: inputs.to_vec(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}
