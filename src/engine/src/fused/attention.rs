//! Attention of all heads, from rows to rows: no head is ever moved to an axis of its own.

use coca_kernels::{self, AttentionInput, AttentionShape, CachedRows, HeadRows, Mask, PackedKeys};
use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, filled, numbers};
use crate::Engine;

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

    fn mask<'a>(&self, inputs: &'a [TValue], keys: usize) -> TractResult<Option<Mask<'a>>> {
        let Some(index) = self.mask else { return Ok(None) };
        let shape = inputs[index].shape();
        let from_the_end = |n: usize| shape.len().checked_sub(n).map_or(1, |axis| shape[axis]);
        let (columns, rows, heads, batch) =
            (from_the_end(1), from_the_end(2), from_the_end(3), from_the_end(4));
        ensure!(heads == 1, "a mask of its own for each of {heads} heads");
        ensure!(columns == keys, "a mask of {columns} columns for {keys} keys");
        Ok(Some(Mask {
            values: numbers(&inputs[index])?,
            row_stride: if rows == 1 { 0 } else { columns },
            batch_stride: if batch == 1 { 0 } else { rows * columns },
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

    /// The input whose batch the keys have, unless all sequences share them.
    fn keys_input(&self) -> Option<usize> {
        match self.memory {
            Memory::Rows { keys, .. } | Memory::Cached { new: [keys, _], .. } => Some(keys.input),
            Memory::Packed { .. } => None,
        }
    }
}

impl FusedOperator for Attention {
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
        // A constant's batch of one serves whatever batch the keys have.
        let batch = match self.keys_input() {
            Some(keys) if batch.is_one() => &inputs[keys][0],
            _ => batch,
        };
        Ok(tvec![batch.clone(), rows.clone(), self.width().to_dim()])
    }

    fn run(&self, engine: &Engine, inputs: &[TValue]) -> TractResult<Tensor> {
        let queries = inputs[self.queries.input].shape();
        let of_keys = self.keys_input().map_or(&[1, 1, 1][..], |keys| inputs[keys].shape());
        ensure!(queries.len() == 3 && of_keys.len() == 3, "attention takes three axes");
        let batch = queries[0].max(of_keys[0]);
        let (keys, memory) = self.memory(inputs, batch)?;
        let (heads, head_width) = (self.heads, self.head_width);
        let shape = AttentionShape { batch, heads, head_width, queries: queries[1], keys };
        let input = AttentionInput {
            shape,
            scale: self.scale,
            queries: self.rows(inputs, self.queries, batch)?,
            key_values: memory,
            mask: self.mask(inputs, keys)?,
        };
        filled(&[batch, shape.queries, self.width()], |output| {
            let job = coca_kernels::Attention::new(engine.cpu(), input, output);
            let job = job.ok_or_else(|| format_err!("an attention's shapes do not fit"))?;
            engine.broadcast(|| job.work());
            Ok(())
        })
    }
}
