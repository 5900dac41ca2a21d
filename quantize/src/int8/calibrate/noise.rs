//! Noise of rounding a layer: the 8-bit product compared with the exact one.

use ndarray::{Array2, ArrayView2, Axis};

use super::super::{
    decibels::Noise,
    rounding::{Channels, Int8},
};

/// Columns that are rounded and multiplied at a time, so that a caption head needs no second copy.
const BLOCK: usize = 1024;

/// The noise of `rows × weight`, `[rows, in] × [in, out]`, with both rounded to 8 bits: each row with a scale of its
/// own, as runtimes do, and each output channel.
pub(super) fn of_product(rows: ArrayView2<f32>, weight: ArrayView2<f32>) -> Noise {
    let rounded_rows = rounded(rows, rows.nrows(), Channels::First);
    let mut noise = Noise::default();
    for block in weight.axis_chunks_iter(Axis(1), BLOCK) {
        let exact = rows.dot(&block);
        let found = rounded_rows.dot(&rounded_weight(block));
        for (exact, found) in exact.iter().zip(&found) {
            noise.add(*exact, *found);
        }
    }
    noise
}

/// A weight `[in, out]` as it is stored.
pub(super) fn rounded_weight(weight: ArrayView2<f32>) -> Array2<f32> {
    rounded(weight, weight.ncols(), Channels::Last)
}

fn rounded(values: ArrayView2<f32>, channels: usize, along: Channels) -> Array2<f32> {
    let row_by_row: Vec<f32> = values.iter().copied().collect();
    let rounded = Int8::round(&row_by_row, channels, along).values(along);
    let mut same_shape = Array2::zeros(values.dim());
    same_shape.iter_mut().zip(rounded).for_each(|(to, from)| *to = from);
    same_shape
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Numbers from -1 to 1 without a pattern.
    fn numbers(rows: usize, columns: usize, seed: u32) -> Array2<f32> {
        let mut state = seed;
        Array2::from_shape_simple_fn((rows, columns), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
    }

    #[test]
    fn eight_bits_of_even_numbers_leave_forty_decibels_and_an_outlier_takes_them() {
        let (mut rows, weight) = (numbers(20, 64, 7), numbers(64, 1500, 13));
        let plain = of_product(rows.view(), weight.view()).decibels().unwrap();
        assert!((38.0..50.0).contains(&plain), "{plain}");
        rows.column_mut(3).fill(100.0);
        let mut flat = weight;
        flat.row_mut(3).fill(1e-3);
        let outlier = of_product(rows.view(), flat.view()).decibels().unwrap();
        assert!(outlier < plain - 20.0, "{outlier}");
    }

    #[test]
    fn a_layer_without_a_signal_has_no_ratio() {
        let zeros = Array2::zeros((2, 3));
        assert_eq!(of_product(zeros.view(), numbers(3, 4, 1).view()).decibels(), None);
    }
}
