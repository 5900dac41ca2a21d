//! The nodes around a softmax that make an attention of it: split into heads, scores, mask, mix, heads joined again.

use coca_onnx::{NodeId, Opset, attribute, operator, pb::NodeProto};

use super::{
    Rewriter, is_transpose,
    miss::{Miss, OrMiss, ensure},
};

/// Without an axis, `Softmax` takes the last one since this version, and all from the second on before.
const SOFTMAX_OF_LAST_AXIS: Opset = Opset::new(13);
/// `[B, T, heads, head_width]` → `[B, heads, T, head_width]`, and back.
pub(super) const HEADS_FIRST: &[i64] = &[0, 2, 1, 3];
/// `[B, T, heads, head_width]` → `[B, heads, head_width, T]`
const HEADS_FIRST_TRANSPOSED: &[i64] = &[0, 2, 3, 1];

/// A tensor that a graph splits into heads: Reshape `[B, T, heads, head_width]` → Transpose.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SplitHeads {
    /// The tensor.
    pub(super) rows: String,
    /// The first two axes of the shape that it is given, as `Reshape` has them: 0 copies, -1 is what remains.
    pub(super) outer: [i64; 2],
    pub(super) heads: usize,
    pub(super) head_width: usize,
}

/// An attention around a softmax.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    pub(super) queries: SplitHeads,
    pub(super) keys: SplitHeads,
    pub(super) values: SplitHeads,
    pub(super) scale: f32,
    pub(super) mask: Option<String>,
    /// The node whose place the operator takes.
    pub(super) end: NodeId,
    /// What that node produces, `[B, T, heads × head_width]`.
    pub(super) output: String,
}

impl SplitHeads {
    /// Elements of a row, of all heads.
    pub(super) fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Whether the tensor is `[B, T, heads × head_width]` before the split.
    pub(super) fn keeps_rows(&self) -> bool {
        self.outer == [0, 0]
    }
}

impl Rewriter<'_> {
    /// The attention that `softmax` is the middle of.
    pub(super) fn attention_around(&self, softmax: NodeId) -> Result<Pattern, Miss> {
        let softmax = self.graph.node(softmax).or_other()?;
        let weights = softmax.output.first().or_other()?;
        let (_, mix) = self.graph.only_consumed_by("MatMul", weights).or_other()?;
        (mix.input.first() == Some(weights)).then_some(()).or_other()?;
        let (scores, mask) = self.masked(softmax.input.first().or_other()?);
        let (product, scale) = self.unscaled(scores);
        let product =
            self.graph.produced_by("MatMul", product).or_near("its scores are no product")?;
        let [queries, keys] = &product.input[..] else { return Err(Miss::Other) };
        let (queries, query_scale) = self.unscaled(queries);
        let (keys, key_scale) = self.unscaled(keys);
        ensure(self.is_of_last_axis(softmax), "its softmax is not of the keys")?;
        let (end, output) = self.joined(mix.output.first().or_other()?)?;
        Ok(Pattern {
            queries: self
                .split(queries, HEADS_FIRST)
                .or_near("its queries are not split into heads")?,
            keys: self
                .split(keys, HEADS_FIRST_TRANSPOSED)
                .or_else(|| self.split_and_transposed(keys))
                .or_near("its keys are not split into heads and transposed")?,
            values: self
                .split(mix.input.get(1).or_other()?, HEADS_FIRST)
                .or_near("its values are not split into heads")?,
            scale: scale * query_scale * key_scale,
            mask: mask.map(str::to_owned),
            end,
            output,
        })
    }

    /// Whether a softmax of four axes is one of the last axis alone.
    pub(super) fn is_of_last_axis(&self, softmax: &NodeProto) -> bool {
        let default = if self.graph.opset() < SOFTMAX_OF_LAST_AXIS { 1 } else { -1 };
        matches!(attribute::integer(softmax, "axis", default), -1 | 3)
    }

    /// The scores before the mask, and the mask.
    fn masked<'a>(&'a self, scores: &'a str) -> (&'a str, Option<&'a str>) {
        let add = self.graph.produced_by("Add", scores);
        match add.map(|add| &add.input[..]) {
            // The scores are the side that comes from a product.
            Some([a, b]) if self.is_scores(a) => (a, Some(b)),
            Some([a, b]) => (b, Some(a)),
            _ => (scores, None),
        }
    }

    fn is_scores(&self, name: &str) -> bool {
        let (product, _) = self.unscaled(name);
        self.graph.produced_by("MatMul", product).is_some()
    }

    /// What a constant factor is applied to, and the factor.
    fn unscaled<'a>(&'a self, name: &'a str) -> (&'a str, f32) {
        let scalar = |name: &str| self.constants().scalar(name);
        let scaled = self.graph.producer(name).and_then(|(_, node)| {
            match (operator(node)?, &node.input[..]) {
                ("Div", [x, by]) => Some((x.as_str(), scalar(by)?.recip())),
                ("Mul", [a, b]) => match (scalar(a), scalar(b)) {
                    (None, Some(factor)) => Some((a.as_str(), factor)),
                    (Some(factor), None) => Some((b.as_str(), factor)),
                    _ => None,
                },
                _ => None,
            }
        });
        scaled.unwrap_or((name, 1.0))
    }

    /// Transpose → Reshape of the mixed values: the node that the operator replaces, and what it produces.
    fn joined(&self, mixed: &str) -> Result<(NodeId, String), Miss> {
        let (transpose, node) = self
            .graph
            .only_consumer(mixed)
            .filter(|(_, node)| is_transpose(node, HEADS_FIRST))
            .or_near("its heads are not joined by a Transpose")?;
        let rows = node.output.first().or_other()?;
        let (reshape, node) = self
            .graph
            .only_consumed_by("Reshape", rows)
            .or_near("its heads are not joined by a Reshape")?;
        let shape =
            self.shape(node).or_near("the Reshape that joins its heads has no constant shape")?;
        if matches!(shape[..], [0, 0, _]) {
            return Ok((reshape, node.output.first().or_other()?.clone()));
        }
        // The operator's rows take the place of `[B, T, heads, head_width]`, and are then reshaped as those were.
        let copies_heads = shape.iter().skip(2).any(|&size| size == 0);
        ensure(!copies_heads, "the Reshape behind it copies the number of heads")?;
        Ok((transpose, rows.clone()))
    }

    /// Reshape `[B, T, heads, head_width]` → Transpose `order`.
    fn split(&self, name: &str, order: &[i64]) -> Option<SplitHeads> {
        let (_, transpose) = self.graph.producer(name)?;
        is_transpose(transpose, order).then_some(())?;
        let reshape = self.graph.produced_by("Reshape", transpose.input.first()?)?;
        let &[batch, rows, heads, head_width] = &self.shape(reshape)?[..] else { return None };
        let split = SplitHeads {
            rows: reshape.input.first()?.clone(),
            outer: [batch, rows],
            heads: usize::try_from(heads).ok().filter(|&heads| heads > 0)?,
            head_width: usize::try_from(head_width).ok().filter(|&width| width > 0)?,
        };
        Some(self.with_known_rows(split))
    }

    /// A split whose last axes are exchanged by a second Transpose.
    fn split_and_transposed(&self, name: &str) -> Option<SplitHeads> {
        let (_, transpose) = self.graph.producer(name)?;
        is_transpose(transpose, &[0, 1, 3, 2]).then_some(())?;
        self.split(transpose.input.first()?, HEADS_FIRST)
    }

    /// The constant shape that a Reshape gives, if zeros in it copy.
    pub(super) fn shape(&self, reshape: &NodeProto) -> Option<Vec<i64>> {
        let shape = self.constants().integers(reshape.input.get(1)?)?;
        let zeros_are_sizes = attribute::integer(reshape, "allowzero", 0) != 0;
        (!zeros_are_sizes || !shape.contains(&0)).then_some(shape)
    }

    /// The split with `outer` as `[0, 0]` where the sizes of an input of the graph say that it comes to that.
    fn with_known_rows(&self, split: SplitHeads) -> SplitHeads {
        let concat = self.graph.produced_by("Concat", &split.rows);
        let input = concat.and_then(|node| node.input.first()).unwrap_or(&split.rows);
        let Some(&[batch, rows, Some(width)]) = self.graph.input_sizes(input).as_deref() else {
            return split;
        };
        let rows = rows.filter(|_| concat.is_none());
        let keeps = |stated: i64, size: Option<usize>| {
            stated == 0 || size.is_some_and(|size| i64::try_from(size) == Ok(stated))
        };
        let is_kept = width == split.width()
            && match split.outer {
                [-1, stated] => keeps(stated, rows),
                [stated, -1] => keeps(stated, batch),
                stated => keeps(stated[0], batch) && keeps(stated[1], rows),
            };
        if is_kept { SplitHeads { outer: [0, 0], ..split } } else { split }
    }
}
