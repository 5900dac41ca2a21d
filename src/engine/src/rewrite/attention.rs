//! Attention of all heads as one operator, which reads rows where they stand.

use coca_onnx::{
    NodeId, Opset, attribute, builder,
    pb::{NodeProto, ValueInfoProto, tensor_proto::DataType},
    value_info::{self, Dim},
};

use super::{
    Rewriter,
    attention_pattern::{Pattern, SplitHeads},
    miss::{Rule, ensure},
};
use crate::{
    fused::{self, Operand},
    layout::Layout,
};

/// Sizes of parts are an input of `Split` since this version, an attribute before.
const SPLIT_WITH_INPUT: Opset = Opset::new(13);

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

/// An input of the graph that takes another shape.
struct Relaid {
    input: ValueInfoProto,
    layout: Layout,
}

impl Rewriter<'_> {
    /// Fuses the attention around a softmax. Past keys and values that only attention reads become paged caches,
    /// those of a picture are packed.
    pub(super) fn fuse_attention(&mut self, softmax: NodeId) -> Rule {
        let pattern = self.attention_around(softmax)?;
        let SplitHeads { heads, head_width, .. } = pattern.keys;
        let is_same = |split: &SplitHeads| (split.heads, split.head_width) == (heads, head_width);
        ensure(
            is_same(&pattern.queries) && is_same(&pattern.values),
            "its queries, keys and values differ in the number or width of heads",
        )?;
        let mask_heads = pattern.mask.as_ref().and_then(|mask| self.mask_heads(mask));
        ensure(mask_heads.is_none_or(|own| [1, heads].contains(&own)), "its mask has more heads")?;
        let mut inputs = Inputs::default();
        let queries = self.operand(&mut inputs, &pattern.queries);
        let (memory, relaid) = self.memory(&mut inputs, &pattern);
        let mask = pattern.mask.as_ref().map(|mask| inputs.index(mask));
        let scale = pattern.scale;
        let operator = fused::Attention { heads, head_width, scale, queries, memory, mask };
        for Relaid { input, layout } in relaid {
            if layout == Layout::PagedCache {
                let slots = slot_mapping(&self.cache_slots());
                self.graph.set_input(slots);
            }
            self.layouts.insert(input.name.clone(), layout);
            self.graph.set_input(input);
        }
        self.replace(pattern.end, inputs.0, pattern.output, operator);
        Ok(())
    }

    /// The heads that a mask `[…, heads, queries, keys]` has entries of their own for, where the file tells.
    fn mask_heads(&self, mask: &str) -> Option<usize> {
        let sizes = match self.graph.constant(mask) {
            Some(tensor) => tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect(),
            None => self.graph.input_sizes(mask)?,
        };
        *sizes.get(sizes.len().checked_sub(3)?)?
    }

    /// Where keys and values stand, and which inputs of the graph change for that.
    fn memory(&mut self, inputs: &mut Inputs, pattern: &Pattern) -> (fused::Memory, Vec<Relaid>) {
        let halves = [&pattern.keys, &pattern.values];
        if let Some((keys, values)) = self.past(halves[0]).zip(self.past(halves[1])) {
            let new = [&keys, &values].map(|half| self.operand(inputs, &half.new));
            let past = [&keys, &values].map(|half| inputs.index(&half.past));
            let width = pattern.keys.width();
            let relaid = [keys, values].map(|half| Relaid {
                input: paged_cache(&half.past, width),
                layout: Layout::PagedCache,
            });
            let slots = inputs.index(&self.cache_slots());
            return (fused::Memory::Cached { past, slots, new }, relaid.into());
        }
        if let Some(relaid) = self.packed(halves) {
            let [keys, values] = halves.map(|half| inputs.index(&half.rows));
            return (fused::Memory::Packed { keys, values }, relaid);
        }
        let [keys, values] = halves.map(|half| self.operand(inputs, half));
        (fused::Memory::Rows { keys, values }, Vec::new())
    }

    /// Keys and values that are inputs `[1, keys, width]` which nothing else reads: those of a picture, the same for
    /// every token.
    fn packed(&self, halves: [&SplitHeads; 2]) -> Option<Vec<Relaid>> {
        let (heads, head_width, width) = (halves[0].heads, halves[0].head_width, halves[0].width());
        let [keys, values] = halves.map(|half| {
            self.graph.only_consumer(&half.rows)?;
            match self.graph.input_sizes(&half.rows)?[..] {
                [Some(1), Some(keys), Some(of_row)] if of_row == width && half.keeps_rows() => {
                    Some(keys)
                }
                _ => None,
            }
        });
        let keys = keys.filter(|_| keys == values)?;
        let layouts =
            [Layout::PackedKeys { heads, head_width }, Layout::PackedValues { heads, head_width }];
        let relaid = halves.into_iter().zip(layouts).map(|(half, layout)| {
            let axes = layout.packed_axes(keys)?.map(Dim::from);
            let input = value_info::tensor(&half.rows, DataType::Float, &axes);
            Some(Relaid { input, layout })
        });
        relaid.collect()
    }

    /// A part of a joint projection is read where it stands; any other rows are an input of their own.
    fn operand(&mut self, inputs: &mut Inputs, split: &SplitHeads) -> Operand {
        let (name, offset) = match self.part_of_joint(split) {
            Some((joint, width, offset)) => (self.as_rows(&joint, split.outer, width), offset),
            None => (self.as_rows(&split.rows, split.outer, split.width()), 0),
        };
        Operand { input: inputs.index(&name), offset }
    }

    /// The joint projection that the rows are a part of, its width, and where the part begins.
    fn part_of_joint(&self, split: &SplitHeads) -> Option<(String, usize, usize)> {
        let node = self.graph.produced_by("Split", &split.rows)?;
        let sizes = self.split_sizes(node)?;
        let is_last_axis = match attribute::integer(node, "axis", 0) {
            -1 => true,
            axis => axis == 2 && split.keeps_rows(),
        };
        let part = node.output.iter().position(|output| *output == split.rows)?;
        (is_last_axis && sizes.get(part) == Some(&split.width())).then_some(())?;
        let offset = sizes[..part].iter().sum();
        Some((node.input.first()?.clone(), sizes.iter().sum(), offset))
    }

    /// The stated sizes of the parts that a `Split` makes.
    fn split_sizes(&self, node: &NodeProto) -> Option<Vec<usize>> {
        let sizes = match self.graph.opset() < SPLIT_WITH_INPUT {
            true => attribute::integers(node, "split")?.to_vec(),
            false => self.constants().integers(node.input.get(1)?)?,
        };
        sizes.into_iter().map(|size| usize::try_from(size).ok()).collect()
    }

    /// A tensor as rows `[B, T, width]`, whose first two axes are `outer` as `Reshape` has them.
    fn as_rows(&mut self, name: &str, outer: [i64; 2], width: usize) -> String {
        if outer == [0, 0] {
            return name.to_owned();
        }
        let rows = self.derived(format_args!("rows {outer:?}"), name);
        if self.graph.producer(&rows).is_none() {
            let shape = self.derived(format_args!("shape of rows {outer:?}"), name);
            let sizes = [outer[0], outer[1], width as i64];
            self.graph.add_initializer(builder::i64_tensor(&shape, &[3], &sizes));
            self.graph.add(builder::node("Reshape", &[name, &shape], &rows, Vec::new()));
        }
        rows
    }

    /// The input that maps the slots of past tokens, `[B, P]`, in a graph whose caches are paged.
    fn cache_slots(&self) -> String {
        self.derived("slots of", "caches")
    }

    /// Earlier rows, an input that nothing else reads, and the new ones behind them.
    fn past(&self, split: &SplitHeads) -> Option<Past> {
        split.keeps_rows().then_some(())?;
        let node = self.graph.produced_by("Concat", &split.rows)?;
        let [past, new] = &node.input[..] else { return None };
        let is_along_rows = matches!(attribute::integer(node, "axis", 0), 1 | -2);
        let is_only_read_here = self.graph.only_consumer(past).is_some()
            && self.graph.only_consumer(&split.rows).is_some();
        (is_along_rows && is_only_read_here && self.graph.is_input(past)).then(|| Past {
            past: past.clone(),
            new: SplitHeads { rows: new.clone(), ..split.clone() },
        })
    }
}

/// Keys or values of earlier tokens and those behind them.
struct Past {
    past: String,
    new: SplitHeads,
}

/// `name [C, width]`: keys or values of any tokens, found by their slots.
fn paged_cache(name: &str, width: usize) -> ValueInfoProto {
    value_info::tensor(name, DataType::Float, &["C".into(), width.into()])
}

fn slot_mapping(name: &str) -> ValueInfoProto {
    value_info::tensor(name, DataType::Int64, &["B".into(), "P".into()])
}
