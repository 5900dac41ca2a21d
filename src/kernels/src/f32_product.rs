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
    assert!(rows.len() >= R && rows.iter().all(|row| row.len() >= inputs));
    let mut heads = [rows[0]; R];
    heads.copy_from_slice(&rows[..R]);
    let mut sums = [lanes.splat(0.0); R];
    for (k, weights) in panel[..inputs * LANES].chunks_exact(LANES).enumerate() {
        let weights = lanes.load(weights);
        for r in 0..R {
            // SAFETY: k < inputs, and the assertion above holds every row to at least `inputs` elements.
            let value = unsafe { *heads[r].get_unchecked(k) };
            sums[r] = lanes.mul_add(lanes.splat(value), weights, sums[r]);
        }
    }
    let mut all = [lanes.splat(0.0); MAX_F32_ROWS];
    all[..R].copy_from_slice(&sums);
    all
}
