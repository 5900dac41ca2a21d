//! Products of f32 rows with panels of sixteen columns.

use crate::{
    isa::MAX_F32_ROWS,
    lanes::{LANES, Lanes},
};

/// Multiplies at most eight `rows` by a panel `[inputs, 16]`: sixteen sums for each row.
///
/// A sum adds its inputs in order, by fused multiply-adds.
#[inline(always)]
pub(crate) fn f32_products<L: Lanes>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    inputs: usize,
) -> [L::F32; MAX_F32_ROWS] {
    match rows.len() {
        0 | 1 => tile::<L, 1>(lanes, rows, panel, inputs),
        2 => tile::<L, 2>(lanes, rows, panel, inputs),
        3 => tile::<L, 3>(lanes, rows, panel, inputs),
        4 => tile::<L, 4>(lanes, rows, panel, inputs),
        5 => tile::<L, 5>(lanes, rows, panel, inputs),
        6 => tile::<L, 6>(lanes, rows, panel, inputs),
        7 => tile::<L, 7>(lanes, rows, panel, inputs),
        _ => tile::<L, MAX_F32_ROWS>(lanes, rows, panel, inputs),
    }
}

#[inline(always)]
fn tile<L: Lanes, const R: usize>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    inputs: usize,
) -> [L::F32; MAX_F32_ROWS] {
    let mut heads = [rows[0]; R];
    heads.copy_from_slice(&rows[..R]);
    let sums = lanes.row_products(heads, &panel[..inputs * LANES]);
    let mut all = [lanes.splat(0.0); MAX_F32_ROWS];
    all[..R].copy_from_slice(&sums);
    all
}
