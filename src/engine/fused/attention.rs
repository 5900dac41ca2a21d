//! Attention of all heads, from rows to rows: no head is ever moved to an axis of its own.

use tract_onnx::tract_hir::internal::*;

use super::{FusedOperator, filled, numbers};
use crate::{
    engine::threads,
    kernels::{self, AttentionInput, AttentionShape, CachedRows, Cpu, HeadRows, Mask, Pool},
};

/// Where queries, keys or values stand: columns `offset..offset + width` of an input `[B, rows, …]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Operand {
    /// Which of the operator's inputs.
    pub(in crate::engine) input: usize,
    /// The first column.
    pub(in crate::engine) offset: usize,
}

/// `softmax(scale × queries × keysᵀ + mask) × values` → `[B, queries, heads × head_width]`
#[derive(Debug)]
pub(in crate::engine) struct Attention {
    pub(in crate::engine) cpu: Cpu,
    pub(in crate::engine) heads: usize,
    pub(in crate::engine) head_width: usize,
    pub(in crate::engine) scale: f32,
    pub(in crate::engine) queries: Operand,
    pub(in crate::engine) keys: Operand,
    pub(in crate::engine) values: Operand,
    /// The input added to the scores: `[…, queries, keys]`, of up to four axes.
    pub(in crate::engine) mask: Option<usize>,
    /// The inputs that hold the stores of earlier keys and values, and the slots `[B, P]` in them.
    pub(in crate::engine) cached: Option<[usize; 3]>,
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

    fn cached<'a>(
        &self,
        inputs: &'a [TValue],
        slots: &'a [i64],
        past: usize,
    ) -> TractResult<Option<[CachedRows<'a>; 2]>> {
        let Some([keys, values, _]) = self.cached else { return Ok(None) };
        let half = |index: usize| -> TractResult<CachedRows<'a>> {
            Ok(CachedRows { store: numbers(&inputs[index])?, slots, past })
        };
        Ok(Some([half(keys)?, half(values)?]))
    }
}

impl FusedOperator for Attention {
    fn name(&self) -> &'static str {
        if self.cached.is_some() { "FusedCachedAttention" } else { "FusedAttention" }
    }

    fn output_shape(&self, inputs: &[&[TDim]]) -> TractResult<TVec<TDim>> {
        let [batch, rows, _] = inputs[self.queries.input] else {
            bail!("attention takes three axes")
        };
        let other = &inputs[self.keys.input][0];
        // A constant's batch of one serves whatever batch the keys have.
        let batch = if batch.is_one() { other } else { batch };
        Ok(tvec![batch.clone(), rows.clone(), self.width().to_dim()])
    }

    fn run(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let queries = inputs[self.queries.input].shape();
        let new = inputs[self.keys.input].shape();
        ensure!(queries.len() == 3 && new.len() == 3, "attention takes three axes");
        let batch = queries[0].max(new[0]);
        let (slots, past): (&[i64], usize) = match self.cached {
            Some([_, _, slots]) => {
                let past = inputs[slots].shape().last().copied().unwrap_or(0);
                (numbers(&inputs[slots])?, past)
            }
            None => (&[], 0),
        };
        let shape = AttentionShape {
            batch,
            heads: self.heads,
            head_width: self.head_width,
            queries: queries[1],
            keys: past + new[1],
        };
        let input = AttentionInput {
            shape,
            scale: self.scale,
            queries: self.rows(inputs, self.queries, batch)?,
            keys: self.rows(inputs, self.keys, batch)?,
            values: self.rows(inputs, self.values, batch)?,
            cached: self.cached(inputs, slots, past)?,
            mask: self.mask(inputs, shape.keys)?,
        };
        filled(&[batch, shape.queries, self.width()], |output| {
            let job = kernels::Attention::new(self.cpu, input, output);
            let job = job.ok_or_else(|| format_err!("an attention's shapes do not fit"))?;
            Pool::share(threads::pool().as_deref(), || job.work());
            Ok(())
        })
    }
}
