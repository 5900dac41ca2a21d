//! Puts int8 weights into a graph: integers and scales take a weight's place, and nodes that multiply them.
//!
//! A layer reads `DequantizeLinear(integers, scales, zeros)`. A lookup takes rows of the integers and multiplies them
//! with their scales, so that no runtime ever widens the whole table.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{
    Error,
    part::{Part, Wiring},
    plan::{Plan, Treatment},
    source::{self, SourceFiles},
    store::Store,
    uses::{Form, Use, Uses},
    weight,
};
use crate::onnx::int;

/// Rewrites `part` as `plan` says; `done` hears how many bytes of weights were read.
pub(super) fn rewrite(
    part: &mut Part,
    plan: &Plan,
    files: &SourceFiles,
    store: &mut Store,
    done: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let uses: Vec<Uses> = {
        let wiring = Wiring::of(&part.graph);
        part.graph.initializer.iter().map(|tensor| Uses::of(tensor, part, &wiring)).collect()
    };
    let mut edits = Edits::of(part);
    let tensors = std::mem::take(&mut part.graph.initializer);
    for (tensor, uses) in tensors.iter().zip(&uses) {
        let id = source::id(&part.name, tensor)?;
        let names = edits.names(&tensor.name);
        let stored = match store.again(&id, &names) {
            Some(stored) => stored,
            None => {
                let source = weight::Source { files, part: &part.name, tensor };
                weight::store(&source, plan, id.clone(), &names, store)?
            }
        };
        match plan.weights.get(&id).map(|planned| &planned.treatment) {
            Some(Treatment::Int8(Form::Table)) => edits.lookups(part, uses, &names),
            Some(Treatment::Int8(Form::Tied)) => {
                let rows = |value: &str| dequantized(&names, value, 0);
                edits.widen(part, uses, &names[0], rows);
            }
            Some(Treatment::Int8(form)) => edits.dequantize(part, uses, *form, &names),
            Some(Treatment::F16(_)) => edits.widen(part, uses, &names[0], |value| {
                let to = vec![int("to", DataType::Float as i64)];
                node("Cast", &names[..1], value, to)
            }),
            Some(Treatment::Keep(_)) | None => (),
        }
        part.graph.initializer.extend(stored);
        done(bytes(tensor));
    }
    edits.apply(part);
    Ok(())
}

fn bytes(tensor: &TensorProto) -> u64 {
    let width = if tensor.data_type == DataType::Float16 as i32 { 2 } else { 4 };
    (source::count(tensor) * width) as u64
}

/// Nodes to be added and removed.
struct Edits {
    /// New nodes in front of the node at a place.
    before: BTreeMap<usize, Vec<NodeProto>>,
    /// New nodes behind it.
    after: BTreeMap<usize, Vec<NodeProto>>,
    removed: BTreeSet<usize>,
    /// Tensors whose type or shape is another now.
    changed: HashSet<String>,
    taken: HashSet<String>,
}

impl Edits {
    fn of(part: &Part) -> Self {
        let graph = &part.graph;
        let made = graph.node.iter().flat_map(|node| &node.output);
        let inputs = graph.input.iter().map(|input| &input.name);
        let weights = graph.initializer.iter().map(|tensor| &tensor.name);
        Self {
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            removed: BTreeSet::new(),
            changed: HashSet::new(),
            taken: made.chain(inputs).chain(weights).cloned().collect(),
        }
    }

    /// The names of a weight's integers, scales and zero points.
    fn names(&self, weight: &str) -> [String; 3] {
        [weight.to_owned(), self.free(weight, "scale"), self.free(weight, "zero")]
    }

    /// A name that no other tensor has.
    fn free(&self, name: &str, ending: &str) -> String {
        let mut free = format!("{name}.{ending}");
        while self.taken.contains(&free) {
            free.push('_');
        }
        free
    }

    /// Layers read what one new node makes of integers and scales.
    fn dequantize(&mut self, part: &mut Part, uses: &Uses, form: Form, names: &[String; 3]) {
        let Some(first) = uses.nodes.first() else { return };
        let weight = &names[0];
        let value = match first.value == *weight {
            true => self.free(weight, "f32"),
            false => first.value.clone(),
        };
        let outputs_last = matches!(form, Form::Columns | Form::Transposed);
        let node = dequantized(names, &value, i64::from(outputs_last));
        self.before.entry(first.reader.node).or_default().push(node);
        self.replace_between(part, uses, weight);
        for Use { reader, .. } in &uses.nodes {
            part.graph.node[reader.node].input[reader.input].clone_from(&value);
        }
    }

    /// Lookups take integers, which new nodes behind them multiply with their scales.
    fn lookups(&mut self, part: &mut Part, uses: &Uses, names: &[String; 3]) {
        let [weight, scales, _] = names;
        for Use { reader, widened_by, .. } in &uses.nodes {
            let lookup = &mut part.graph.node[reader.node];
            lookup.input[reader.input].clone_from(weight);
            let (ids, attributes) = (lookup.input[1].clone(), lookup.attribute.clone());
            let last = widened_by.unwrap_or(reader.node);
            let rows = part.graph.node[last].output[0].clone();
            let integers = self.free(&rows, "int8");
            let widened = self.free(&rows, "unscaled");
            let factors = self.free(&rows, "scale");
            let replaced = part.graph.node[last].name.clone();
            let mut new = Vec::new();
            match widened_by {
                Some(cast) => {
                    self.changed.extend(part.graph.node[reader.node].output.iter().cloned());
                    rename(&mut part.graph.node[*cast], &widened);
                }
                None => {
                    rename(&mut part.graph.node[reader.node], &integers);
                    let to = vec![int("to", DataType::Float as i64)];
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

    /// Whoever read a weight reads what `widened` makes of it: its numbers in 32 bits.
    fn widen(
        &mut self,
        part: &mut Part,
        uses: &Uses,
        weight: &str,
        widened: impl FnOnce(&str) -> NodeProto,
    ) {
        let value = self.free(weight, "f32");
        let nodes = uses.nodes.iter().map(|use_| use_.reader.node).chain(uses.between.clone());
        if let Some(first) = nodes.min() {
            self.before.entry(first).or_default().push(widened(&value));
        }
        self.changed.insert(weight.to_owned());
        for lookup in uses.nodes.iter().filter(|use_| use_.widened_by.is_some()) {
            self.changed.extend(part.graph.node[lookup.reader.node].output.iter().cloned());
        }
        let inputs = part.graph.node.iter_mut().flat_map(|node| &mut node.input);
        inputs.filter(|name| *name == weight).for_each(|name| value.clone_into(name));
    }

    fn replace_between(&mut self, part: &Part, uses: &Uses, weight: &str) {
        let outputs = uses.between.iter().flat_map(|&node| &part.graph.node[node].output);
        self.changed.extend(outputs.cloned());
        self.changed.insert(weight.to_owned());
        self.removed.extend(&uses.between);
    }

    fn apply(mut self, part: &mut Part) {
        let graph = &mut part.graph;
        let mut nodes = Vec::with_capacity(graph.node.len());
        for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
            nodes.extend(self.before.remove(&at).unwrap_or_default());
            if !self.removed.contains(&at) {
                nodes.push(node);
            }
            nodes.extend(self.after.remove(&at).unwrap_or_default());
        }
        graph.node = nodes;
        graph.value_info.retain(|info| !self.changed.contains(&info.name));
        // Older graphs list their weights among the inputs, with their types.
        graph.input.retain(|input| !self.changed.contains(&input.name));
    }
}

/// The node that makes numbers of integers with a scale for each entry of `axis`.
fn dequantized(names: &[String; 3], value: &str, axis: i64) -> NodeProto {
    node("DequantizeLinear", names, value, vec![int("axis", axis)])
}

/// Gives a node another output, and the same name.
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
