//! Keys and values of an attention in the order in which products with many rows read them.

use crate::lanes::LANES;

/// Keys, or elements of a value, that a panel holds side by side.
pub const PANEL_COLUMNS: usize = LANES;

/// Keys and values that many query positions share, packed once for all of them.
#[derive(Debug, Clone, Copy)]
pub struct PackedKeys<'a> {
    /// The panels that [`pack_keys`] returned.
    pub keys: &'a [f32],
    /// The panels that [`pack_values`] returned.
    pub values: &'a [f32],
}

impl<'a> PackedKeys<'a> {
    /// One head's panels.
    pub(crate) fn head(&self, head: usize, keys: usize, head_width: usize) -> [&'a [f32]; 2] {
        let [of_keys, of_values] = lengths(keys, head_width).map(Option::unwrap_or_default);
        [&self.keys[head * of_keys..][..of_keys], &self.values[head * of_values..][..of_values]]
    }

    pub(crate) fn holds(&self, heads: usize, keys: usize, head_width: usize) -> bool {
        [self.keys.len(), self.values.len()].map(Some)
            == lengths(keys, head_width).map(|length| length?.checked_mul(heads))
    }
}

/// Elements of a head's packed keys, and of its packed values.
fn lengths(keys: usize, head_width: usize) -> [Option<usize>; 2] {
    let padded = |columns: usize, rows| columns.checked_next_multiple_of(LANES)?.checked_mul(rows);
    [padded(keys, head_width), padded(head_width, keys)]
}

/// Packs rows `[keys, heads × head_width]` as `[heads, panels, head_width, 16]`, sixteen keys to a panel, padded with zeros.
///
/// Returns `None` if the elements are not whole rows.
#[must_use]
pub fn pack_keys(rows: &[f32], heads: usize, head_width: usize) -> Option<Vec<f32>> {
    pack_heads(rows, heads, head_width, 0, |rows, packed| pack_key_rows(rows, head_width, packed))
}

/// Packs rows `[keys, heads × head_width]` as `[heads, panels, keys, 16]`, sixteen elements to a panel, padded with zeros.
///
/// Returns `None` if the elements are not whole rows.
#[must_use]
pub fn pack_values(rows: &[f32], heads: usize, head_width: usize) -> Option<Vec<f32>> {
    pack_heads(rows, heads, head_width, 1, pack_value_rows)
}

fn pack_heads<'a>(
    rows: &'a [f32],
    heads: usize,
    head_width: usize,
    which: usize,
    pack: impl Fn(&[&'a [f32]], &mut [f32]),
) -> Option<Vec<f32>> {
    let width = heads.checked_mul(head_width).filter(|&width| width > 0)?;
    rows.len().is_multiple_of(width).then_some(())?;
    let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
    let length = lengths(rows.len(), head_width)[which]?;
    let mut packed = vec![0.0; heads.checked_mul(length)?];
    for (head, packed) in packed.chunks_exact_mut(length.max(1)).enumerate() {
        let part = head * head_width..(head + 1) * head_width;
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[part.clone()]).collect();
        pack(&rows, packed);
    }
    Some(packed)
}

/// Writes one head's keys into panels `[head_width, 16]`; the columns after the last key stay as they are.
pub(crate) fn pack_key_rows(rows: &[&[f32]], head_width: usize, packed: &mut [f32]) {
    let panels = packed.chunks_exact_mut((head_width * LANES).max(1));
    for (panel, rows) in panels.zip(rows.chunks(LANES)) {
        for (column, row) in rows.iter().enumerate() {
            for (cells, &element) in panel.chunks_exact_mut(LANES).zip(*row) {
                cells[column] = element;
            }
        }
    }
}

/// Writes one head's values into panels `[keys, 16]`.
pub(crate) fn pack_value_rows(rows: &[&[f32]], packed: &mut [f32]) {
    for (panel, cells) in packed.chunks_exact_mut((rows.len() * LANES).max(1)).enumerate() {
        for (cells, row) in cells.chunks_exact_mut(LANES).zip(rows) {
            let part = &row[panel * LANES..row.len().min((panel + 1) * LANES)];
            cells[..part.len()].copy_from_slice(part);
        }
    }
}
