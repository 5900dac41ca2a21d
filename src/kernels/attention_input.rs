//! What an attention reads: its sizes, and rows that stand in larger tensors or in a cache.

/// Queries, keys or values: rows of all heads side by side, somewhere in a larger tensor.
#[derive(Debug, Clone, Copy)]
pub struct HeadRows<'a> {
    /// The tensor.
    pub values: &'a [f32],
    /// Where the first row of the first batch begins.
    pub offset: usize,
    /// From one row to the next.
    pub row_stride: usize,
    /// From one batch to the next; 0 if all share the rows.
    pub batch_stride: usize,
}

impl<'a> HeadRows<'a> {
    /// One head's part of a row.
    pub(super) fn head(&self, batch: usize, row: usize, head: usize, width: usize) -> &'a [f32] {
        let at = self.offset + batch * self.batch_stride + row * self.row_stride + head * width;
        &self.values[at..at + width]
    }
}

/// Keys or values of earlier tokens, scattered over a store of rows that beams share.
#[derive(Debug, Clone, Copy)]
pub struct CachedRows<'a> {
    /// The store: `[slots, row_stride]`.
    pub store: &'a [f32],
    /// The slot of each batch's past tokens `[batch, past]`.
    pub slots: &'a [i64],
    /// Past tokens of each batch.
    pub past: usize,
}

/// Added to the scores.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// The tensor; a row has one number for each key.
    pub values: &'a [f32],
    /// From one query to the next; 0 if all share a row.
    pub row_stride: usize,
    /// From one batch to the next; 0 if all share the rows.
    pub batch_stride: usize,
}

/// Sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Independent sequences.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Numbers of a head.
    pub head_width: usize,
    /// Rows that ask.
    pub queries: usize,
    /// Rows that are asked, cached ones included.
    pub keys: usize,
}

/// Everything that one attention reads.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInput<'a> {
    /// The sizes.
    pub shape: AttentionShape,
    /// What scores are multiplied with.
    pub scale: f32,
    /// The rows that ask.
    pub queries: HeadRows<'a>,
    /// The rows that are asked, after the cached ones.
    pub keys: HeadRows<'a>,
    /// The rows that are mixed, after the cached ones.
    pub values: HeadRows<'a>,
    /// Keys and values of earlier tokens.
    pub cached: Option<[CachedRows<'a>; 2]>,
    /// Added to the scores, after the scale.
    pub mask: Option<Mask<'a>>,
}

impl<'a> AttentionInput<'a> {
    /// Whether all sequences ask the same rows.
    pub(super) fn shares_keys(&self) -> bool {
        self.cached.is_none() && self.keys.batch_stride == 0 && self.values.batch_stride == 0
    }

    /// Whether the tensors hold as many rows as the sizes say.
    pub(super) fn fits(&self) -> bool {
        let AttentionShape { batch, heads, head_width, queries, keys } = self.shape;
        let past = self.cached.map_or(0, |[keys, _]| keys.past);
        past < keys
            && self.cached.is_none_or(|halves| halves.iter().all(|half| half.fits(self.shape)))
            && [(self.queries, queries), (self.keys, keys - past), (self.values, keys - past)]
                .iter()
                .all(|(rows, count)| rows.holds(batch, *count, heads * head_width))
            && self.mask.is_none_or(|mask| mask.holds(batch, queries, keys))
    }

    /// A head's part of a key, the cached ones first.
    pub(super) fn key(&self, batch: usize, row: usize, head: usize) -> &'a [f32] {
        self.row(self.keys, self.cached.map(|[keys, _]| keys), batch, row, head)
    }

    /// A head's part of a value, the cached ones first.
    pub(super) fn value(&self, batch: usize, row: usize, head: usize) -> &'a [f32] {
        self.row(self.values, self.cached.map(|[_, values]| values), batch, row, head)
    }

    fn row(
        &self,
        new: HeadRows<'a>,
        cached: Option<CachedRows<'a>>,
        batch: usize,
        row: usize,
        head: usize,
    ) -> &'a [f32] {
        match cached {
            Some(cached) if row < cached.past => cached.head(batch, row, head, self.shape),
            _ => {
                let past = cached.map_or(0, |cached| cached.past);
                new.head(batch, row - past, head, self.shape.head_width)
            }
        }
    }
}

impl HeadRows<'_> {
    fn holds(&self, batch: usize, rows: usize, width: usize) -> bool {
        let steps = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        self.offset + steps(batch, self.batch_stride) + steps(rows, self.row_stride) + width
            <= self.values.len()
    }
}

impl<'a> CachedRows<'a> {
    fn fits(&self, shape: AttentionShape) -> bool {
        let width = shape.heads * shape.head_width;
        let count = self.store.len() / width.max(1);
        self.slots.len() == shape.batch * self.past
            && self.slots.iter().all(|&slot| usize::try_from(slot).is_ok_and(|slot| slot < count))
    }

    fn head(&self, batch: usize, row: usize, head: usize, shape: AttentionShape) -> &'a [f32] {
        let slot = self.slots[batch * self.past + row] as usize;
        let at = (slot * shape.heads + head) * shape.head_width;
        &self.store[at..at + shape.head_width]
    }
}

impl<'a> Mask<'a> {
    fn holds(&self, batch: usize, queries: usize, keys: usize) -> bool {
        (batch - 1) * self.batch_stride + (queries - 1) * self.row_stride + keys
            <= self.values.len()
    }

    pub(super) fn row(&self, batch: usize, query: usize, keys: usize) -> &'a [f32] {
        let at = batch * self.batch_stride + query * self.row_stride;
        &self.values[at..at + keys]
    }
}
