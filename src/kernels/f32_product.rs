//! Products of f32 rows with panels of sixteen columns.

use super::lanes::{LANES, Lanes};

/// The most rows that [`f32_products`] takes at once.
pub(super) const MOST_ROWS: usize = 8;

/// The products of `rows` with a panel whose row k begins at `k × stride`: sixteen numbers for each row,
/// given to `each` with the row's index.
///
/// A sum is added up in the order of its inputs, by fused multiply-adds.
#[inline(always)]
pub(super) fn f32_products<L: Lanes>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    stride: usize,
    inputs: usize,
    each: impl FnMut(usize, L::F32),
) {
    match rows.len() {
        0 => {}
        1 => tile::<L, 1>(lanes, rows, panel, stride, inputs, each),
        2 => tile::<L, 2>(lanes, rows, panel, stride, inputs, each),
        3 => tile::<L, 3>(lanes, rows, panel, stride, inputs, each),
        4 => tile::<L, 4>(lanes, rows, panel, stride, inputs, each),
        5 => tile::<L, 5>(lanes, rows, panel, stride, inputs, each),
        6 => tile::<L, 6>(lanes, rows, panel, stride, inputs, each),
        7 => tile::<L, 7>(lanes, rows, panel, stride, inputs, each),
        _ => tile::<L, MOST_ROWS>(lanes, rows, panel, stride, inputs, each),
    }
}

#[inline(always)]
fn tile<L: Lanes, const R: usize>(
    lanes: L,
    rows: &[&[f32]],
    panel: &[f32],
    stride: usize,
    inputs: usize,
    mut each: impl FnMut(usize, L::F32),
) {
    assert!(rows.len() >= R && rows.iter().all(|row| row.len() >= inputs));
    assert!(inputs == 0 || panel.len() >= (inputs - 1) * stride + LANES);
    let rows: [&[f32]; R] = std::array::from_fn(|r| rows[r]);
    let mut sums = [lanes.splat(0.0); R];
    for k in 0..inputs {
        // SAFETY: k < inputs, and the assertions above hold every row and the panel to that.
        let weights = lanes.load(unsafe { panel.get_unchecked(k * stride..k * stride + LANES) });
        for r in 0..R {
            // SAFETY: as above.
            let value = unsafe { *rows[r].get_unchecked(k) };
            sums[r] = lanes.mul_add(lanes.splat(value), weights, sums[r]);
        }
    }
    for (r, sum) in sums.into_iter().enumerate() {
        each(r, sum);
    }
}
