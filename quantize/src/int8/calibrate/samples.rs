//! Rows of what a layer reads, and its weight as a matrix.

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2, ArrayView4, Axis, Ix4, Slice};

use super::{super::uses::Form, inputs::Window};

/// The most rows that are kept for a layer.
pub(super) const MOST_ROWS: usize = 256;

/// What a layer read: some of the rows `[rows, in]`, and the sum of all.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    rows: Array2<f32>,
    sum: Array1<f64>,
    /// Rows that went into the sum.
    pub(super) count: usize,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { rows: Array2::zeros((0, 0)), sum: Array1::zeros(0), count: 0 }
    }

    pub(super) fn rows(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// `[in]`, of every row that the layer read.
    pub(super) fn sum(&self) -> ArrayView1<'_, f64> {
        self.sum.view()
    }

    /// Keeps at most `most` rows of `value`, evenly spread.
    pub(super) fn add(&mut self, value: &ArrayD<f32>, window: Option<&Window>, most: usize) {
        let all = match window {
            Some(window) => windows(value, window),
            None => matrix_rows(value),
        };
        if self.count == 0 {
            self.rows = Array2::zeros((0, all.ncols()));
            self.sum = Array1::zeros(all.ncols());
        }
        // Rows of one layer are always equally long.
        if all.ncols() != self.sum.len() {
            return;
        }
        all.rows()
            .into_iter()
            .for_each(|row| self.sum.zip_mut_with(&row, |sum, &v| *sum += f64::from(v)));
        self.count += all.nrows();
        let rows = spread(&all, most);
        let room = MOST_ROWS.saturating_sub(self.rows.nrows()).min(rows.nrows());
        let _: Result<(), _> =
            self.rows.append(Axis(0), rows.slice_axis(Axis(0), Slice::from(..room)));
    }
}

/// A tensor `[…, in]` as rows.
fn matrix_rows(value: &ArrayD<f32>) -> Array2<f32> {
    let columns = value.shape().last().copied().unwrap_or(0);
    let numbers: Vec<f32> = value.iter().copied().collect();
    let rows = numbers.len() / columns.max(1);
    Array2::from_shape_vec((rows, columns), numbers).unwrap_or_default()
}

fn spread(rows: &Array2<f32>, most: usize) -> ArrayView2<'_, f32> {
    let step = rows.nrows().div_ceil(most.max(1)).max(1);
    rows.slice_axis(Axis(0), Slice::new(0, None, step.cast_signed()))
}

/// What a convolution sees of a picture `[1, channels, height, width]`: a row for each place.
fn windows(value: &ArrayD<f32>, window: &Window) -> Array2<f32> {
    let Ok(value) = value.view().into_dimensionality::<Ix4>() else {
        return Array2::zeros((0, 0));
    };
    let places = window.places([value.dim().2, value.dim().3]);
    let width = value.dim().1 * window.kernel.iter().product::<usize>();
    let rows: Vec<f32> = (0..places[0] * places[1])
        .flat_map(|place| seen(value, window, [place / places[1], place % places[1]]))
        .collect();
    Array2::from_shape_vec((rows.len() / width.max(1), width), rows).unwrap_or_default()
}

fn seen(value: ArrayView4<f32>, window: &Window, place: [usize; 2]) -> Vec<f32> {
    let (_, channels, height, width) = value.dim();
    let inside = |axis: usize, offset: usize, size: usize| {
        let at = place[axis] * window.strides[axis] + offset * window.dilations[axis];
        at.checked_sub(window.pads[axis]).filter(|&at| at < size)
    };
    let mut row = Vec::with_capacity(channels * window.kernel[0] * window.kernel[1]);
    for channel in 0..channels {
        for y in 0..window.kernel[0] {
            for x in 0..window.kernel[1] {
                let at = inside(0, y, height).zip(inside(1, x, width));
                row.push(at.map_or(0.0, |(y, x)| value[[0, channel, y, x]]));
            }
        }
    }
    row
}

/// A layer's weight as `[in, out]`.
pub(super) fn matrix(values: Vec<f32>, dims: &[i64], form: Form) -> Array2<f32> {
    let first = dims.first().and_then(|&size| usize::try_from(size).ok()).unwrap_or(0);
    let rest = values.len() / first.max(1);
    let stored = Array2::from_shape_vec((first, rest), values).unwrap_or_default();
    match form {
        Form::Columns | Form::Table => stored,
        Form::Transposed | Form::Rows | Form::Tied | Form::Kernel => stored.reversed_axes(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;

    #[test]
    fn rows_are_spread_evenly_and_never_more_than_asked_for() {
        let value = Array::from_iter((0..40).map(|i| i as f32)).into_shape_with_order((1, 20, 2));
        let mut samples = Samples::new();
        samples.add(&value.unwrap().into_dyn(), None, 5);
        assert_eq!(samples.rows().column(0).to_vec(), [0.0, 8.0, 16.0, 24.0, 32.0]);
        assert_eq!((samples.sum().to_vec(), samples.count), (vec![380.0, 400.0], 20));
    }

    #[test]
    fn a_product_of_windows_is_the_convolution() {
        let picture = Array::from_iter((0..2 * 5 * 4).map(|i| ((i * 7) % 11) as f32));
        let picture = picture.into_shape_with_order((1, 2, 5, 4)).unwrap();
        let window = Window {
            kernel: [3, 3],
            strides: [2, 1],
            pads: [1, 1],
            places_pads: [2, 2],
            dilations: [1, 1],
        };
        let rows = windows(&picture.clone().into_dyn(), &window);
        assert_eq!(rows.dim(), (3 * 4, 2 * 9));
        // The middle of a window is the pixel at its place; the corners lie in the padding.
        assert_eq!(rows[[0, 4]], picture[[0, 0, 0, 0]]);
        assert_eq!(rows[[0, 0]], 0.0);
        assert_eq!(rows[[4 + 2, 9 + 4]], picture[[0, 1, 2, 2]]);
        assert_eq!(rows[[4 + 2, 9]], picture[[0, 1, 1, 1]]);
    }
}
