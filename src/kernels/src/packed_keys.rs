//! Keys and values of an attention in the order in which products with many rows read them.

use crate::lanes::LANES;

/// Keys, or numbers of a value, that a panel holds side by side.
pub const PANEL_COLUMNS: usize = LANES;

/// Keys or values that many queries ask, packed once for all of them.
#[derive(Debug, Clone, Copy)]
pub struct PackedKeys<'a> {
    /// What [`pack_keys`] gave.
    pub keys: &'a [f32],
    /// What [`pack_values`] gave.
    pub values: &'a [f32],
}

impl<'a> PackedKeys<'a> {
    /// One head's panels.
    pub(crate) fn head(&self, head: usize, keys: usize, head_width: usize) -> [&'a [f32]; 2] {
        let [of_keys, of_values] = lengths(keys, head_width);
        [&self.keys[head * of_keys..][..of_keys], &self.values[head * of_values..][..of_values]]
    }

    pub(crate) fn holds(&self, heads: usize, keys: usize, head_width: usize) -> bool {
        let lengths = lengths(keys, head_width);
        [self.keys.len(), self.values.len()] == lengths.map(|length| heads * length)
    }
}

/// Numbers of a head's packed keys, and of its packed values.
fn lengths(keys: usize, head_width: usize) -> [usize; 2] {
    [keys.next_multiple_of(LANES) * head_width, head_width.next_multiple_of(LANES) * keys]
}

/// Rows `[keys, heads × head_width]` as `[heads, panels, head_width, 16]`, sixteen keys a panel, padded with zeros.
#[must_use]
pub fn pack_keys(rows: &[f32], heads: usize, head_width: usize) -> Vec<f32> {
    pack_heads(rows, heads, head_width, 0, |rows, packed| pack_key_rows(rows, head_width, packed))
}

/// Rows `[keys, heads × head_width]` as `[heads, panels, keys, 16]`, sixteen numbers a panel, padded with zeros.
#[must_use]
pub fn pack_values(rows: &[f32], heads: usize, head_width: usize) -> Vec<f32> {
    pack_heads(rows, heads, head_width, 1, pack_value_rows)
}

fn pack_heads<'a>(
    rows: &'a [f32],
    heads: usize,
    head_width: usize,
    which: usize,
    pack: impl Fn(&[&'a [f32]], &mut [f32]),
) -> Vec<f32> {
    let rows: Vec<&[f32]> = rows.chunks_exact((heads * head_width).max(1)).collect();
    let length = lengths(rows.len(), head_width)[which];
    let mut packed = vec![0.0; heads * length];
    for (head, packed) in packed.chunks_exact_mut(length.max(1)).enumerate() {
        let part = head * head_width..(head + 1) * head_width;
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[part.clone()]).collect();
        pack(&rows, packed);
    }
    packed
}

/// Writes one head's keys into panels `[head_width][16]`; what is there of keys beyond the last stays.
pub(crate) fn pack_key_rows(rows: &[&[f32]], head_width: usize, packed: &mut [f32]) {
    let panels = packed.chunks_exact_mut((head_width * LANES).max(1));
    for (panel, rows) in panels.zip(rows.chunks(LANES)) {
        for (column, row) in rows.iter().enumerate() {
            for (cells, &number) in panel.chunks_exact_mut(LANES).zip(*row) {
                cells[column] = number;
            }
        }
    }
}

/// Writes one head's values into panels `[keys][16]`.
pub(crate) fn pack_value_rows(rows: &[&[f32]], packed: &mut [f32]) {
    for (panel, cells) in packed.chunks_exact_mut((rows.len() * LANES).max(1)).enumerate() {
        for (cells, row) in cells.chunks_exact_mut(LANES).zip(rows) {
            let part = &row[panel * LANES..row.len().min((panel + 1) * LANES)];
            cells[..part.len()].copy_from_slice(part);
        }
    }
}
