//! What an attention reads: its sizes, and rows that stand in larger tensors or in a cache.

use crate::packed_keys::PackedKeys;

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
    pub(crate) fn head(&self, batch: usize, row: usize, head: usize, width: usize) -> &'a [f32] {
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

/// The keys and values of an attention.
#[derive(Debug, Clone, Copy)]
pub enum Memory<'a> {
    /// Rows as a layer made them.
    Rows {
        /// The rows that are asked.
        keys: HeadRows<'a>,
        /// The rows that are mixed.
        values: HeadRows<'a>,
    },
    /// Rows of earlier tokens, in front of those that a layer made.
    Cached {
        /// The keys and values of earlier tokens.
        past: [CachedRows<'a>; 2],
        /// The new keys and values.
        new: [HeadRows<'a>; 2],
    },
    /// What all sequences ask, packed beforehand.
    Packed(PackedKeys<'a>),
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
    /// The rows that are asked, and those that are mixed.
    pub memory: Memory<'a>,
    /// Added to the scores, after the scale.
    pub mask: Option<Mask<'a>>,
}

impl<'a> AttentionInput<'a> {
    /// Whether all sequences ask the same rows.
    pub(crate) fn shares_keys(&self) -> bool {
        match self.memory {
            Memory::Rows { keys, values } => keys.batch_stride == 0 && values.batch_stride == 0,
            Memory::Cached { .. } => false,
            Memory::Packed(_) => true,
        }
    }

    /// Whether the tensors hold as many rows as the sizes say.
    pub(crate) fn fits(&self) -> bool {
        let AttentionShape { batch, heads, head_width, queries, keys } = self.shape;
        let holds = |rows: HeadRows<'_>, count| rows.holds(batch, count, heads * head_width);
        let memory = match self.memory {
            Memory::Rows { keys: asked, values } => holds(asked, keys) && holds(values, keys),
            Memory::Cached { past, new } => {
                past[0].past < keys
                    && past.iter().all(|half| half.past == past[0].past && half.fits(self.shape))
                    && new.iter().all(|half| holds(*half, keys - past[0].past))
            }
            Memory::Packed(packed) => packed.holds(heads, keys, head_width),
        };
        keys > 0
            && memory
            && holds(self.queries, queries)
            && self.mask.is_none_or(|mask| mask.holds(batch, queries, keys))
    }

    /// A head's parts of all keys and values of a sequence, the earlier ones first.
    pub(crate) fn rows(
        &self,
        batch: usize,
        head: usize,
    ) -> impl ExactSizeIterator<Item = [&'a [f32]; 2]> + use<'a> {
        let (memory, shape) = (self.memory, self.shape);
        // Packed keys are never read as rows.
        let count = if matches!(memory, Memory::Packed(_)) { 0 } else { shape.keys };
        (0..count).map(move |row| {
            let new = |halves: [HeadRows<'a>; 2], row| {
                halves.map(|half| half.head(batch, row, head, shape.head_width))
            };
            match memory {
                Memory::Cached { past, .. } if row < past[0].past => {
                    past.map(|half| half.head(batch, row, head, shape))
                }
                Memory::Cached { past, new: halves } => new(halves, row - past[0].past),
                Memory::Rows { keys, values } => new([keys, values], row),
                Memory::Packed(_) => Default::default(),
            }
        })
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

    pub(crate) fn row(&self, batch: usize, query: usize, keys: usize) -> &'a [f32] {
        let at = batch * self.batch_stride + query * self.row_stride;
        &self.values[at..at + keys]
    }
}
