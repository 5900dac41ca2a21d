//! Outputs of a part, checked before anything is computed from them.

use ndarray::ArrayD;

use super::Error;

/// The elements of the output of `part` in row-major order; it must be finite and of the shape `expected`.
///
/// A damaged or overflowing model answers with NaN, which every later comparison would turn into a
/// confident label or an empty caption.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`].
pub(super) fn checked_output(
    part: &'static str,
    output: Option<ArrayD<f32>>,
    expected: &[usize],
) -> Result<Vec<f32>, Error> {
    let shape = |found| Error::Shape { part, expected: expected.to_vec(), found };
    let output = output.ok_or_else(|| shape(None))?;
    if output.shape() != expected {
        return Err(shape(Some(output.shape().to_vec())));
    }
    let elements = into_elements(output);
    if are_finite(&elements) {
        return Ok(elements);
    }
    match elements.iter().find(|element| !element.is_finite()) {
        Some(&found) => Err(Error::NotFinite { part, found }),
        None => Ok(elements),
    }
}

fn into_elements(output: ArrayD<f32>) -> Vec<f32> {
    let length = output.len();
    if !output.is_standard_layout() {
        return output.iter().copied().collect();
    }
    let (mut elements, offset) = output.into_raw_vec_and_offset();
    let first = offset.unwrap_or(0);
    elements.truncate(first + length);
    elements.drain(..first);
    elements
}

/// Compares bits, which vectorises: a step of six beams has 300,000 logits.
fn are_finite(elements: &[f32]) -> bool {
    let magnitude = |element: &f32| element.to_bits() & 0x7FFF_FFFF;
    elements.iter().map(magnitude).fold(0, u32::max) < f32::INFINITY.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(output: Option<ArrayD<f32>>) -> String {
        checked_output("text_encoder.onnx", output, &[1, 2]).unwrap_err().to_string()
    }

    #[test]
    fn an_output_of_another_shape_is_refused_with_both_shapes() {
        assert_eq!(
            error(Some(ArrayD::zeros(vec![2, 1]))),
            "text_encoder.onnx: expected [1, 2], found [2, 1]: the model's parts do not belong together"
        );
        assert!(error(None).contains("expected [1, 2], found nothing"));
    }

    #[test]
    fn an_output_that_is_not_finite_is_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let sentence = error(Some(ndarray::arr2(&[[0.5, bad]]).into_dyn()));
            assert_eq!(
                sentence,
                format!("text_encoder.onnx: expected finite numbers, found {bad}")
            );
        }
    }

    #[test]
    fn a_finite_output_of_the_right_shape_is_passed_on_in_row_major_order() {
        let output = ndarray::arr2(&[[0.5, f32::MAX], [-0.5, f32::MIN]]).into_dyn();
        let expected = [0.5, f32::MAX, -0.5, f32::MIN];
        assert_eq!(checked_output("x", Some(output.clone()), &[2, 2]).unwrap(), expected);
        let transposed = output.reversed_axes();
        let expected = [0.5, -0.5, f32::MAX, f32::MIN];
        assert_eq!(checked_output("x", Some(transposed), &[2, 2]).unwrap(), expected);
        let mut row = ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn();
        row.slice_axis_inplace(ndarray::Axis(0), ndarray::Slice::from(1..));
        assert_eq!(checked_output("x", Some(row), &[1, 2]).unwrap(), [3.0, 4.0]);
    }
}
