//! Attention of all heads, from rows to rows: no head is ever moved to an axis of its own.

use std::borrow::Cow;

use coca_kernels::{self, AttentionInput, AttentionShape, CachedRows, HeadRows, Mask, PackedKeys};
use tract_onnx::tract_hir::internal::*;

use super::{SingleOutput, numbers};
use crate::{Engine, buffers::filled};

/// Where queries, keys or values stand: columns `offset..offset + width` of an input `[B, rows, …]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operand {
    /// Which of the operator's inputs.
    pub(crate) input: usize,
    /// The first column.
    pub(crate) offset: usize,
}

/// Where keys and values stand; numbers are those of the operator's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Rows {
        keys: Operand,
        values: Operand,
    },
    /// Behind earlier ones, the rows `slots` `[B, P]` of the stores `past`.
    Cached {
        past: [usize; 2],
        slots: usize,
        new: [Operand; 2],
    },
    /// One sequence that all others ask, `[heads, panels, head_width or keys, 16]`.
    Packed {
        keys: usize,
        values: usize,
    },
}

/// `softmax(scale × queries × keysᵀ + mask) × values` → `[B, queries, heads × head_width]`
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) head_width: usize,
    pub(crate) scale: f32,
    pub(crate) queries: Operand,
    pub(crate) memory: Memory,
    /// The input added to the scores: `[…, queries, keys]`, of up to four axes.
    pub(crate) mask: Option<usize>,
}

impl Attention {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn rows<'a>(
        &self,
        inputs: &'a [TValue],
        operand: Operand,
        batch: usize,
    ) -> TractResult<HeadRows<'a>> {
        let &[own_batch, rows, width] = inputs[operand.input].shape() else {
            bail!("attention takes three axes")
        };
        ensure!(own_batch == batch || own_batch == 1, "a batch of {own_batch} for {batch}");
        Ok(HeadRows {
            values: numbers(&inputs[operand.input])?,
            offset: operand.offset,
            row_stride: width,
            batch_stride: if own_batch == batch { rows * width } else { 0 },
        })
    }

    /// An axis of the mask, counted from the end; `None` without a mask, and for axes that it does not have.
    fn mask_axis<'i, S>(
        &self,
        shape: impl FnOnce(usize) -> &'i [S],
        from_the_end: usize,
    ) -> Option<&'i S> {
        let axes = shape(self.mask?);
        axes.get(axes.len().checked_sub(from_the_end)?)
    }

    /// The mask, each of whose axes has one entry or as many as the scores; keys are repeated where it has one for all.
    fn mask<'a>(
        &self,
        inputs: &'a [TValue],
        shape: AttentionShape,
    ) -> TractResult<Option<MaskTensor<'a>>> {
        let Some(index) = self.mask else { return Ok(None) };
        let axes = inputs[index].shape();
        let from_the_end = |n: usize| axes.len().checked_sub(n).map_or(1, |axis| axes[axis]);
        let [columns, rows, heads, batch] = [1, 2, 3, 4].map(from_the_end);
        let fits = |size: usize, of_scores: usize| size == 1 || size == of_scores;
        ensure!(
            axes.len() <= 4
                && fits(columns, shape.keys)
                && fits(rows, shape.queries)
                && fits(heads, shape.heads)
                && fits(batch, shape.batch),
            "a mask {axes:?} for {shape:?}"
        );
        let values = numbers(&inputs[index])?;
        let values = match columns == shape.keys {
            true => Cow::Borrowed(values),
            false => values.iter().flat_map(|&v| std::iter::repeat_n(v, shape.keys)).collect(),
        };
        let stride = |size: usize, below: usize| if size == 1 { 0 } else { below * shape.keys };
        Ok(Some(MaskTensor {
            values,
            row_stride: stride(rows, 1),
            head_stride: stride(heads, rows),
            batch_stride: stride(batch, rows * heads),
        }))
    }

    /// The batch and the number of the keys, and where they are.
    fn memory<'a>(
        &self,
        inputs: &'a [TValue],
        batch: usize,
    ) -> TractResult<(usize, coca_kernels::KeyValues<'a>)> {
        Ok(match self.memory {
            Memory::Rows { keys, values } => {
                let [keys_read, values_read] =
                    [self.rows(inputs, keys, batch)?, self.rows(inputs, values, batch)?];
                let memory = coca_kernels::KeyValues::Rows { keys: keys_read, values: values_read };
                (inputs[keys.input].shape()[1], memory)
            }
            Memory::Cached { past: stores, slots, new } => {
                let past = inputs[slots].shape().last().copied().unwrap_or(0);
                let slots = numbers(&inputs[slots])?;
                let store = |index: usize| -> TractResult<CachedRows<'a>> {
                    Ok(CachedRows { store: numbers(&inputs[index])?, slots, past })
                };
                let count = past + inputs[new[0].input].shape()[1];
                let new = [self.rows(inputs, new[0], batch)?, self.rows(inputs, new[1], batch)?];
                let past = [store(stores[0])?, store(stores[1])?];
                (count, coca_kernels::KeyValues::Cached { past, new })
            }
            Memory::Packed { keys, values } => {
                let &[_, _, count, _] = inputs[values].shape() else {
                    bail!("packed values have four axes")
                };
                let [keys, values] = [numbers(&inputs[keys])?, numbers(&inputs[values])?];
                (count, coca_kernels::KeyValues::Packed(PackedKeys { keys, values }))
            }
        })
    }

    /// The inputs whose batch keys and values have, unless all sequences share them.
    fn keys_and_values(&self) -> Option<[usize; 2]> {
        match self.memory {
            Memory::Rows { keys, values } | Memory::Cached { new: [keys, values], .. } => {
                Some([keys.input, values.input])
            }
            Memory::Packed { .. } => None,
        }
    }
}

/// A mask as the kernel takes it.
struct MaskTensor<'a> {
    values: Cow<'a, [f32]>,
    row_stride: usize,
    head_stride: usize,
    batch_stride: usize,
}

impl MaskTensor<'_> {
    fn borrow(&self) -> Mask<'_> {
        let Self { ref values, row_stride, head_stride, batch_stride } = *self;
        Mask { values, row_stride, head_stride, batch_stride }
    }
}

impl SingleOutput for Attention {
    fn name(&self) -> &'static str {
        match self.memory {
            Memory::Rows { .. } => "FusedAttention",
            Memory::Cached { .. } => "FusedCachedAttention",
            Memory::Packed { .. } => "FusedCrossAttention",
        }
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let [batch, rows, _] = inputs[self.queries.input] else {
            bail!("attention takes three axes")
        };
        // A batch of one, like that of learnt queries, serves whatever batch the others have; one query serves every row
        // of a mask.
        let others = self.keys_and_values().into_iter().flatten().map(|input| &inputs[input][0]);
        let others = others.chain(self.mask_axis(|mask| inputs[mask], 4));
        let batch = std::iter::once(batch).chain(others).find(|b| !b.is_one()).unwrap_or(batch);
        let rows = self.mask_axis(|mask| inputs[mask], 2).filter(|_| rows.is_one()).unwrap_or(rows);
        Ok(tvec![batch.clone(), rows.clone(), self.width().to_dim()])
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let own = inputs[self.queries.input].shape();
        let others =
            self.keys_and_values().into_iter().flatten().map(|input| inputs[input].shape());
        let shapes = std::iter::once(own).chain(others);
        ensure!(shapes.clone().all(|shape| shape.len() == 3), "attention takes three axes");
        let of_mask = |from_the_end| self.mask_axis(|mask| inputs[mask].shape(), from_the_end);
        let batch = shapes.map(|shape| shape[0]).chain(of_mask(4).copied()).max().unwrap_or(1);
        let queries = of_mask(2).copied().filter(|_| own[1] == 1).unwrap_or(own[1]);
        let (keys, memory) = self.memory(inputs, batch)?;
        let (heads, head_width) = (self.heads, self.head_width);
        let shape = AttentionShape { batch, heads, head_width, queries, keys };
        let mask = self.mask(inputs, shape)?;
        let rows = self.rows(inputs, self.queries, batch)?;
        let row_stride = if own[1] == queries { rows.row_stride } else { 0 };
        let input = AttentionInput {
            shape,
            scale: self.scale,
            queries: HeadRows { row_stride, ..rows },
            key_values: memory,
            mask: mask.as_ref().map(MaskTensor::borrow),
        };
        filled(engine.buffers(), &[batch, shape.queries, self.width()], |output| {
            let job = coca_kernels::Attention::new(engine.cpu(), input, output);
            let job = job.ok_or_else(|| format_err!("an attention's shapes do not fit"))?;
            engine.broadcast(|| job.work());
            Ok(())
        })
    }
}
