//! Products of f32 rows with panels of sixteen columns.

use crate::lanes::{LANES, Lanes};

/// The most rows that [`f32_products`] takes at once.
pub(crate) const MOST_ROWS: usize = 8;

/// The products of `rows` with a panel `[inputs][16]`: sixteen numbers for each row.
///
/// A sum is added up in the order of its inputs, by fused multiply-adds.
#[inline(always)]
pub(crate) fn f32_products<L: Lanes>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    inputs: usize,
) -> [L::F32; MOST_ROWS] {
    match rows.len() {
        0 | 1 => tile::<L, 1>(lanes, rows, panel, inputs),
        2 => tile::<L, 2>(lanes, rows, panel, inputs),
        3 => tile::<L, 3>(lanes, rows, panel, inputs),
        4 => tile::<L, 4>(lanes, rows, panel, inputs),
        5 => tile::<L, 5>(lanes, rows, panel, inputs),
        6 => tile::<L, 6>(lanes, rows, panel, inputs),
        7 => tile::<L, 7>(lanes, rows, panel, inputs),
        _ => tile::<L, MOST_ROWS>(lanes, rows, panel, inputs),
    }
}

#[inline(always)]
fn tile<L: Lanes, const R: usize>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    inputs: usize,
) -> [L::F32; MOST_ROWS] {
    assert!(rows.len() >= R && rows.iter().all(|row| row.len() >= inputs));
    let mut heads = [rows[0]; R];
    heads.copy_from_slice(&rows[..R]);
    let mut sums = [lanes.splat(0.0); R];
    for (k, weights) in panel[..inputs * LANES].chunks_exact(LANES).enumerate() {
        let weights = lanes.load(weights);
        for r in 0..R {
            // SAFETY: k < inputs, and the assertion holds every row to as many numbers.
            let value = unsafe { *heads[r].get_unchecked(k) };
            sums[r] = lanes.mul_add(lanes.splat(value), weights, sums[r]);
        }
    }
    let mut all = [lanes.splat(0.0); MOST_ROWS];
    all[..R].copy_from_slice(&sums);
    all
}
