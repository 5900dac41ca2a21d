//! The inputs of an attention: its shape, and rows that lie in larger tensors or in a cache.

use crate::{isa::MAX_F32_ROWS, lanes::LANES, packed_keys::PackedKeys};

/// Rows `[batch, positions, heads × head_width]` of queries, keys or values within a larger tensor.
#[derive(Debug, Clone, Copy)]
pub struct HeadRows<'a> {
    /// The tensor.
    pub values: &'a [f32],
    /// Index of the first element of the first row.
    pub offset: usize,
    /// Elements from one position to the next.
    pub row_stride: usize,
    /// Elements from one batch to the next; 0 if all batches share the rows.
    pub batch_stride: usize,
}

/// Keys or values of earlier positions, anywhere in a store of rows that beams share.
#[derive(Debug, Clone, Copy)]
pub struct CachedRows<'a> {
    /// The store, `[slots, heads × head_width]`.
    pub store: &'a [f32],
    /// The slot of each batch's past positions, `[batch, past]`.
    pub slots: &'a [i64],
    /// Past positions of each batch.
    pub past: usize,
}

/// A summand of the scores, `[batch, heads, queries, keys]`.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// The tensor; a row has an element for each key position.
    pub values: &'a [f32],
    /// Elements from one query position to the next; 0 if all share a row.
    pub row_stride: usize,
    /// Elements from one head to the next; 0 if all share the rows.
    pub head_stride: usize,
    /// Elements from one batch to the next; 0 if all share the planes.
    pub batch_stride: usize,
}

/// The shape of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Independent sequences.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Elements of a head.
    pub head_width: usize,
    /// Query positions.
    pub queries: usize,
    /// Key positions, cached ones included.
    pub keys: usize,
}

/// The keys and values of an attention.
#[derive(Debug, Clone, Copy)]
pub enum KeyValues<'a> {
    /// Rows as a layer made them.
    Rows {
        /// The keys.
        keys: HeadRows<'a>,
        /// The values.
        values: HeadRows<'a>,
    },
    /// Rows of earlier positions from a KV cache, in front of those that a layer made.
    Cached {
        /// The keys and values of earlier positions.
        past: [CachedRows<'a>; 2],
        /// The keys and values of new positions.
        new: [HeadRows<'a>; 2],
    },
    /// Keys and values that all batches share, packed beforehand.
    Packed(PackedKeys<'a>),
}

/// The inputs of an attention, `softmax(scale × Q Kᵀ + mask) V`.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInput<'a> {
    /// The shape.
    pub shape: AttentionShape,
    /// Factor of the scores, `1 / √head_width` in most models.
    pub scale: f32,
    /// The queries.
    pub queries: HeadRows<'a>,
    /// The keys and values.
    pub key_values: KeyValues<'a>,
    /// Summand of the scaled scores.
    pub mask: Option<Mask<'a>>,
}

impl AttentionShape {
    /// Elements of a row, `heads × head_width`; `None` if there are none or too many.
    fn width(&self) -> Option<usize> {
        self.heads.checked_mul(self.head_width).filter(|&width| width > 0)
    }

    /// Elements of the output; `None` if they, or one head's scores, packed keys or packed values are more than memory holds.
    pub(crate) fn output_length(&self) -> Option<usize> {
        let padded = |n: usize| n.checked_next_multiple_of(LANES)?.checked_mul(4 * MAX_F32_ROWS);
        padded(self.keys)?.checked_mul(padded(self.head_width)?)?;
        self.batch.checked_mul(self.heads)?;
        self.batch.checked_mul(self.queries)?.checked_mul(self.width()?)
    }
}

impl<'a> AttentionInput<'a> {
    /// Whether all batches have the same keys and values.
    pub(crate) fn shares_keys(&self) -> bool {
        match self.key_values {
            KeyValues::Rows { keys, values } => keys.batch_stride == 0 && values.batch_stride == 0,
            KeyValues::Cached { .. } => false,
            KeyValues::Packed(_) => true,
        }
    }

    /// Whether the tensors hold as many rows as the shape says.
    pub(crate) fn fits(&self) -> bool {
        let shape @ AttentionShape { batch, heads, head_width, queries, keys } = self.shape;
        let Some(width) = shape.width() else { return false };
        let holds = |rows: HeadRows<'_>, count| rows.holds(batch, count, width);
        let key_values_fit = match self.key_values {
            KeyValues::Rows { keys: key_rows, values } => {
                holds(key_rows, keys) && holds(values, keys)
            }
            KeyValues::Cached { past, new } => {
                past[0].past < keys
                    && past.iter().all(|half| half.past == past[0].past)
                    && past.iter().all(|half| half.fits(batch, width))
                    && new.iter().all(|half| holds(*half, keys - past[0].past))
            }
            KeyValues::Packed(packed) => packed.holds(heads, keys, head_width),
        };
        keys > 0
            && key_values_fit
            && holds(self.queries, queries)
            && self.mask.is_none_or(|mask| mask.holds(self.shape))
    }

    /// A head's parts of all keys and values of a sequence, the earlier ones first.
    pub(crate) fn rows(
        &self,
        batch: usize,
        head: usize,
    ) -> impl ExactSizeIterator<Item = [&'a [f32]; 2]> + use<'a> {
        let (key_values, shape) = (self.key_values, self.shape);
        // Packed keys are never read as rows.
        let count = if matches!(key_values, KeyValues::Packed(_)) { 0 } else { shape.keys };
        (0..count).map(move |row| {
            let new = |halves: [HeadRows<'a>; 2], row| {
                halves.map(|half| half.head(batch, row, head, shape.head_width))
            };
            match key_values {
                KeyValues::Cached { past, .. } if row < past[0].past => {
                    past.map(|half| half.head(batch, row, head, shape))
                }
                KeyValues::Cached { past, new: halves } => new(halves, row - past[0].past),
                KeyValues::Rows { keys, values } => new([keys, values], row),
                KeyValues::Packed(_) => Default::default(),
            }
        })
    }
}

/// Whether a tensor of `length` elements holds rows of `width` elements, so many of each stride, from `offset` on.
fn holds<const N: usize>(
    length: usize,
    offset: usize,
    strides: [(usize, usize); N],
    width: usize,
) -> bool {
    let end = strides.iter().try_fold(offset, |at, &(count, stride)| {
        at.checked_add(count.saturating_sub(1).checked_mul(stride)?)
    });
    end.and_then(|at| at.checked_add(width)).is_some_and(|end| end <= length)
}

impl<'a> HeadRows<'a> {
    fn holds(&self, batch: usize, rows: usize, width: usize) -> bool {
        let strides = [(batch, self.batch_stride), (rows, self.row_stride)];
        holds(self.values.len(), self.offset, strides, width)
    }

    /// One head's part of a row.
    pub(crate) fn head(&self, batch: usize, row: usize, head: usize, width: usize) -> &'a [f32] {
        let at = self.offset + batch * self.batch_stride + row * self.row_stride + head * width;
        &self.values[at..at + width]
    }
}

impl<'a> CachedRows<'a> {
    fn fits(&self, batch: usize, width: usize) -> bool {
        let count = self.store.len() / width;
        batch.checked_mul(self.past) == Some(self.slots.len())
            && self.slots.iter().all(|&slot| usize::try_from(slot).is_ok_and(|slot| slot < count))
    }

    fn head(&self, batch: usize, row: usize, head: usize, shape: AttentionShape) -> &'a [f32] {
        let slot = self.slots[batch * self.past + row] as usize;
        let at = (slot * shape.heads + head) * shape.head_width;
        &self.store[at..at + shape.head_width]
    }
}

impl<'a> Mask<'a> {
    fn holds(&self, shape: AttentionShape) -> bool {
        let AttentionShape { batch, heads, queries, keys, .. } = shape;
        let strides =
            [(batch, self.batch_stride), (heads, self.head_stride), (queries, self.row_stride)];
        holds(self.values.len(), 0, strides, keys)
    }

    /// The row of a query position of one head.
    pub(crate) fn row(&self, batch: usize, head: usize, query: usize, keys: usize) -> &'a [f32] {
        let at = batch * self.batch_stride + head * self.head_stride + query * self.row_stride;
        &self.values[at..at + keys]
    }
}
