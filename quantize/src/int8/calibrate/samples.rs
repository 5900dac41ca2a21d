//! Samples of a layer's inputs, and its weight as a matrix.

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2, ArrayView4, Axis, Ix4, Slice};

use super::{super::uses::Form, inputs::Window};

/// Rows kept for a layer.
pub(super) const MAX_ROWS: usize = 256;

/// Some of the rows `[rows, in]` that a layer read, and the sum of all.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    rows: Array2<f32>,
    sum: Array1<f64>,
    /// Rows in the sum.
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

    /// Adds the rows of `value` to the sum and keeps at most `max` of them, evenly spread.
    pub(super) fn add(
        &mut self,
        value: &ArrayD<f32>,
        window: Option<&Window>,
        max: usize,
    ) -> Result<(), Mismatch> {
        let all = match window {
            Some(window) => windows(value, window)?,
            None => matrix_rows(value)?,
        };
        if self.count == 0 {
            self.rows = Array2::zeros((0, all.ncols()));
            self.sum = Array1::zeros(all.ncols());
        }
        if all.ncols() != self.sum.len() {
            return Err(Mismatch::new(&format!("rows of {}", self.sum.len()), value.shape()));
        }
        all.rows()
            .into_iter()
            .for_each(|row| self.sum.zip_mut_with(&row, |sum, &v| *sum += f64::from(v)));
        self.count += all.nrows();
        let rows = spread(&all, max);
        let free = MAX_ROWS.saturating_sub(self.rows.nrows()).min(rows.nrows());
        let kept = rows.slice_axis(Axis(0), Slice::from(..free));
        let appended = self.rows.append(Axis(0), kept);
        appended.map_err(|e| Mismatch::new(&e.to_string(), value.shape()))
    }
}

/// A tensor of another shape than its layer needs.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) found: String,
}

impl Mismatch {
    fn new(expected: &str, found: &[usize]) -> Self {
        Self { expected: expected.to_owned(), found: format!("the shape {found:?}") }
    }
}

/// A tensor `[…, in]` as rows.
fn matrix_rows(value: &ArrayD<f32>) -> Result<Array2<f32>, Mismatch> {
    let mismatch = || Mismatch::new("rows of at least one element", value.shape());
    let columns = *value.shape().last().filter(|&&size| size > 0).ok_or_else(mismatch)?;
    let rows = value.len() / columns;
    let rows = value.to_shape((rows, columns)).map_err(|_| mismatch())?;
    Ok(rows.into_owned())
}

fn spread(rows: &Array2<f32>, max: usize) -> ArrayView2<'_, f32> {
    let step = rows.nrows().div_ceil(max.max(1)).max(1);
    rows.slice_axis(Axis(0), Slice::new(0, None, step.cast_signed()))
}

/// The im2col matrix of an image `[1, channels, height, width]`: a row for each output position of the convolution.
fn windows(image: &ArrayD<f32>, window: &Window) -> Result<Array2<f32>, Mismatch> {
    let mismatch = || Mismatch::new("an image [1, channels, height, width]", image.shape());
    let value = image.view().into_dimensionality::<Ix4>().map_err(|_| mismatch())?;
    let positions = window.positions([value.dim().2, value.dim().3]);
    let width = value.dim().1 * window.kernel.iter().product::<usize>();
    let count = positions[0] * positions[1];
    let rows: Vec<f32> = (0..count)
        .flat_map(|at| receptive_field(value, window, [at / positions[1], at % positions[1]]))
        .collect();
    Array2::from_shape_vec((count, width), rows).map_err(|_| mismatch())
}

/// The elements that the convolution reads for one output position, zeros in the padding.
fn receptive_field(value: ArrayView4<f32>, window: &Window, position: [usize; 2]) -> Vec<f32> {
    let (_, channels, height, width) = value.dim();
    let inside = |axis: usize, offset: usize, size: usize| {
        let at = position[axis] * window.strides[axis] + offset * window.dilations[axis];
        at.checked_sub(window.pads_begin[axis]).filter(|&at| at < size)
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

/// A layer's weight of shape `dims` as `[in, out]`.
pub(super) fn matrix(values: Vec<f32>, dims: &[i64], form: Form) -> Result<Array2<f32>, Mismatch> {
    let mismatch = |elements: usize| Mismatch {
        expected: format!("elements for the shape {dims:?}"),
        found: elements.to_string(),
    };
    let elements = values.len();
    let rows = dims.first().and_then(|&size| usize::try_from(size).ok());
    let rows = rows.filter(|&rows| rows > 0).ok_or_else(|| mismatch(elements))?;
    let stored = Array2::from_shape_vec((rows, elements / rows), values);
    let stored = stored.map_err(|_| mismatch(elements))?;
    Ok(match form {
        Form::Columns | Form::Table => stored,
        Form::Transposed | Form::Rows | Form::Tied | Form::Kernel => stored.reversed_axes(),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;

    #[test]
    fn rows_are_spread_evenly_and_never_more_than_asked_for() {
        let value = Array::from_iter((0..40).map(|i| i as f32)).into_shape_with_order((1, 20, 2));
        let mut samples = Samples::new();
        samples.add(&value.unwrap().into_dyn(), None, 5).unwrap();
        assert_eq!(samples.rows().column(0).to_vec(), [0.0, 8.0, 16.0, 24.0, 32.0]);
        assert_eq!((samples.sum().to_vec(), samples.count), (vec![380.0, 400.0], 20));
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error_and_not_left_out() {
        let mut samples = Samples::new();
        samples.add(&ArrayD::zeros(vec![1, 20, 2]), None, 5).unwrap();
        let expected =
            Mismatch { expected: "rows of 2".to_owned(), found: "the shape [1, 20, 3]".to_owned() };
        assert_eq!(samples.add(&ArrayD::zeros(vec![1, 20, 3]), None, 5), Err(expected));
        assert_eq!(samples.count, 20);
        assert!(Samples::new().add(&ArrayD::zeros(vec![4, 0]), None, 5).is_err());
        assert!(matrix(vec![1.0; 5], &[2, 3], Form::Columns).is_err());
        assert!(matrix(Vec::new(), &[0, 3], Form::Rows).is_err());
    }

    #[test]
    fn a_product_of_windows_is_the_convolution() {
        let picture = Array::from_iter((0..2 * 5 * 4).map(|i| ((i * 7) % 11) as f32));
        let picture = picture.into_shape_with_order((1, 2, 5, 4)).unwrap();
        let window = Window {
            kernel: [3, 3],
            strides: [2, 1],
            pads_begin: [1, 1],
            pads_end: [1, 1],
            dilations: [1, 1],
        };
        let rows = windows(&picture.clone().into_dyn(), &window).unwrap();
        assert_eq!(rows.dim(), (3 * 4, 2 * 9));
        // The middle of a window is the pixel at its position; the corners lie in the padding.
        assert_eq!(rows[[0, 4]], picture[[0, 0, 0, 0]]);
        assert_eq!(rows[[0, 0]], 0.0);
        assert_eq!(rows[[4 + 2, 9 + 4]], picture[[0, 1, 2, 2]]);
        assert_eq!(rows[[4 + 2, 9]], picture[[0, 1, 1, 1]]);
    }
}
