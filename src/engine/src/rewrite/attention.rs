//! Attention: split into heads, scores, mask, softmax, mix, heads joined again.

use tract_onnx::pb::{
    NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension::Value},
    type_proto,
};

use super::{
    Rewriter,
    network::{integer, is_transpose, transpose},
};
use crate::{
    fused::{self, Operand},
    layout::Layout,
};

/// The input that names the slots of past tokens, `[B, P]`, in a graph whose caches are stores.
const CACHE_SLOTS: &str = "cache_slots";

/// Inputs of an operator in the making.
#[derive(Default)]
struct Inputs(Vec<String>);

impl Inputs {
    fn index(&mut self, name: &str) -> usize {
        self.0.iter().position(|n| n == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}

/// Rows `[B, rows, heads × head_width]` that a graph splits into heads.
struct Split<'a> {
    rows: &'a str,
    heads: usize,
    head_width: usize,
}

/// Softmax's surroundings.
struct Found<'a> {
    queries: Split<'a>,
    keys: Split<'a>,
    values: Split<'a>,
    scale: f32,
    mask: Option<&'a str>,
    /// The node that joins the heads again.
    at: usize,
    output: &'a str,
}

const ROWS_TO_HEADS: &[i64] = &[0, 2, 1, 3];
const ROWS_TO_TURNED_HEADS: &[i64] = &[0, 2, 3, 1];

impl Rewriter<'_> {
    /// Fuses every attention; past keys and values that only attention reads become stores of rows, those of a
    /// picture are packed.
    pub(super) fn fuse_attention(&mut self) {
        for at in self.network.all("MatMul") {
            self.split_constant_queries(at);
        }
        for at in self.network.all("Softmax") {
            self.fuse_one_attention(at);
        }
    }

    /// Learnt queries `[1, heads, queries, head_width]` are written as rows that the graph splits, like all others.
    fn split_constant_queries(&mut self, at: usize) -> Option<()> {
        let name = self.network.node(at)?.input.first()?.clone();
        let stored = self.stored(&name)?;
        let [1, heads, all, head_width] = stored.dims[..] else { return None };
        let needed = self.only_row_needed(at).filter(|(row, _)| *row < all);
        let asked = needed.as_ref().map_or(0..all, |(row, _)| *row..row + 1);
        let numbers = stored.to_f32();
        let number = |query: usize, i: usize| {
            numbers[((i / head_width) * all + query) * head_width + i % head_width]
        };
        let (queries, width) = (asked.len(), heads * head_width);
        let rows = asked.flat_map(|query| (0..width).map(move |i| (query, i)));
        let rows = rows.flat_map(|(query, i)| number(query, i).to_le_bytes()).collect();
        let derived = |what: &str| format!("{name} {what}");
        if let Some((_, picker)) = needed {
            let first = TensorProto {
                name: derived("first row"),
                data_type: DataType::Int64 as i32,
                raw_data: 0_i64.to_le_bytes().to_vec(),
                ..TensorProto::default()
            };
            self.network.reconnect(picker, 1, &first.name);
            self.network.add_initializer(first);
        }
        let shape = [1, queries, heads, head_width].map(|size| size as i64);
        self.network.add_initializer(TensorProto {
            name: derived("rows"),
            data_type: DataType::Float as i32,
            dims: vec![1, queries as i64, width as i64],
            raw_data: rows,
            ..TensorProto::default()
        });
        self.network.add_initializer(TensorProto {
            name: derived("shape"),
            data_type: DataType::Int64 as i32,
            dims: vec![4],
            raw_data: shape.iter().flat_map(|size| size.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        self.network.add(NodeProto {
            name: derived("reshape"),
            op_type: "Reshape".to_owned(),
            input: vec![derived("rows"), derived("shape")],
            output: vec![derived("heads")],
            ..NodeProto::default()
        });
        self.network.add(transpose(&derived("heads"), &derived("split"), ROWS_TO_HEADS));
        self.network.reconnect(at, 0, &derived("split"));
        Some(())
    }

    /// The one query whose answer is read, and the node that picks it, where everything between the
    /// scores' product at `at` and that node treats rows alone.
    fn only_row_needed(&self, at: usize) -> Option<(usize, usize)> {
        let mut output = self.network.node(at)?.output.first()?;
        loop {
            let (reader, node) = self.network.only_reader(output)?;
            let constant = |index: usize| {
                node.input.get(index).is_some_and(|name| self.stored(name).is_some())
            };
            match node.op_type.as_str() {
                "Softmax" | "Transpose" | "Reshape" | "LayerNormalization" => {}
                "MatMul" if node.input.first() == Some(output) => {}
                "Add" if constant(0) || constant(1) => {}
                "Gather" if integer(node, "axis", 0) == 1 => {
                    let row = self.integers(node.input.get(1)?)?;
                    let [row] = row[..] else { return None };
                    return Some((usize::try_from(row).ok()?, reader));
                }
                _ => return None,
            }
            output = node.output.first()?;
        }
    }

    fn fuse_one_attention(&mut self, softmax: usize) -> Option<()> {
        let found = self.surroundings(self.network.node(softmax)?)?;
        let (heads, head_width) = (found.keys.heads, found.keys.head_width);
        let same = [&found.queries, &found.values]
            .iter()
            .all(|s| (s.heads, s.head_width) == (heads, head_width));
        same.then_some(())?;
        let mut inputs = Inputs::default();
        let queries = self.operand(&mut inputs, found.queries.rows);
        let rows = [found.keys.rows, found.values.rows];
        let pasts = self.past(rows[0]).zip(self.past(rows[1]));
        let mut laid_out = Vec::new();
        let memory = if let Some((keys, values)) = pasts {
            let new = [keys.1, values.1].map(|rows| self.operand(&mut inputs, rows));
            let past = [keys.0, values.0].map(|store| inputs.index(store));
            for store in [keys.0, values.0] {
                laid_out.push((store_of_rows(store, heads * head_width), Layout::Store));
            }
            let slots = inputs.index(CACHE_SLOTS);
            fused::Memory::Cached { past, slots, new }
        } else if let Some(keys) = self.keys_of_one_sequence(rows, heads * head_width) {
            let layouts = [
                Layout::PackedKeys { heads, head_width },
                Layout::PackedValues { heads, head_width },
            ];
            for (name, layout) in rows.into_iter().zip(layouts) {
                laid_out.push((packed(name, layout.packed_axes(keys)?), layout));
            }
            let [keys, values] = rows.map(|rows| inputs.index(rows));
            fused::Memory::Packed { keys, values }
        } else {
            let [keys, values] = rows.map(|rows| self.operand(&mut inputs, rows));
            fused::Memory::Rows { keys, values }
        };
        let mask = found.mask.map(|mask| inputs.index(mask));
        let scale = found.scale;
        let operator = fused::Attention { heads, head_width, scale, queries, memory, mask };
        let (at, output) = (found.at, found.output.to_owned());
        for (input, layout) in laid_out {
            if layout == Layout::Store {
                self.network.set_input(slots());
            }
            self.layouts.insert(input.name.clone(), layout);
            self.network.set_input(input);
        }
        self.network.replace(at, inputs.0, output, operator);
        Some(())
    }

    /// How many keys there are, if `rows` are inputs `[1, keys, width]` that nothing else reads: a picture's keys
    /// and values, which come again with every token.
    fn keys_of_one_sequence(&self, rows: [&str; 2], width: usize) -> Option<usize> {
        let [keys, values] = rows.map(|rows| {
            self.network.only_reader(rows)?;
            match self.network.input_sizes(rows)?[..] {
                [Some(1), Some(keys), Some(of_row)] if of_row == width => Some(keys),
                _ => None,
            }
        });
        keys.filter(|_| keys == values)
    }

    fn surroundings<'a>(&'a self, softmax: &'a NodeProto) -> Option<Found<'a>> {
        (integer(softmax, "axis", -1) == -1 || integer(softmax, "axis", -1) == 3).then_some(())?;
        let mut scores = softmax.input.first()?.as_str();
        let mut mask = None;
        if let Some(add) = self.network.made_by("Add", scores) {
            let [a, b] = &add.input[..] else { return None };
            // The scores are the side that comes from a product.
            let (from, added) = if self.is_scores(a) { (a, b) } else { (b, a) };
            (scores, mask) = (from, Some(added.as_str()));
        }
        let (product, scale) = self.unscaled(scores);
        let product = self.network.made_by("MatMul", product)?;
        let [queries, keys] = &product.input[..] else { return None };
        let (queries, query_scale) = self.unscaled(queries);
        let (keys, key_scale) = self.unscaled(keys);
        let (_, mix) = self.network.only_reader(softmax.output.first()?)?;
        (mix.op_type == "MatMul" && mix.input.first() == softmax.output.first()).then_some(())?;
        let (_, transpose) = self.network.only_reader(mix.output.first()?)?;
        let joined = is_transpose(transpose, ROWS_TO_HEADS);
        let (at, reshape) = self.network.only_reader(transpose.output.first()?)?;
        (joined && reshape.op_type == "Reshape").then_some(())?;
        (self.integers(reshape.input.get(1)?)?.len() == 3).then_some(())?;
        Some(Found {
            queries: self.split(queries, ROWS_TO_HEADS)?,
            keys: self.split(keys, ROWS_TO_TURNED_HEADS).or_else(|| self.turned_split(keys))?,
            values: self.split(mix.input.get(1)?, ROWS_TO_HEADS)?,
            scale: scale * query_scale * key_scale,
            mask,
            at,
            output: reshape.output.first()?,
        })
    }

    fn is_scores(&self, name: &str) -> bool {
        let (product, _) = self.unscaled(name);
        self.network.made_by("MatMul", product).is_some()
    }

    /// What a constant factor is applied to, and the factor.
    fn unscaled<'a>(&'a self, name: &'a str) -> (&'a str, f32) {
        let scaled = self.network.maker(name).and_then(|node| {
            match (node.op_type.as_str(), &node.input[..]) {
                ("Div", [x, by]) => Some((x.as_str(), self.scalar(by)?.recip())),
                ("Mul", [a, b]) => match (self.scalar(a), self.scalar(b)) {
                    (None, Some(factor)) => Some((a.as_str(), factor)),
                    (Some(factor), None) => Some((b.as_str(), factor)),
                    _ => None,
                },
                _ => None,
            }
        });
        scaled.unwrap_or((name, 1.0))
    }

    /// Reshape `[B, rows, heads, head_width]` → Transpose `perm`.
    fn split<'a>(&'a self, name: &'a str, perm: &[i64]) -> Option<Split<'a>> {
        let transpose = self.network.maker(name).filter(|node| is_transpose(node, perm))?;
        let reshape = self.network.made_by("Reshape", transpose.input.first()?)?;
        let &[_, _, heads, head_width] = &self.integers(reshape.input.get(1)?)?[..] else {
            return None;
        };
        Some(Split {
            rows: reshape.input.first()?,
            heads: usize::try_from(heads).ok().filter(|&h| h > 0)?,
            head_width: usize::try_from(head_width).ok().filter(|&w| w > 0)?,
        })
    }

    /// A split whose last axes are exchanged by a second Transpose.
    fn turned_split<'a>(&'a self, name: &'a str) -> Option<Split<'a>> {
        let transpose =
            self.network.maker(name).filter(|node| is_transpose(node, &[0, 1, 3, 2]))?;
        self.split(transpose.input.first()?, ROWS_TO_HEADS)
    }

    /// A part of a joint projection is read where it stands; any other rows are an input of their own.
    fn operand(&self, inputs: &mut Inputs, rows: &str) -> Operand {
        let part = self.network.made_by("Split", rows).and_then(|node| {
            let sizes = self.integers(node.input.get(1)?)?;
            let last_axis = matches!(integer(node, "axis", 0), -1 | 2);
            let part = node.output.iter().position(|output| output == rows)?;
            let offset = sizes.get(..part)?.iter().sum::<i64>();
            last_axis.then_some((node.input.first()?, usize::try_from(offset).ok()?))
        });
        match part {
            Some((joint, offset)) => Operand { input: inputs.index(joint), offset },
            None => Operand { input: inputs.index(rows), offset: 0 },
        }
    }

    /// Earlier rows, an input that nothing else reads, and the new ones behind them.
    fn past<'a>(&'a self, rows: &'a str) -> Option<(&'a str, &'a str)> {
        let node = self.network.made_by("Concat", rows)?;
        let [past, new] = &node.input[..] else { return None };
        let along_rows = matches!(integer(node, "axis", 0), 1 | -2);
        let alone =
            self.network.only_reader(past).is_some() && self.network.only_reader(rows).is_some();
        (along_rows && alone && self.network.is_input(past)).then_some((past, new))
    }
}

/// `name [C, width]`: rows of any tokens, found by their slots.
fn store_of_rows(name: &str, width: usize) -> ValueInfoProto {
    input(name, DataType::Float, [Value::DimParam("C".to_owned()), Value::DimValue(width as i64)])
}

fn slots() -> ValueInfoProto {
    input(CACHE_SLOTS, DataType::Int64, ["B", "P"].map(|name| Value::DimParam(name.to_owned())))
}

fn packed(name: &str, axes: [usize; 4]) -> ValueInfoProto {
    input(name, DataType::Float, axes.map(|size| Value::DimValue(size as i64)))
}

fn input<const N: usize>(name: &str, data_type: DataType, dims: [Value; N]) -> ValueInfoProto {
    let dim = dims.map(|value| Dimension { value: Some(value), ..Dimension::default() });
    let shape = Some(TensorShapeProto { dim: dim.into() });
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape };
    let kind =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}
